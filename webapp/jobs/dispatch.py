"""Wakes workers by task name. A lost message costs a poll interval, never a job."""

import logging
from functools import partial
from uuid import UUID

from django.db import transaction
from kombu.exceptions import KombuError, OperationalError

from webapp.celery import app

logger = logging.getLogger(__name__)
WAKE_TASK = "workers.wake"
WAKE_EXPIRES = 60.0  # seconds; by then every idle worker has looked by itself


def wake_after_commit(*, queue: str, job_id: UUID) -> None:
    """Tell the workers of `queue` to look for work once the current transaction is committed."""
    transaction.on_commit(partial(wake, queue=queue, job_id=job_id))


def wake(*, queue: str, job_id: UUID) -> None:
    """Send one wake-up; a broker that is down is logged and survived, since workers also poll."""
    try:
        app.send_task(WAKE_TASK, args=[str(job_id)], queue=queue, retry=False, expires=WAKE_EXPIRES)
    except (OperationalError, KombuError, OSError) as error:
        logger.warning("could not wake queue %s for job %s: %s", queue, job_id, error)
