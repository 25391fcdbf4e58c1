"""QIDO-RS: searching for studies, series and instances (DICOM PS3.18 section 10.6)."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db.models import Count, QuerySet
from django.http import QueryDict
from pydicom.datadict import dictionary_VR, tag_for_keyword
from rest_framework.exceptions import ValidationError

from webapp.cases.dicomweb.frames import value_of
from webapp.cases.models import Case, Instance

Item = dict[str, Any]

STUDY_UID, SERIES_UID, SOP_UID = "0020000D", "0020000E", "00080018"
MODALITY, MODALITIES_IN_STUDY = "00080060", "00080061"
MOST_ITEMS = 5000
_CONTROLS = {"limit", "offset", "includefield", "fuzzymatching", "accept", "format"}

STUDY_TAGS = (
    "00080020", "00080030", "00080050", "00080090", "00100010", "00100020", "00100030", "00100040",
    "00200010", "00081030",
)  # fmt: skip
SERIES_TAGS = ("00080060", "0008103E", "00200011", "00400244", "00400245", "00180015", "00080021", "00080031")
INSTANCE_TAGS = ("00080016", "00200013", "00280010", "00280011", "00280100", "00280008")


def tag_of(name: str) -> str:
    """An attribute's tag as eight hexadecimal digits, from its tag or its keyword.

    Raises:
        ValidationError: when there is no such attribute.
    """
    last = name.rsplit(".", 1)[-1]
    if re.fullmatch(r"[0-9A-Fa-f]{8}", last):
        return last.upper()
    tag = tag_for_keyword(last)
    if tag is None:
        raise ValidationError(f"{name} is neither the tag nor the keyword of a DICOM attribute.")
    return f"{tag:08X}"


def element(tag: str, value: Any) -> Item:
    """One attribute in the DICOM JSON model; without a value where it is unknown."""
    vr = dictionary_VR(int(tag, 16))
    if value is None or value == "" or value == []:
        return {tag: {"vr": vr}}
    values = value if isinstance(value, list) else [value]
    if vr == "PN":
        values = [one if isinstance(one, dict) else {"Alphabetic": one} for one in values]
    return {tag: {"vr": vr, "Value": values}}


@dataclass(frozen=True)
class Query:
    """What a search asks for: attribute filters, further fields, and which part of the list."""

    filters: dict[str, str]
    fields: frozenset[str]
    everything: bool
    limit: int
    offset: int
    fuzzy: bool
    warnings: list[str] = field(default_factory=list)


def _count(text: str | None, default: int, name: str) -> int:
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValidationError(f"{name} must be a whole number from 0; got “{text[:40]}”.")
    return int(text)


def parse_query(parameters: QueryDict) -> Query:
    """The query behind a search address.

    Raises:
        ValidationError: for an unknown attribute or a bad number.
    """
    filters: dict[str, str] = {}
    for name in parameters:
        if name not in _CONTROLS:
            value = ",".join(one for one in parameters.getlist(name) if one)
            if value:
                filters[tag_of(name)] = value
    names = [one.strip() for text in parameters.getlist("includefield") for one in text.split(",")]
    fuzzy = parameters.get("fuzzymatching", "false").lower() == "true"
    warnings = []
    if fuzzy:
        warnings.append(
            "The fuzzymatching parameter is not supported. Only literal matching has been performed."
        )
    limit = _count(parameters.get("limit"), MOST_ITEMS, "limit")
    if limit > MOST_ITEMS:
        warnings.append(f"The results are limited to {MOST_ITEMS} at a time; ask for more with offset.")
    return Query(
        filters=filters,
        fields=frozenset(tag_of(name) for name in names if name and name != "all"),
        everything="all" in names,
        limit=min(limit, MOST_ITEMS),
        offset=_count(parameters.get("offset"), 0, "offset"),
        fuzzy=fuzzy,
        warnings=warnings,
    )


# --- matching (PS3.4 section C.2.2.2)


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [str(value.get("Alphabetic", ""))]
    return [str(value)]


def _in_range(text: str, wanted: str) -> bool:
    low, _, high = wanted.partition("-")
    return (not low or text >= low) and (not high or text[: len(high)] <= high)


def matches(item: Item, tag: str, wanted: str) -> bool:
    """Whether an item's attribute has a wanted value: literal, wildcard, list of UIDs, or date range."""
    vr = dictionary_VR(int(tag, 16))
    values = [text for value in item.get(tag, {}).get("Value", []) for text in _texts(value)]
    if vr == "UI" or tag == MODALITIES_IN_STUDY:
        choices = re.split(r"[,\\]", wanted)
        return any(value in choices for value in values)
    if vr in ("DA", "TM", "DT") and "-" in wanted:
        return any(_in_range(value, wanted) for value in values)
    if vr == "PN":
        return any(fnmatch.fnmatchcase(value.lower(), _pattern(wanted.lower())) for value in values)
    if wanted == "*":
        return True
    return any(fnmatch.fnmatchcase(value, _pattern(wanted)) for value in values)


