"""Cases whose files a worker is writing: noted on the job, so that a killed worker leaves nothing behind."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.core.files.storage import default_storage
from django.db import transaction

from webapp.cases.files import case_folder, remove_folder
from webapp.cases.models import Case
from webapp.jobs.models import Job
from webapp.jobs.transitions import LeaseLost

NOTED = "open_cases"
"""The key in `Job.outcome`; the outcome proper replaces it in the transaction that keeps the results."""


def open_cases_note(*, job_id: UUID, token: int, case_ids: Sequence[UUID]) -> None:
    """Note, in a transaction of its own, which cases are about to be written. Raises LeaseLost when stale."""
    held = Job.objects.filter(pk=job_id, lease_token=token, state__in=Job.HELD)
    if not held.update(outcome={NOTED: [str(case_id) for case_id in case_ids]}):
        raise LeaseLost(f"token {token} no longer holds job {job_id}")


def open_cases_clear_after_commit(job: Job) -> None:
    """Once the job is out of its lost worker's hands, remove the files of cases that never came to be,
    and its last preview.

    That worker can no longer commit: it would have held the job's row, and then the job would not have
    been taken from it.
    """
    if job.preview:
        transaction.on_commit(partial(default_storage.delete, job.preview))
    noted = job.outcome.get(NOTED, [])
    if noted:
        transaction.on_commit(partial(open_cases_clear, [UUID(one) for one in noted]))


def open_cases_clear(case_ids: Sequence[UUID]) -> None:
    """Remove the files of those cases that have no record; whatever was committed after all stays."""
    kept = set(Case.objects.filter(pk__in=case_ids).values_list("pk", flat=True))
    for case_id in case_ids:
        if case_id not in kept:
            remove_folder(case_folder(case_id))
