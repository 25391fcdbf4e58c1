"""Thin: a wake-up rouses the executor; a claimed job goes to the function that does its kind of work."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from synthesis.catalog import BACKBONES
from synthesis.errors import Cancelled, SynthesisError
from webapp.celery import app
from webapp.core.errors import ApplicationError
from webapp.jobs.dispatch import WAKE_TASK
from webapp.jobs.kinds import KINDS
from webapp.jobs.models import Job
from webapp.jobs.services import (
    Claim,
    LeaseLost,
    job_cancelled,
    job_fail,
    job_finish,
    job_release,
    job_requeue,
)
from webapp.registry.selectors import backbones_offered, has_adapters_offered
from workers.lease import LeaseKeeper, Stopping, Work, handler_outcome

logger = logging.getLogger(__name__)

Handler = Callable[[Work], dict[str, Any] | None]

# Imported only when a job of the kind is done, so that the records worker never loads torch.
HANDLERS: dict[str, str] = {
    "synthesise": "workers.synthesise:synthesise",
    "counterfactual": "workers.counterfactuals:counterfactual",
    "estimate_severity": "workers.severity:estimate_severity",
    "reproduce": "workers.synthesise:reproduce",
    "install_model": "workers.installation:install_model",
    "install_adapter": "workers.installation:install_adapter",
    "import_cases": "workers.records:import_cases",
    "export": "workers.records:export",
    "prepare_reading": "workers.readings:prepare_reading",
    "report_reading": "workers.records:report_reading",
}

awake = threading.Event()


@app.task(name=WAKE_TASK, ignore_result=True)
def wake(job_id: str) -> None:
    """Look for work now. The id is for the log only: which job runs next is decided by the database."""
    logger.debug("woken for job %s", job_id)
    awake.set()


def handler_for(kind: str) -> Handler:
    """The function that does this kind of work, imported on first use."""
    address = HANDLERS.get(kind) or settings.JOB_HANDLERS.get(kind)
    if address is None:
        raise SynthesisError(f"This installation has no worker that can do '{kind}'.")
    module, _, name = address.partition(":")
    handler: Handler = getattr(import_module(module), name)
    return handler


def preload(queue: str) -> None:
    """Import what the jobs of a queue need, with the large libraries of what is installed and no others.

    The first job would import them otherwise while it holds a lease, on a busy machine for longer than that.
    """
    modules = {HANDLERS[name].partition(":")[0] for name, kind in KINDS.items() if kind.queue == queue}
    if queue == Job.Queue.COMPUTE:
        offered = backbones_offered()
        modules |= {BACKBONES[name].address.partition(":")[0] for name in offered if name in BACKBONES}
        if has_adapters_offered():
            modules.add("synthesis.adapters")
    for module in sorted(modules):
        import_module(module)


def perform(claim: Claim, *, stopping: threading.Event | None = None) -> None:
    """Do one claimed job to its end, whatever the end is; the job's row then says which."""
    work = Work(claim, stopping=stopping)
    logger.info("job %s (%s): begun, attempt %d", claim.job_id, claim.kind, claim.attempts)
    with LeaseKeeper(work):
        try:
            _do(work)
        except LeaseLost as error:
            logger.warning("job %s: %s; nothing was written", claim.job_id, error)
        except DatabaseError:
            # The reaper takes the job back when the lease runs out.
            logger.exception("job %s: the database failed while the job was being ended", claim.job_id)
            connection.close()


def _do(work: Work) -> None:
    held: dict[str, Any] = {"job_id": work.job_id, "token": work.token}
    try:
        outcome = handler_for(work.claim.kind)(work)
        if not work.finished:
            with work.closing():
                job_finish(**held, outcome=handler_outcome(work, outcome))
        logger.info("job %s: done", work.job_id)
    except LeaseLost:
        raise
    except Cancelled:
        with work.closing():
            job_cancelled(**held)
        logger.info("job %s: cancelled", work.job_id)
    except Stopping:
        with work.closing():
            job_release(**held, note="its worker was shut down")
        logger.info("job %s: given back", work.job_id)
    except (SynthesisError, ApplicationError) as error:
        with work.closing():
            job_fail(
                **held,
                code=getattr(error, "code", "") or "refused",
                message=str(error),
                detail=traceback.format_exc(),
            )
        logger.info("job %s: failed: %s", work.job_id, error)
    except Exception as error:
        logger.exception("job %s: unexpected error", work.job_id)
        if isinstance(error, DatabaseError):
            connection.close()
        with work.closing():
            job_requeue(
                **held, note=f"unexpected error ({type(error).__name__})", detail=traceback.format_exc()
            )
