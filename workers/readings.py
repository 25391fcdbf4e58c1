"""Preparing reader studies on the records worker, free of torch."""

from __future__ import annotations

from webapp.jobs.selectors import job_for_worker
from webapp.readings.audit.collect import collect
from webapp.readings.preparing import preparation_make, preparation_store
from workers.lease import Work, handler_outcome

STAGE_SECONDS = 1800.0  # harmonising, or auditing, up to 2,000 items


def prepare_reading(work: Work) -> None:
    """Harmonise both arms of a reader study, audit what a reader would receive, and mark the job done."""
    job = job_for_worker(work.job_id)

    def on_stage(name: str, message: str) -> None:
        work.stage(name, seconds=STAGE_SECONDS, message=message)

    def on_step(done: int, total: int, message: str) -> None:
        work.step(done, total, message=message)

    prepared = preparation_make(
        reading_id=job.payload["reading_id"],
        job_id=work.job_id,
        token=work.token,
        collect=collect,
        on_stage=on_stage,
        on_step=on_step,
    )
    with work.closing():
        outcome = handler_outcome(work, {})
        preparation_store(job_id=work.job_id, token=work.token, prepared=prepared, outcome=outcome)
        work.finished = True
