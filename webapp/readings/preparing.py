"""Preparing a study on a worker: both arms harmonised, numbered at random, looked at as a reader, audited.

Torch-free. Every write happens under the job's fencing token, so that a worker that lost its job
changes nothing; whatever one left behind is cleared when the next begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.cases.selectors import case_slice
from webapp.core.errors import ApplicationError
from webapp.core.services import audit_record
from webapp.jobs.services import job_finish
from webapp.jobs.transitions import job_held
from webapp.readings.audit import AuditReport, Observation, audit
from webapp.readings.controls import reconstructed, spoilt
from webapp.readings.drafts import auditor_remove, images_remove
from webapp.readings.freezing import preparation_key, reading_protocol
from webapp.readings.harmonising import (
    Options,
    Survey,
    Target,
    before_and_after,
    choose_target,
    describe,
    harmonise,
    survey,
)
from webapp.readings.models import Assignment, ItemTruth, Place, Preparation, Reading
from webapp.readings.pixels import pixels_remove, pixels_store
from webapp.readings.protocol import Protocol

Pixels = npt.NDArray[np.float32]
Spacing = tuple[float, float, float | None]

OnStage = Callable[[str, str], None]
"""Told (stage, what is happening in words)."""
OnStep = Callable[[int, int, str], None]
"""Told (done, of how many, what is happening); raises to stop the work."""
Collect = Callable[[Place, Callable[[], None]], Sequence[Observation]]

AUDIT_SEED_LIMIT = 2**32


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What preparing a study found, ready to be kept."""

    reading_id: UUID
    harmonisation: dict[str, Any]
    report: AuditReport


def source_pixels(truth: ItemTruth) -> tuple[Pixels, Spacing]:
    """An item's slices in real units, [frames, rows, columns], and the spacing; a control as it is made.

    Raises ApplicationError where the source has been deleted meanwhile.
    """
    case = truth.case
    if case is None:
        raise ApplicationError(
            _("%(item)s has been deleted since it was chosen. Remove it from the items, then prepare again.")
            % {"item": item_name(truth)}
        )
    indices = range(truth.first_slice, truth.first_slice + truth.slice_count)
    slices = [case_slice(case, index) for index in indices]
    if any(one.array.ndim != 2 for one in slices):
        raise ApplicationError(_("%(item)s is in colour; leave it out.") % {"item": item_name(truth)})
    pixels = np.stack([one.array for one in slices]).astype(np.float32)
    if truth.control == ItemTruth.Control.KNOWN_BAD:
        pixels = spoilt(pixels)
    elif truth.control == ItemTruth.Control.RECONSTRUCTED:
        pixels = reconstructed(pixels)
    row_mm, column_mm = (float(value) for value in slices[0].spacing_mm[:2])
    between = case.spacing_mm[2] if len(case.spacing_mm) > 2 else None
    return pixels, (row_mm, column_mm, None if between is None else abs(float(between)) or None)


def item_name(truth: ItemTruth) -> str:
    """What the lead calls an item: its case, or the model and seed of its result."""
    source = truth.source
    if truth.arm == ItemTruth.Arm.REAL:
        return str(source.get("case") or _("A real case"))
    return _("%(model)s, seed %(seed)s") % {
        "model": source.get("model", "?"),
        "seed": source.get("seed", "?"),
    }


def preparation_make(
    *,
    reading_id: UUID | str,
    job_id: UUID,
    token: int,
    collect: Collect,
    on_stage: OnStage,
    on_step: OnStep,
) -> Prepared:
    """Harmonise, number and audit a study's items; `preparation_store` then keeps what was found.

    `collect` looks at every item through the auditor's place as a reader's browser would. Raises
    ApplicationError, in a plain sentence, where the items cannot be brought to a common form; LeaseLost
    and Cancelled pass.
    """
    reading = Reading.objects.select_related("owner").get(pk=reading_id)
    with transaction.atomic():
        job_held(job_id, token)
        images_remove(reading)
        auditor_remove(reading)
    protocol = reading_protocol(reading)
    truths = list(
        ItemTruth.objects.filter(item__reading=reading)
        .select_related("item", "case", "result")
        .order_by("item_id")
    )
    on_stage("harmonising", _("Looking at the images"))
    target = _target(truths, protocol, on_step)
    harmonisation = _harmonise_all(truths, target, protocol, job_id, token, on_step)
    on_stage("auditing", _("Looking at every item as a reader's browser does"))
    total = 3 * len(truths)
    with auditor_place(reading, truths, job_id, token) as place:
        observations = collect(place, lambda: on_step(2 * len(truths), total, _("Looking as a reader")))
    on_step(total - 1, total, _("Searching for leaks"))
    report = audit(_ordinary(observations, truths), seed=protocol.seed % AUDIT_SEED_LIMIT)
    return Prepared(reading_id=reading.pk, harmonisation=harmonisation, report=report)


