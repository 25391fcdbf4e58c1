"""The state machine of a job: every change is a compare-and-set that raises the sequence by one."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext as _

from synthesis.errors import Cancelled
from webapp.cases.services import import_stop
from webapp.jobs.clock import database_now
from webapp.jobs.models import Job, JobEvent
from webapp.jobs.uploads import upload_clear_after_commit

State = Job.State

NEXT: dict[str, frozenset[str]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset(
        {State.QUEUED, State.CANCELLING, State.SUCCEEDED, State.FAILED, State.CANCELLED}
    ),
    State.CANCELLING: frozenset({State.CANCELLED, State.FAILED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}


class LeaseLost(Exception):
    """The caller no longer holds the job: its fencing token is stale. Nothing may be written."""


class Conflict(Exception):
    """Somebody else changed the job's state first; read it again."""


def job_locked(job_id: UUID, *, skip_locked: bool = False) -> Job | None:
    """The job's row, locked for the current transaction; None where it is gone (or held by another)."""
    skip = skip_locked and connection.features.has_select_for_update_skip_locked
    return Job.objects.select_for_update(skip_locked=skip, of=("self",)).filter(pk=job_id).first()


def job_held(job_id: UUID, token: int) -> Job:
    """The locked row of a job that `token` still holds and nobody asked to cancel.

    Raises LeaseLost for a stale token, Cancelled where the person cancelled in the meantime.
    """
    job = job_locked(job_id)
    if job is None or job.lease_token != token or job.state not in Job.HELD:
        raise LeaseLost(f"token {token} no longer holds job {job_id}")
    if job.state == State.CANCELLING:
        raise Cancelled("The job was cancelled.")
    return job


def move(job: Job, to: str, *, note: str = "", at: datetime | None = None, **changes: Any) -> Job:
    """Change a job's state, provided that nobody changed it since `job` was read.

    Leaving a held state drops the lease; entering a finished one stamps the time.
    Raises ValueError for a step that the state machine does not have, Conflict when it lost the race.
    """
    if to not in NEXT[job.state]:
        raise ValueError(f"a {job.state} job cannot become {to}")
    at = at or database_now()
    if to not in Job.HELD:
        changes.update(lease_owner="", lease_expires_at=None, stage_deadline_at=None)
    if to in (State.QUEUED, State.FAILED, State.CANCELLED):
        changes.setdefault("outcome", {})
    if to in Job.FINISHED:
        changes["finished_at"] = at
    changes.update(state=to, sequence=job.sequence + 1, updated_at=at)
    if not Job.objects.filter(pk=job.pk, state=job.state, sequence=job.sequence).update(**changes):
        raise Conflict(f"job {job.pk} changed while it was being moved to {to}")
    for name, value in changes.items():
        setattr(job, name, value)
    JobEvent.objects.create(job=job, sequence=job.sequence, state=to, note=note[:300], at=at)
    if to == State.CANCELLED:
        upload_clear_after_commit(job)
    run_id = job.payload.get("run_id") if job.kind == "import_cases" else None
    if run_id and to in (State.FAILED, State.CANCELLED):
        stopped = _("The import was stopped; what was taken stays.")
        message = job.error_message if to == State.FAILED else stopped
        transaction.on_commit(partial(import_stop, run_id=run_id, message=message))
    return job
