"""Keeping what a job made, all or nothing and only under its token; judging it; making it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import numpy.typing as npt
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from synthesis.imaging.uncertainty import UncertaintyMap, packed
from webapp.cases import services as cases
from webapp.cases.models import Case
from webapp.core.errors import ApplicationError
from webapp.core.permissions import require
from webapp.core.services import audit_record
from webapp.jobs.claims import job_finish
from webapp.jobs.edits import pixels_packed
from webapp.jobs.models import Edited, Job, Result, SynthesisRequest, Uncertainty
from webapp.jobs.opencases import open_cases_clear, open_cases_note
from webapp.jobs.submission import job_submit
from webapp.jobs.transitions import job_held

MASK_NAME = "Anatomy"


@dataclass(frozen=True, kw_only=True)
class Made:
    """One image that a worker made, ready to be kept.

    `files` are whole DICOM files of one series, or where they lie; `mask` is [slices, rows, columns] in the
    order of that series, with its `labels` [{"value", "name", "color"}]. For a counterfactual
    `derived_from` is its source, `numbers` how far it is from it, `undone` int16 [rows, columns] the change
    taken back; of a series [slices, rows, columns], and `original` its source on the same grid.
    """

    index: int
    seed: int
    name: str
    files: Sequence[bytes | Path]
    mask: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    labels: Sequence[dict[str, Any]]
    recipe: dict[str, Any]
    pixel_sha256: str
    attributes: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)
    uncertainty: UncertaintyMap | None = None
    derived_from: Case | None = None
    numbers: dict[str, Any] | None = None
    undone: npt.NDArray[np.int16] | None = None
    original: npt.NDArray[np.int16] | None = None


def results_store(
    *, job_id: UUID, token: int, made: Sequence[Made], outcome: dict[str, Any] | None = None
) -> list[Result]:
    """Keep every image of a job and mark the job done, in one transaction under the job's token.

    The ids of the new cases are noted on the job first, so that the files of a worker that is killed
    half-way are found and removed when the job is taken back.
    Raises LeaseLost for a stale token and Cancelled where the person cancelled first; then, as after
    any other error, neither rows nor files are left behind.
    """
    places = {one.index: uuid4() for one in made}
    open_cases_note(job_id=job_id, token=token, case_ids=list(places.values()))
    try:
        with transaction.atomic():
            job = job_held(job_id, token)
            request = job.request
            if request is None:
                raise ValueError(f"job {job_id} has no request to keep results for")
            results = [_store_one(job, request, one, places[one.index]) for one in made]
            job_finish(job_id=job_id, token=token, outcome=outcome)
    except BaseException:
        open_cases_clear(list(places.values()))
        raise
    return results


def _store_one(job: Job, request: SynthesisRequest, one: Made, case_id: UUID) -> Result:
    case = cases.case_create_from_dicom(
        files=list(one.files),
        name=one.name,
        attributes=one.attributes,
        is_synthetic=True,
        owner=job.owner,
        case_id=case_id,
        derived_from=one.derived_from,
    )
    mask = cases.mask_save(
        user=job.owner,
        case=case,
        name=MASK_NAME,
        array=one.mask,
        labels=one.labels,
        origin="synthetic",
    )
    result = Result.objects.create(
        request=request,
        job=job,
        index=one.index,
        case=case,
        mask=mask,
        seed=one.seed,
        recipe=one.recipe,
        pixel_sha256=one.pixel_sha256,
        quality=one.quality,
    )
    if one.uncertainty is not None:
        _keep_uncertainty(result, one.uncertainty)
    if one.numbers is not None:
        kept = {
            name: b"" if pixels is None else pixels_packed(pixels)
            for name, pixels in (("undone", one.undone), ("original", one.original))
        }
        Edited.objects.create(result=result, numbers=one.numbers, **kept)
    return result


def _keep_uncertainty(result: Result, made: UncertaintyMap) -> None:
    values, scale = packed(made.std)
    rows, columns = made.std.shape
    Uncertainty.objects.create(
        result=result, values=values, scale=scale, rows=rows, columns=columns, about=made.about()
    )


def result_decide(*, user: Any, result: Result, decision: str, note: str = "") -> Result:
    """Accept or reject a result, with a note; an empty decision takes the earlier one back."""
    require(user, "decide", result)
    if decision not in Result.Decision.values:
        raise ApplicationError(_("Choose accept or reject."), field="decision")
    with transaction.atomic():
        row = Result.objects.select_for_update().get(pk=result.pk)
        row.decision = decision
        row.decision_note = note.strip()[:1000] if decision else ""
        row.decided_by = user if decision else None
        row.decided_at = timezone.now() if decision else None
        row.save(update_fields=["decision", "decision_note", "decided_by", "decided_at", "updated_at"])
        audit_record(
            actor=user, action="result.decided", obj=row, detail={"decision": decision or "withdrawn"}
        )
    return row


def result_offer(*, user: Any, result: Result, offered: bool) -> Result:
    """Let study leads use a result in reader studies, or take that back for studies to come."""
    require(user, "decide", result)
    with transaction.atomic():
        row = Result.objects.select_for_update().get(pk=result.pk)
        if row.is_offered != offered:
            row.is_offered = offered
            row.save(update_fields=["is_offered", "updated_at"])
            audit_record(actor=user, action="result.offered" if offered else "result.withheld", obj=row)
    return row


def result_reproduce(*, user: Any, result: Result) -> Job:
    """Make exactly this image again and compare the pixels; the job's outcome says how that went."""
    require(user, "request", result)
    with transaction.atomic():
        job = job_submit(
            kind="reproduce",
            owner=user,
            payload={"result_id": str(result.pk)},
            subject_type="jobs.Result",
            subject_id=result.pk,
        )
        audit_record(actor=user, action="result.reproduced", obj=result, detail={"job": str(job.pk)})
    return job
