"""What a worker does to a job: claim it fairly, hold it by a lease, report, and end it under its token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Min

from webapp.jobs.clock import database_now
from webapp.jobs.dispatch import wake_after_commit
from webapp.jobs.models import Job, QueueShare, QueueTurn
from webapp.jobs.opencases import open_cases_clear_after_commit
from webapp.jobs.transitions import LeaseLost, State, job_held, job_locked, move


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A job in one worker's hands: whoever shows `token` may write, until the lease is lost."""

    job_id: UUID
    kind: str
    queue: str
    token: int
    attempts: int
    lease_seconds: float


class Signal(Enum):
    """What a worker hears when it reports: go on; stop, cancelled; or stop, the job is not its own."""

    GO = "go"
    CANCEL = "cancel"
    LOST = "lost"


def job_claim(*, queue: str, worker: str, ran_on: str = "") -> Claim | None:
    """Take the next job of a queue, or None where nothing waits.

    The queue's row is locked while choosing, so that claims are taken one at a time: first the person
    with the fewest running jobs, among those the one served longest ago, and of this person's jobs the
    one with the highest priority, the oldest first. The token is the queue's running count of claims.
    """
    now = database_now()
    if not _waiting(queue, now).exists():
        return None
    QueueTurn.objects.get_or_create(queue=queue)
    with transaction.atomic():
        turn = QueueTurn.objects.select_for_update().get(queue=queue)
        for owner_id in _owners_in_turn(queue, now):
            skip = connection.features.has_select_for_update_skip_locked
            job = (
                _waiting(queue, now)
                .select_for_update(skip_locked=skip, of=("self",))
                .filter(owner_id=owner_id)
                .order_by("-priority", "created_at", "pk")
                .first()
            )
            if job is None:
                continue
            return _take(job, turn=turn, worker=worker, ran_on=ran_on)
    return None


def _waiting(queue: str, now: datetime) -> Any:
    return Job.objects.filter(queue=queue, state=State.QUEUED, available_at__lte=now)


def _owners_in_turn(queue: str, now: datetime) -> list[Any]:
    """People with waiting jobs, whose turn it is first."""
    waiting = dict(_waiting(queue, now).order_by().values_list("owner").annotate(first=Min("created_at")))
    running = dict(
        Job.objects.filter(queue=queue, state__in=Job.HELD, owner__in=waiting)
        .order_by()
        .values_list("owner")
        .annotate(number=Count("pk"))
    )
    served = dict(QueueShare.objects.filter(queue=queue, owner__in=waiting).values_list("owner", "served"))
    return sorted(waiting, key=lambda owner: (running.get(owner, 0), served.get(owner, 0), waiting[owner]))


def _take(job: Job, *, turn: QueueTurn, worker: str, ran_on: str) -> Claim:
    token = turn.token + 1
    QueueTurn.objects.filter(pk=turn.pk).update(token=token)
    QueueShare.objects.update_or_create(queue=turn.queue, owner_id=job.owner_id, defaults={"served": token})
    now = database_now()
    move(
        job,
        State.RUNNING,
        note=f"taken by {worker}",
        at=now,
        attempts=job.attempts + 1,
        lease_token=token,
        lease_owner=worker,
        lease_expires_at=now + timedelta(seconds=settings.JOB_LEASE_SECONDS),
        ran_on=ran_on or worker,
        started_at=now,
        stage="starting",
        stage_deadline_at=now + timedelta(seconds=settings.JOB_STAGE_SECONDS),
        step=0,
        progress=0.0,
        message="",
    )
    return Claim(
        job_id=job.pk,
        kind=job.kind,
        queue=job.queue,
        token=token,
        attempts=job.attempts,
        lease_seconds=settings.JOB_LEASE_SECONDS,
    )


def job_renew(*, job_id: UUID, token: int) -> bool:
    """Extend the lease; False when the job is no longer this token's."""
    until = database_now() + timedelta(seconds=settings.JOB_LEASE_SECONDS)
    held = Job.objects.filter(pk=job_id, lease_token=token, state__in=Job.HELD)
    return bool(held.update(lease_expires_at=until))


def job_signal(*, job_id: UUID, token: int) -> Signal:
    """Whether the holder of `token` may go on: read at every sampler step, so one primary-key look-up."""
    row = Job.objects.filter(pk=job_id).values_list("state", "lease_token").first()
    if row is None or row[1] != token or row[0] not in Job.HELD:
        return Signal.LOST
    return Signal.CANCEL if row[0] == State.CANCELLING else Signal.GO


def job_stage(*, job_id: UUID, token: int, stage: str, seconds: float, message: str = "") -> datetime:
    """Enter a stage that must be over within `seconds`; returns the deadline.

    Raises LeaseLost for a stale token.
    """
    deadline = database_now() + timedelta(seconds=seconds)
    held = Job.objects.filter(pk=job_id, lease_token=token, state__in=Job.HELD)
    if not held.update(stage=stage[:40], stage_deadline_at=deadline, message=message[:300]):
        raise LeaseLost(f"token {token} no longer holds job {job_id}")
    return deadline


