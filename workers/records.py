"""Records work, free of torch: imports, exports and reports."""

from __future__ import annotations

from typing import Any

from synthesis.errors import SynthesisError
from webapp.cases.models import ImportState
from webapp.cases.services import import_execute
from webapp.jobs.downloads import results_export
from webapp.jobs.selectors import job_for_worker
from webapp.readings.services_report import report_execute
from workers.lease import Work

FILE_SECONDS = 300.0  # for one file of an import, a large zip included
EXPORT_SECONDS = 600.0
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
    """Write the chosen results of one person as one archive; `outcome["file"]` names it in the storage."""
    job = job_for_worker(work.job_id)
    wanted = [str(one) for one in job.payload.get("result_ids", [])]
    if not wanted:
        raise SynthesisError("No results were chosen, so there is nothing to export.")
    work.stage("exporting", seconds=EXPORT_SECONDS, message="Writing the archive")

    def on_step(done: int, total: int) -> None:
        work.step(done, total, message=f"Result {done} of {total}")

    name = f"exports/{work.job_id}/{work.token}.zip"
    stored = results_export(
        user=job.owner, result_ids=wanted, form=job.payload.get("form", "dicom"), name=name, on_step=on_step
    )
    return {"file": stored, "results": len(wanted)}


def report_reading(work: Work) -> dict[str, Any]:
    """Analyse one unblinded reader study and keep its report."""
    job = job_for_worker(work.job_id)
    work.stage("analysing", seconds=REPORT_SECONDS, message="Analysing the answers")

    def on_step(done: int, total: int) -> None:
        work.step(done, total, message="Analysed")

    report = report_execute(user=job.owner, reading_id=job.payload["reading_id"], on_step=on_step)
    return {"report": str(report.pk), "seconds": round(report.seconds, 2)}
