"""Takes jobs back from workers that died or hung; safe to run anywhere, any number of times at once."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from webapp.jobs.claims import job_worker_lost
from webapp.jobs.clock import database_now
from webapp.jobs.exports import exports_expire
from webapp.jobs.models import Job, WorkerHeartbeat
from webapp.jobs.transitions import job_locked

HEARTBEATS_KEPT = timedelta(days=1)


def jobs_reap() -> int:
    """Return every job whose lease or stage limit ran out to the queue, or set it aside; how many.

    On the way, what nobody needs any more is removed: old signs of life, archives whose time is over.
    A stage limit is the worker's own business first (its watchdog ends the process); the reaper steps
    in one lease length later, for a worker so stuck that even its watchdog does not run.
    """
    now = database_now()
    overdue = Q(lease_expires_at__lt=now) | Q(stage_deadline_at__lt=now - _stage_grace())
    lost = Job.objects.filter(overdue, state__in=Job.HELD).values_list("pk", flat=True)
    taken = 0
    for job_id in list(lost):
        with transaction.atomic():
            job = job_locked(job_id, skip_locked=True)
            note = _why(job) if job is not None else ""
            if job is not None and note:
                job_worker_lost(job=job, note=note)
                taken += 1
    WorkerHeartbeat.objects.filter(seen_at__lt=now - HEARTBEATS_KEPT).delete()
    exports_expire()
    return taken


def _stage_grace() -> timedelta:
    return timedelta(seconds=settings.JOB_LEASE_SECONDS)


def _why(job: Job) -> str:
    """Why the locked job is to be taken back, or "" when it is in good hands after all."""
    now = database_now()
    if job.state not in Job.HELD:
        return ""
    if job.lease_expires_at is not None and job.lease_expires_at < now:
        return "the worker stopped without a word"
    if job.stage_deadline_at is not None and job.stage_deadline_at < now - _stage_grace():
        return f"no end of the stage '{job.stage}' within its time limit"
    return ""