def job_progress(
    *,
    job_id: UUID,
    token: int,
    step: int,
    steps_total: int,
    progress: float | None = None,
    message: str | None = None,
    preview: str | None = None,
) -> Signal:
    """Report how far the work is; returns whether to go on. `preview` is a path in the storage."""
    changes: dict[str, Any] = {"step": step, "steps_total": steps_total, "updated_at": database_now()}
    fraction = progress if progress is not None else (step / steps_total if steps_total else 0.0)
    changes["progress"] = min(1.0, max(0.0, fraction))
    if message is not None:
        changes["message"] = message[:300]
    if preview is not None:
        changes["preview"] = preview
    if not Job.objects.filter(pk=job_id, lease_token=token, state__in=Job.HELD).update(**changes):
        return Signal.LOST
    return job_signal(job_id=job_id, token=token)


def job_finish(*, job_id: UUID, token: int, outcome: dict[str, Any] | None = None, message: str = "") -> Job:
    """Mark the job done. Call it in the same transaction that writes what the job made.

    Raises LeaseLost for a stale token, Cancelled where a cancel came first: both roll the results back.
    """
    with transaction.atomic():
        job = job_held(job_id, token)
        return move(
            job,
            State.SUCCEEDED,
            progress=1.0,
            step=job.steps_total,
            stage="",
            message=message[:300],
            outcome=outcome or {},
        )


def job_fail(*, job_id: UUID, token: int, code: str, message: str, detail: str = "") -> Job:
    """End the job with a plain sentence; a job that was being cancelled ends as cancelled instead.

    Raises LeaseLost for a stale token.
    """
    with transaction.atomic():
        job = _held_or_cancelling(job_id, token)
        if job.state == State.CANCELLING:
            return move(job, State.CANCELLED, note="cancelled while it failed", stage="")
        return move(
            job,
            State.FAILED,
            note=message,
            stage="",
            error_code=code[:40],
            error_message=message,
            error_detail=detail[-20_000:],
            reason=code[:40],
        )


def job_cancelled(*, job_id: UUID, token: int) -> Job:
    """Acknowledge a cancel: the work has stopped and nothing of it was kept. Raises LeaseLost when stale."""
    with transaction.atomic():
        job = _held_or_cancelling(job_id, token)
        return move(job, State.CANCELLED, note="stopped by the worker", stage="", message="")


def job_requeue(*, job_id: UUID, token: int, note: str, detail: str = "") -> Job:
    """Give the job back after trouble that may pass (disk, network, memory); fails it after the last attempt.

    Raises LeaseLost for a stale token.
    """
    with transaction.atomic():
        job = _held_or_cancelling(job_id, token)
        if job.state == State.CANCELLING:
            return move(job, State.CANCELLED, note="cancelled after an error", stage="")
        if job.attempts >= job.max_attempts:
            message = (
                f"The work failed {job.attempts} times with an unexpected error. Nothing was saved. "
                f"Try again later, or give an administrator this reference: {str(job.pk)[:8]}."
            )
            return move(
                job,
                State.FAILED,
                note=note,
                stage="",
                error_code="unexpected",
                error_message=message,
                error_detail=detail[-20_000:],
                reason="unexpected",
            )
        delay = timedelta(seconds=settings.JOB_RETRY_SECONDS * 2 ** (job.attempts - 1))
        return _back_to_queue(job, note=note, delay=delay, error_detail=detail[-20_000:])


def job_release(*, job_id: UUID, token: int, note: str) -> Job:
    """Give the job back untouched because this worker is being stopped in good order; costs no attempt.

    Raises LeaseLost for a stale token.
    """
    with transaction.atomic():
        job = _held_or_cancelling(job_id, token)
        if job.state == State.CANCELLING:
            return move(job, State.CANCELLED, note="cancelled at shutdown", stage="")
        return _back_to_queue(job, note=note, attempts=max(0, job.attempts - 1))


def job_lost(*, job_id: UUID, token: int, note: str) -> Job:
    """A worker reports that it hangs on this job and is about to end itself. Raises LeaseLost when stale."""
    with transaction.atomic():
        return job_worker_lost(job=_held_or_cancelling(job_id, token), note=note)


def job_worker_lost(*, job: Job, note: str) -> Job:
    """The worker that held this locked job died or hung: queue it again, or set it aside for good."""
    open_cases_clear_after_commit(job)
    if job.state == State.CANCELLING:
        return move(job, State.CANCELLED, note=f"cancelled; {note}", stage="")
    kills = job.kills + 1
    if kills < settings.JOB_MAX_KILLS:
        return _back_to_queue(job, note=note, kills=kills)
    message = (
        f"This job stopped its worker {kills} times ({note}), so it was set aside and will not run again "
        "by itself. Nothing was saved. Try again with fewer images or other settings, or give an "
        f"administrator this reference: {str(job.pk)[:8]}."
    )
    return move(
        job,
        State.FAILED,
        note=note,
        stage="",
        kills=kills,
        error_code="quarantined",
        error_message=message,
        reason="quarantined",
    )


def _held_or_cancelling(job_id: UUID, token: int) -> Job:
    job = job_locked(job_id)
    if job is None or job.lease_token != token or job.state not in Job.HELD:
        raise LeaseLost(f"token {token} no longer holds job {job_id}")
    return job


def _back_to_queue(job: Job, *, note: str, delay: timedelta = timedelta(0), **changes: Any) -> Job:
    now = database_now()
    move(
        job,
        State.QUEUED,
        note=note,
        at=now,
        available_at=now + delay,
        stage="",
        step=0,
        progress=0.0,
        message="",
        preview="",
        **changes,
    )
    wake_after_commit(queue=job.queue, job_id=job.pk)
    return job
