"""Records work, free of torch: imports, exports and reports."""

from __future__ import annotations

from typing import Any

from synthesis.errors import SynthesisError
from webapp.cases.models import ImportState
from webapp.cases.services import dataset_export_execute, dataset_export_forget, import_execute
from webapp.jobs.exports import exports_tidy
from webapp.jobs.selectors import job_for_worker
from webapp.readings.services_report import report_execute
from workers.lease import Work

FILE_SECONDS = 300.0  # for one file of an import, a large zip included
EXPORT_SECONDS = 900.0  # for one case with its masks
REPORT_SECONDS = 900.0


def import_cases(work: Work) -> dict[str, Any]:
    """Take the staged files of one import run into its dataset; each file is a step."""
    job = job_for_worker(work.job_id)
    work.stage("importing", seconds=FILE_SECONDS, message="Looking through the files")
    reached = -1

    def on_step(done: int, total: int, message: str) -> None:
        nonlocal reached
        if done != reached:
            reached = done
            work.stage("importing", seconds=FILE_SECONDS, message=message)
        work.step(min(done, total), total, message=message)

    run = import_execute(run_id=job.payload["run_id"], on_step=on_step)
    if run.state == ImportState.FAILED:
        raise SynthesisError(run.message)
    return {
        "taken": run.taken,
        "changed": run.changed,
        "refused": run.refused,
        "duplicate": run.duplicate,
    }


def export(work: Work) -> dict[str, Any]:
    """Write a dataset as one zip, each case a step; `outcome["file"]` names it in the storage."""
    job = job_for_worker(work.job_id)
    exports_tidy(dataset_id=job.payload["dataset_id"])
    work.stage("exporting", seconds=EXPORT_SECONDS, message="Looking through the dataset")

    def on_step(done: int, total: int, message: str) -> None:
        work.stage("exporting", seconds=EXPORT_SECONDS, message=message)
        work.step(done, total, message=message)

    outcome = dataset_export_execute(
        user=job.owner,
        dataset_id=job.payload["dataset_id"],
        form=job.payload["form"],
        name=f"{work.job_id}-{work.token}.zip",
        on_step=on_step,
    )
    try:
        work.check()
    except Exception:
        dataset_export_forget(file=outcome["file"])
        raise
    return outcome


def report_reading(work: Work) -> dict[str, Any]:
    """Analyse one unblinded reader study and keep its report."""
    job = job_for_worker(work.job_id)
    work.stage("analysing", seconds=REPORT_SECONDS, message="Analysing the answers")

    def on_step(done: int, total: int) -> None:
        work.step(done, total, message="Analysed")

    report = report_execute(user=job.owner, reading_id=job.payload["reading_id"], on_step=on_step)
    return {"report": str(report.pk), "seconds": round(report.seconds, 2)}
