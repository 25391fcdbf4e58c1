"""Handing in jobs, cancelling them and trying them again, within each person's quota."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils.translation import gettext as _

from webapp.cases.models import Case
from webapp.core.errors import ApplicationError, Conflict
from webapp.core.permissions import require
from webapp.core.services import audit_record
from webapp.jobs.clock import database_now
from webapp.jobs.dispatch import wake_after_commit
from webapp.jobs.kinds import kind_get
from webapp.jobs.models import Job, JobEvent, Quota, SynthesisRequest
from webapp.jobs.transitions import State, job_locked, move
from webapp.jobs.uploads import refuse_without_upload


class QuotaReached(ApplicationError):
    """The person has as many jobs waiting or running as they may: 429."""

    status = 429
    default_code = "quota_reached"


def job_submit(
    *,
    kind: str,
    owner: Any,
    payload: Mapping[str, Any],
    subject_type: str = "",
    subject_id: UUID | str | None = None,
    priority: int = 0,
    request: SynthesisRequest | None = None,
    retry_of: Job | None = None,
    queue: str = "",
) -> Job:
    """Put one piece of work on its queue and wake a worker once the transaction is committed.

    Raises QuotaReached when the person already has as many unfinished jobs as they may, ValueError for
    a kind that nobody handles.
    """
    chosen = kind_get(kind, queue=queue)
    with transaction.atomic():
        _quota_check(owner)
        now = database_now()
        job = Job.objects.create(
            kind=kind,
            queue=chosen.queue,
            owner=owner,
            payload=dict(payload),
            subject_type=subject_type,
            subject_id=subject_id,
            priority=priority,
            request=request,
            retry_of=retry_of,
            max_attempts=chosen.max_attempts,
            available_at=now,
            created_at=now,
        )
        JobEvent.objects.create(job=job, sequence=0, state=job.state, note="handed in", at=now)
        wake_after_commit(queue=job.queue, job_id=job.pk)
    return job


def quota_for(owner: Any) -> int:
    """How many unfinished jobs this person may have."""
    own = Quota.objects.filter(user=owner).values_list("active_jobs", flat=True).first()
    return settings.JOB_QUOTA if own is None else own


def quota_room(owner: Any, jobs: int) -> None:
    """Raise QuotaReached where that many jobs at once do not fit; call it inside a transaction.

    The person stays locked until its end, so that nothing else takes the room meanwhile.
    """
    active, limit = _quota_used(owner)
    if active + jobs > limit:
        raise QuotaReached(
            _(
                "This needs %(jobs)d jobs at once. You have %(active)d waiting or running, and the limit is "
                "%(limit)d. Nothing was handed in. Wait for some of them to finish, or cancel some."
            )
            % {"jobs": jobs, "active": active, "limit": limit}
        )


def _quota_used(owner: Any) -> tuple[int, int]:
    """Unfinished jobs and the limit, under a lock on the person: of two at once only one can be the last."""
    get_user_model().objects.select_for_update().only("pk").get(pk=owner.pk)
    return Job.objects.filter(owner=owner, state__in=Job.ACTIVE).count(), quota_for(owner)


def _quota_check(owner: Any) -> None:
    active, limit = _quota_used(owner)
    if active >= limit:
        raise QuotaReached(
            _(
                "You already have %(active)d jobs waiting or running, and the limit is %(limit)d. "
                "Nothing was handed in. Wait for some of them to finish, or cancel some."
            )
            % {"active": active, "limit": limit}
        )


def job_cancel(*, user: Any, job: Job) -> Job:
    """Cancel exactly this job: at once while it waits, otherwise at the worker's next step.

    Cancelling twice does nothing more. Raises Conflict when the job is already over.
    """
    require(user, "cancel", job)
    with transaction.atomic():
        row = job_locked(job.pk)
        if row is None:
            raise Conflict(_("This job no longer exists."))
        if row.state in Job.FINISHED:
            raise Conflict(
                _("This job is already over (%(state)s), so there was nothing to cancel.")
                % {"state": row.get_state_display().lower()}
            )
        if row.state == State.CANCELLING:
            return row
        now = database_now()
        to = State.CANCELLED if row.state == State.QUEUED else State.CANCELLING
        move(row, to, note=f"cancelled by {user}", at=now, cancel_requested_at=now)
        audit_record(actor=user, action="job.cancelled", obj=row, detail={"kind": row.kind})
    return row


def case_of(job: Job) -> Case | None:
    """The case whose pixels or mask a job works on; None where it has none, or it was deleted."""
    if job.request is not None:
        return job.request.case
    wanted = job.payload.get("case") if job.subject_type == "cases.Case" else None
    return Case.objects.select_related("dataset").filter(pk=wanted).first() if wanted else None


def job_retry(*, user: Any, job: Job) -> Job:
    """Hand the same work in once more as a new job that names the old one.

    Raises Conflict while the job is not over, when it succeeded, when another retry already stands in its
    place, or when what was uploaded for it is gone; 404 where the person may no longer see the case that
    it works on.
    """
    require(user, "retry", job)
    case = case_of(job)
    if case is not None:
        require(user, "request", case)
    with transaction.atomic():
        row = job_locked(job.pk)
        if row is None:
            raise Conflict(_("This job no longer exists."))
        if row.state not in (State.FAILED, State.CANCELLED):
            raise Conflict(_("Only a failed or cancelled job can be tried again."))
        refuse_without_upload(row)
        if row.retries.exclude(state__in=(State.FAILED, State.CANCELLED)).exists():
            raise Conflict(_("This job was already tried again. Open the newer job instead."))
        again = job_submit(
            kind=row.kind,
            owner=row.owner,
            payload=row.payload,
            subject_type=row.subject_type,
            subject_id=row.subject_id,
            priority=row.priority,
            request=row.request,
            retry_of=row,
            queue=row.queue,
        )
        audit_record(actor=user, action="job.retried", obj=again, detail={"retry_of": str(row.pk)})
    return again
