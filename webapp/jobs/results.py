"""Keeping what a job made, all or nothing and only under its token; judging it; making it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.core.errors import ApplicationError
from webapp.core.permissions import require
from webapp.core.services import audit_record
from webapp.jobs.models import Job, Result
from webapp.jobs.submission import job_submit


@dataclass(frozen=True, kw_only=True)
class Made:
    """One image that a worker made, ready to be kept.

    `files` are whole DICOM files of one series; `mask` is [slices, rows, columns] uint16 in the order
    of that series, with its `labels` [{"value", "name", "color"}].
    """

    index: int
    seed: int
    name: str
    files: Sequence[bytes]
    mask: npt.NDArray[np.uint16]
    labels: Sequence[dict[str, Any]]
    recipe: dict[str, Any]
    pixel_sha256: str
    attributes: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)


def results_store(
    *, job_id: UUID, token: int, made: Sequence[Made], outcome: dict[str, Any] | None = None
) -> list[Result]:
    """Keep every image of a job and mark the job done, in one transaction under the job's token.

    Raises LeaseLost for a stale token and Cancelled where the person cancelled first; then, as after
    any other error, neither rows nor files are left behind.
    """
    raise NotImplementedError


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