def _pattern(wanted: str) -> str:
    """DICOM's wildcards are * and ? alone; brackets stand for themselves."""
    return wanted.replace("[", "[[]")


# --- what the database can answer itself

_CASE_COLUMNS = {
    STUDY_UID: "study_uid",
    SERIES_UID: "series_uid",
    MODALITY: "modality",
    MODALITIES_IN_STUDY: "modality",
}


def _counted(cases: QuerySet[Case]) -> QuerySet[Case]:
    return cases.annotate(instance_total=Count("instances", distinct=True))


def _narrow(cases: QuerySet[Case], query: Query) -> QuerySet[Case]:
    """Leave out, in the database, what cannot match; the rest of the filters are applied to the items."""
    cases = _counted(cases)
    for tag, column in _CASE_COLUMNS.items():
        wanted = query.filters.get(tag)
        if wanted and not re.search(r"[*?]", wanted):
            cases = cases.filter(**{f"{column}__in": re.split(r"[,\\]", wanted)})
    if SOP_UID in query.filters:
        uids = re.split(r"[,\\]", query.filters[SOP_UID])
        cases = cases.filter(pk__in=Instance.objects.filter(sop_instance_uid__in=uids).values("case"))
    return cases


class Series:
    """One case as a DICOM series, with the attributes of its first instance."""

    def __init__(self, case: Case, root: str) -> None:
        self.case = case
        self.root = root
        self.instances: int = getattr(case, "instance_total", 0)

    @cached_property
    def metadata(self) -> Item:
        first = self.case.instances.order_by("number").values_list("metadata", flat=True).first()
        return first or {}

    def plain(self, tags: Iterable[str]) -> Item:
        """Attributes as they are stored; those that are missing are named without a value."""
        return {tag: self.metadata.get(tag) or {"vr": dictionary_VR(int(tag, 16))} for tag in tags}


def _page(items: Iterable[Item], query: Query, known: set[str]) -> Iterator[Item]:
    """The items that match, from `offset` on, `limit` of them."""
    rest = {tag: wanted for tag, wanted in query.filters.items() if tag in known}
    skipped = sent = 0
    for item in items:
        if sent >= query.limit:
            return
        if not all(matches(item, tag, wanted) for tag, wanted in rest.items()):
            continue
        if skipped < query.offset:
            skipped += 1
            continue
        sent += 1
        yield item


def _extra(metadata: Item, query: Query) -> Item:
    if query.everything:
        return metadata
    return {tag: metadata[tag] for tag in query.fields if tag in metadata}


def _series_item(series: Series, query: Query) -> Item:
    case = series.case
    return (
        _extra(series.metadata, query)
        | series.plain(SERIES_TAGS)
        | element(MODALITY, case.modality)
        | element("0008103E", case.series_description)
        | element(STUDY_UID, case.study_uid)
        | element(SERIES_UID, case.series_uid)
        | element("00201209", series.instances)
        | element("00081190", f"{series.root}/studies/{case.study_uid}/series/{case.series_uid}")
    )


