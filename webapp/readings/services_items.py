"""Choosing what is read: real cases, synthetic results, and what each item is there for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webapp.cases.models import Case
from webapp.cases.rules import visible_cases
from webapp.core.errors import ApplicationError, NotVisible
from webapp.core.services import audit_record
from webapp.jobs.models import Result
from webapp.jobs.preparation import best_slice
from webapp.readings.conflicts import refuse_results_of_readers
from webapp.readings.drafts import draft_changed, draft_locked, preparation_drop
from webapp.readings.freezing import reading_protocol
from webapp.readings.models import ItemTruth, Reading, ReadingItem
from webapp.readings.rules import usable_results
from webapp.readings.services import expected_of, stratum_of

ITEM_LIMIT = 2000
SLICE_RULES = ("middle", "mask", "index", "range", "all")
FEEDBACK_LIMIT = 500


@dataclass(frozen=True, kw_only=True)
class SliceRule:
    """Which slices of a stack make the item.

    rule: "middle", "mask" (the one that shows most of the liver, else of the mask; the middle without a
    mask), "index" (slice `first`, from 0), "range" (`count` slices from `first`, or around the middle
    where `first` is None), "all".
    """

    rule: str = "middle"
    first: int | None = None
    count: int = 1

    def __post_init__(self) -> None:
        """Raises ApplicationError for an unknown rule or an impossible slice."""
        if self.rule not in SLICE_RULES:
            raise ApplicationError(_("Choose which slice of each case is shown."), field="rule")
        if self.count < 1 or (self.first is not None and self.first < 0):
            raise ApplicationError(_("Slices are counted from 1."), field="first")

    def of(self, case: Case) -> tuple[int, int] | None:
        """(first slice from 0, how many), or None where the case is too short."""
        total = case.slice_count
        if self.rule == "middle":
            return total // 2, 1
        if self.rule == "all":
            return 0, total
        if self.rule == "mask":
            mask = case.masks.filter(replaced_by__isnull=True).order_by("name").first()
            return (total // 2 if mask is None else best_slice(mask)), 1
        count = 1 if self.rule == "index" else self.count
        first = self.first
        if first is None:
            first = max(0, (total - count) // 2)
        return (first, count) if first + count <= total else None


@dataclass(frozen=True, kw_only=True)
class Added:
    """What came of choosing: the new items, and what was left out, with the reason in words."""

    items: list[ReadingItem] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def item_add_cases(
    *,
    user: Any,
    reading: Reading,
    cases: Iterable[Case],
    slices: SliceRule | None = None,
    role: str = ReadingItem.Role.MAIN,
    control: str = "",
    limit: int | None = None,
) -> Added:
    """Add one real item per case, at most `limit`; those that cannot be used are left out, with reasons.

    Left out are synthetic and coloured images, cases without such a slice, slices that are in the study
    already, and, unless the protocol allows it, a second case of one patient.
    Raises Conflict once the study is launched, NotVisible where the person may not see a case.
    """
    chosen = list(cases)
    allowed = set(
        Case.objects.filter(visible_cases(user), pk__in=[case.pk for case in chosen]).values_list(
            "pk", flat=True
        )
    )
    if len(allowed) != len({case.pk for case in chosen}):
        raise NotVisible()
    with transaction.atomic():
        row = draft_locked(user=user, reading=reading)
        adding = _Adding(row, slices or SliceRule(), role, control, ItemTruth.Arm.REAL)
        for case in chosen:
            if adding.is_full(limit):
                break
            if case.is_synthetic:
                adding.leave_out(case, _("is synthetic; add it from the results"))
            else:
                adding.add(case, patient=case.patient or str(case.pk), source=_case_source(case))
        return _added(user, row, adding)


def item_add_results(
    *,
    user: Any,
    reading: Reading,
    results: Iterable[Result],
    slices: SliceRule | None = None,
    role: str = ReadingItem.Role.MAIN,
    control: str = "",
    limit: int | None = None,
) -> Added:
    """Add one synthetic item per result, at most `limit`: the lead's own, or those offered to leads.

    Left out as well, with reasons, is whatever shows a slice of a changed series that was kept as it was.
    Raises Conflict once the study is launched or where an invited reader made one of them, NotVisible
    where the person may not use one.
    """
    chosen = list(results)
    allowed = set(
        Result.objects.filter(usable_results(user), pk__in=[one.pk for one in chosen]).values_list(
            "pk", flat=True
        )
    )
    if len(allowed) != len({one.pk for one in chosen}):
        raise NotVisible()
    with transaction.atomic():
        row = draft_locked(user=user, reading=reading)
        refuse_results_of_readers(row, chosen)
        adding = _Adding(row, slices or SliceRule(), role, control, ItemTruth.Arm.SYNTHETIC)
        for result in chosen:
            if adding.is_full(limit):
                break
            adding.add(result.case, result=result, patient=_anatomy_of(result), source=_result_source(result))
        return _added(user, row, adding)


def _added(user: Any, reading: Reading, adding: _Adding) -> Added:
    added = adding.done()
    if added.items:
        draft_changed(reading)
        detail = {"items": len(added.items), "left_out": len(added.left_out)}
        audit_record(actor=user, action="reading.items_added", obj=reading, detail=detail)
    return added


class _Adding:
    """Items on their way into a study."""

    def __init__(self, reading: Reading, slices: SliceRule, role: str, control: str, arm: str) -> None:
        self.reading, self.slices, self.role, self.control, self.arm = reading, slices, role, control, arm
        self.protocol = reading_protocol(reading)
        _check_control(arm, control)
        if role not in ReadingItem.Role.values:
            raise ValueError(f"role: expected one of {ReadingItem.Role.values}, got {role!r}.")
        self.result = Added()
        truths = ItemTruth.objects.filter(item__reading=reading)
        self.sources = set(truths.values_list("case_id", "first_slice", "slice_count", "control"))
        self.patients = set(
            truths.filter(arm=ItemTruth.Arm.REAL, control="").values_list("patient", flat=True)
        )
        self.room = ITEM_LIMIT - truths.count()

    def is_full(self, limit: int | None) -> bool:
        """Whether as many items as asked for are there."""
        return limit is not None and len(self.result.items) >= limit

    def leave_out(self, case: Case, reason: str) -> None:
        """Note why a case is not in the study."""
        self.result.left_out.append((case.name, reason))

    def add(self, case: Case, *, patient: str, source: Mapping[str, Any], result: Any = None) -> None:
        """One item, or a reason why not."""
        span = self.slices.of(case)
        real = self.arm == ItemTruth.Arm.REAL
        if case.is_colour:
            self.leave_out(case, _("is in colour; readers are shown grey images"))
        elif span is None:
            slices = ngettext("has only %(n)d slice", "has only %(n)d slices", case.slice_count)
            self.leave_out(case, slices % {"n": case.slice_count})
        elif result is not None and _shows_source(result, span):
            self.leave_out(case, _("holds slices that show the source as it is; choose changed slices alone"))
        elif (case.pk, *span, self.control) in self.sources:
            self.leave_out(case, _("is in the study already"))
        elif real and not self.control and self.protocol.one_per_patient and patient in self.patients:
            self.leave_out(case, _("is of a patient who is in the study already"))
        elif len(self.result.items) >= self.room:
            self.leave_out(case, _("a study holds up to %(limit)d items") % {"limit": ITEM_LIMIT})
        else:
            self._make(case, span, patient, source, result)

    def _make(
        self, case: Case, span: tuple[int, int], patient: str, source: Mapping[str, Any], result: Any
    ) -> None:
        item = ReadingItem.objects.create(reading=self.reading, role=self.role, modality=case.modality)
        truth = ItemTruth(
            item=item,
            arm=self.arm,
            control=self.control,
            case=case,
            result=result,
            first_slice=span[0],
            slice_count=span[1],
            patient=patient[:64],
            attributes=dict(case.attributes),
            source=dict(source),
        )
        truth.stratum = stratum_of(truth, self.protocol)
        truth.expected = expected_of(truth, self.protocol)
        truth.save()
        if self.role == ReadingItem.Role.TRAINING:
            item.feedback = feedback_of(truth)
            item.save(update_fields=["feedback", "updated_at"])
        self.sources.add((case.pk, *span, self.control))
        if self.arm == ItemTruth.Arm.REAL and not self.control:
            self.patients.add(patient)
        self.result.items.append(item)

    def done(self) -> Added:
        """What came of it."""
        return self.result


def _shows_source(result: Result, span: tuple[int, int]) -> bool:
    """Whether a slice of the span was kept as its source shows it: such pixels are not synthetic."""
    edited = result.recipe.get("slices", {}).get("edited")
    first, count = span
    return edited is not None and not set(range(first, first + count)) <= set(edited)


def _case_source(case: Case) -> dict[str, Any]:
    dataset = case.dataset
    return {"case": case.name, "dataset": dataset.name if dataset else "", "content": case.content_sha256}


def _result_source(result: Result) -> dict[str, Any]:
    return {
        "model": str(result.request.model),
        "seed": result.seed,
        "result": str(result.pk),
        "pixels": result.pixel_sha256,
    }


def _anatomy_of(result: Result) -> str:
    """Whose anatomy a synthetic image shows: images of one anatomy are not independent of one another."""
    request = result.request
    if request.case is not None:
        made = Result.objects.filter(case=request.case).select_related("request__case").first()
        return _anatomy_of(made) if made is not None else request.case.patient or str(request.case_id)
    number = request.parameters.get("phantom_seed")
    return f"phantom {number}" if number is not None else f"request {request.pk}"


def feedback_of(truth: ItemTruth) -> str:
    """What a training item says once it is answered, unless the lead writes something else."""
    if truth.arm == ItemTruth.Arm.SYNTHETIC:
        return _("This image is synthetic: a generative model made it.")
    return _("This image is real: it was taken of a patient or object.")


def _check_control(arm: str, control: str) -> None:
    if control not in ItemTruth.Control.values:
        raise ApplicationError(_("Choose what the item controls."), field="control")
    fitting = {
        ItemTruth.Control.KNOWN_BAD: ItemTruth.Arm.SYNTHETIC,
        ItemTruth.Control.RECONSTRUCTED: ItemTruth.Arm.REAL,
    }
    if control and fitting[ItemTruth.Control(control)] != arm:
        raise ApplicationError(
            _("A known-bad control is made from a synthetic image, a reconstructed one from a real image."),
            field="control",
        )


# ---------------------------------------------------------------------------- changing items


def _items_held(
    user: Any, reading: Reading, items: Sequence[ReadingItem]
) -> tuple[Reading, list[ReadingItem]]:
    row = draft_locked(user=user, reading=reading)
    held = list(ReadingItem.objects.filter(reading=row, pk__in=[item.pk for item in items]))
    if len(held) != len({item.pk for item in items}):
        raise NotVisible()
    return row, held


@transaction.atomic
def item_remove(*, user: Any, reading: Reading, items: Sequence[ReadingItem]) -> int:
    """Take items out of the study; returns how many."""
    row, held = _items_held(user, reading, items)
    if held:
        preparation_drop(row)
        ReadingItem.objects.filter(pk__in=[item.pk for item in held]).delete()
        audit_record(actor=user, action="reading.items_removed", obj=row, detail={"items": len(held)})
    return len(held)


@transaction.atomic
def item_set_role(
    *, user: Any, reading: Reading, items: Sequence[ReadingItem], role: str, feedback: str = ""
) -> None:
    """Make items counted ones, training items with feedback, or attention checks.

    Without a text of the lead's own, a training item says which arm it is of.
    """
    if role not in ReadingItem.Role.values:
        raise ApplicationError(_("Choose what the item is there for."), field="role")
    if len(feedback) > FEEDBACK_LIMIT:
        raise ApplicationError(
            _("Keep the feedback below %(limit)d characters.") % {"limit": FEEDBACK_LIMIT}, field="feedback"
        )
    row, held = _items_held(user, reading, items)
    truths = {truth.item_id: truth for truth in ItemTruth.objects.filter(item__in=held)}
    for item in held:
        item.role = role
        training = role == ReadingItem.Role.TRAINING
        item.feedback = (feedback.strip() or feedback_of(truths[item.pk])) if training else ""
        item.save(update_fields=["role", "feedback", "updated_at"])
    draft_changed(row)
    audit_record(
        actor=user, action="reading.items_changed", obj=row, detail={"items": len(held), "role": role}
    )


@transaction.atomic
def item_make_control(*, user: Any, reading: Reading, items: Sequence[ReadingItem], control: str) -> None:
    """Make items controls of the study itself, or (with "") ordinary ones again.

    known_bad: preparing spoils the synthetic image visibly (`webapp.readings.controls.spoilt`).
    reconstructed: preparing takes the real image through a lossy codec and back
    (`webapp.readings.controls.reconstructed`).
    """
    row, held = _items_held(user, reading, items)
    for truth in ItemTruth.objects.filter(item__in=held):
        _check_control(truth.arm, control)
        truth.control = control
        truth.save(update_fields=["control", "updated_at"])
    draft_changed(row)
    detail = {"items": len(held), "control": control or "none"}
    audit_record(actor=user, action="reading.items_changed", obj=row, detail=detail)