def _target(truths: Sequence[ItemTruth], protocol: Protocol, on_step: OnStep) -> Target:
    surveys: list[Survey] = []
    for done, truth in enumerate(truths):
        on_step(done, 3 * len(truths), _("Looking at image %(n)d") % {"n": done + 1})
        pixels, spacing = source_pixels(truth)
        with naming(truth):
            found = survey(pixels, spacing, truth.item.modality, item=item_name(truth), arm=truth.arm)
        surveys.append(found)
    return choose_target(surveys, Options.from_json(dict(protocol.harmonise)))


@contextmanager
def naming(truth: ItemTruth) -> Iterator[None]:
    """An error about an item says which one it is."""
    try:
        yield
    except ApplicationError as error:
        raise ApplicationError(f"{item_name(truth)}: {error}", field=error.field, code=error.code) from error


def _harmonise_all(
    truths: Sequence[ItemTruth],
    target: Target,
    protocol: Protocol,
    job_id: UUID,
    token: int,
    on_step: OnStep,
) -> dict[str, Any]:
    """Write every item's pixels under an opaque name, numbered in random order; the before/after report."""
    numbers = np.random.default_rng(protocol.seed).permutation(len(truths))
    before, after = [], []
    for done, truth in enumerate(truths):
        on_step(len(truths) + done, 3 * len(truths), _("Harmonising image %(n)d") % {"n": done + 1})
        pixels, spacing = source_pixels(truth)
        with naming(truth):
            made = harmonise(pixels, spacing, truth.item.modality, target)
        before.append(describe(pixels, spacing[:2]))
        after.append(describe(made.pixels.astype(np.float32), made.spacing_mm))
        name, digest = pixels_store(made.pixels)
        try:
            with transaction.atomic():
                job_held(job_id, token)
                _write_item(truth, made, name, digest, int(numbers[done]) + 1)
        except BaseException:
            pixels_remove([name])
            raise
    return before_and_after(before, after, [truth.arm for truth in truths], target)


def _write_item(truth: ItemTruth, made: Any, name: str, digest: str, number: int) -> None:
    item = truth.item
    item.pixels, item.pixels_sha256, item.number = name, digest, number
    item.frames, item.rows, item.columns = made.pixels.shape
    item.spacing_mm = list(made.spacing_mm)
    item.window_center, item.window_width = made.window
    item.save()


@contextmanager
def auditor_place(reading: Reading, truths: Sequence[ItemTruth], job_id: UUID, token: int) -> Iterator[Place]:
    """A place of the lead's through which every item can be looked at while the study is prepared.

    It has the number 0, counts as no reader, holds every item once in random order, and is gone
    afterwards, whatever happens.
    """
    with transaction.atomic():
        job_held(job_id, token)
        place = Place.objects.create(
            reading=reading,
            user=reading.owner,
            invited_by=reading.owner,
            number=0,
            is_auditor=True,
            state=Place.State.READING,
        )
        order = np.random.default_rng().permutation(len(truths))
        Assignment.objects.bulk_create(
            Assignment(place=place, position=position, item=truths[index].item)
            for position, index in enumerate(order)
        )
    try:
        yield place
    finally:
        auditor_remove(reading)


def _ordinary(observations: Sequence[Observation], truths: Sequence[ItemTruth]) -> list[Observation]:
    """What is audited: everything but the controls, one of which is spoilt so that it can be told."""
    controls = {str(truth.item_id) for truth in truths if truth.control}
    return [one for one in observations if one.item not in controls]


def preparation_store(*, job_id: UUID, token: int, prepared: Prepared, outcome: dict[str, Any]) -> None:
    """Keep what was found, mark the study ready and the job done, in one transaction under its token.

    Raises LeaseLost for a stale token and Cancelled where the person cancelled first.
    """
    report = prepared.report
    with transaction.atomic():
        job = job_held(job_id, token)
        row = Reading.objects.select_for_update(of=("self",)).get(pk=prepared.reading_id)
        Preparation.objects.filter(reading=row).delete()
        Preparation.objects.create(
            reading=row,
            key=preparation_key(row),
            harmonisation=prepared.harmonisation,
            audit=report.to_json(),
            is_blocked=report.is_blocked,
            needs_acceptance=report.needs_acceptance,
        )
        row.state = Reading.State.READY
        row.prepared_at = timezone.now()
        row.save(update_fields=["state", "prepared_at", "updated_at"])
        audit_record(
            actor=job.owner,
            action="reading.prepared",
            obj=row,
            detail={"verdict": report.verdict, "items": sum(report.items.values())},
        )
        job_finish(job_id=job_id, token=token, outcome=outcome | {"verdict": report.verdict})