def _study_item(group: list[Series], query: Query) -> Item:
    first = group[0]
    case = first.case
    return (
        _extra(first.metadata, query)
        | first.plain(STUDY_TAGS)
        | element("00080056", "ONLINE")
        | element(MODALITIES_IN_STUDY, sorted({one.case.modality for one in group}))
        | element(STUDY_UID, case.study_uid)
        | element("00201206", len(group))
        | element("00201208", sum(one.instances for one in group))
        | element("00081190", f"{first.root}/studies/{case.study_uid}")
    )


def _studies(cases: QuerySet[Case], query: Query, root: str) -> Iterator[Item]:
    seen: set[str] = set()
    narrowed = _narrow(cases, query).order_by("-created_at", "pk")
    for case in narrowed.iterator(chunk_size=200):
        if case.study_uid in seen:
            continue
        seen.add(case.study_uid)
        # The counts are of the whole study, whatever the filter on its series was.
        whole = _counted(cases).filter(study_uid=case.study_uid).order_by("created_at", "pk")
        yield _study_item([Series(one, root) for one in whole], query)


def search_studies(cases: QuerySet[Case], query: Query, root: str) -> Iterator[Item]:
    """The studies among `cases` that match, as DICOM JSON."""
    known = {*STUDY_TAGS, STUDY_UID, MODALITIES_IN_STUDY} | query.fields
    return _page(_studies(cases, query, root), query, known)


def search_series(cases: QuerySet[Case], query: Query, root: str) -> Iterator[Item]:
    """The series among `cases` that match, as DICOM JSON."""

    def items() -> Iterator[Item]:
        for case in _narrow(cases, query).order_by("created_at", "pk").iterator(chunk_size=200):
            series = Series(case, root)
            yield _series_item(series, query) | series.plain(STUDY_TAGS)

    known = {*STUDY_TAGS, *SERIES_TAGS, STUDY_UID, SERIES_UID} | query.fields
    return _page(items(), query, known)


def _instance_item(instance: Instance, query: Query, root: str) -> Item:
    case, metadata = instance.case, instance.metadata
    address = f"{root}/studies/{case.study_uid}/series/{case.series_uid}/instances/"
    item = _extra(metadata, query) | {tag: metadata[tag] for tag in INSTANCE_TAGS if tag in metadata}
    item |= (
        element("00080016", instance.sop_class_uid)
        | element(SOP_UID, instance.sop_instance_uid)
        | element(STUDY_UID, case.study_uid)
        | element(SERIES_UID, case.series_uid)
        | element(MODALITY, case.modality)
        | element("00280010", instance.rows)
        | element("00280011", instance.columns)
        | element("00083002", instance.transfer_syntax_uid)
        | element("00081190", address + instance.sop_instance_uid)
    )
    if instance.frame_count > 1 or value_of(metadata, "00280008"):
        item |= element("00280008", instance.frame_count)
    return item


def search_instances(cases: QuerySet[Case], query: Query, root: str) -> Iterator[Item]:
    """The instances among `cases` that match, as DICOM JSON."""
    found = Instance.objects.filter(case__in=_narrow(cases, query).values("pk")).select_related("case")
    if SOP_UID in query.filters:
        found = found.filter(sop_instance_uid__in=re.split(r"[,\\]", query.filters[SOP_UID]))
    ordered = found.order_by("case__created_at", "case_id", "number")
    items = (_instance_item(one, query, root) for one in ordered.iterator(chunk_size=200))
    known = {*INSTANCE_TAGS, SOP_UID, STUDY_UID, SERIES_UID, MODALITY} | query.fields
    return _page(items, query, known)


Search = Callable[[QuerySet[Case], Query, str], Iterator[Item]]
