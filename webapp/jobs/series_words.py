"""A series of counterfactuals in words: which slices, how much neighbours differ, each slice's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webapp.jobs.edit_numbers import NumberRow, read_level
from webapp.jobs.edit_panes import places_of
from webapp.jobs.models import Result

RESTLESS = 1.5  # neighbours that differ by so much more than before are flagged


@dataclass(frozen=True, kw_only=True)
class SliceRow:
    """A slice of a changed series: its place in the result from 0, its number in the source from 1."""

    place: int
    number: int
    was_changed: bool
    read: str = ""
    inside: str = ""
    outside: str = ""


def slice_rows(result: Result) -> list[SliceRow]:
    """Every slice of a changed series with its numbers; empty where one slice was changed."""
    if not result.request.prepared.get("series"):
        return []
    known = {int(row["slice"]): row for row in result.edited.numbers.get("slices", [])}
    return [_row(place, source + 1, known.get(place)) for place, source in enumerate(places_of(result))]


def _row(place: int, number: int, found: Mapping[str, Any] | None) -> SliceRow:
    if found is None:
        return SliceRow(place=place, number=number, was_changed=False)
    severity = found.get("severity") or {}
    before, after = read_level(severity.get("before")), read_level(severity.get("after"))
    return SliceRow(
        place=place,
        number=number,
        was_changed=True,
        read="" if before is None or after is None else f"{before:.1f} → {after:.1f}",
        inside=_figure(found.get("inside")),
        outside=_figure(found.get("outside")),
    )


def neighbour_rows(numbers: Mapping[str, Any], asked: Mapping[str, Any]) -> list[NumberRow]:
    """How much neighbouring slices differ after the change and before; empty of a single slice."""
    found = numbers.get("through_plane") or {}
    if found.get("after") is None:
        return []
    unit = "HU" if asked.get("modality") == "CT" else _("signal")
    ratio = found.get("ratio")
    words = _(
        "Mean absolute difference between neighbouring slices where they were to change, before and after. "
        "Slices are changed one by one; where it rises much, the change does not run on from slice to slice."
    )
    value = f"{found['before']:.1f} → {found['after']:.1f} {unit}"
    if ratio is not None:
        value += f" (× {ratio:.2f})"
    return [
        NumberRow(
            name=_("Between neighbours"),
            value=value,
            sentence=words,
            is_good=ratio is None or ratio <= RESTLESS,
        )
    ]


def series_sentence(result: Result) -> str:
    """How many slices were changed and how many kept, in a sentence; empty of a single slice."""
    series = result.request.prepared.get("series")
    if not series:
        return ""
    changed, kept = len(series["edited"]), len(series["unmasked"]) + len(series["unconcerned"])
    words = ngettext("%(count)d slice was changed", "%(count)d slices were changed", changed)
    said = words % {"count": changed}
    if kept:
        words = ngettext("%(count)d is kept as it is", "%(count)d are kept as they are", kept)
        said = f"{said}, {words % {'count': kept}}"
    return f"{said}. " + _("The numbers are of the changed slices together.")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
