"""Writes of the jobs app: hand in work, do it under a lease, cancel it, retry it, keep what came of it."""

from webapp.jobs.claims import (
    Claim,
    Signal,
    job_cancelled,
    job_claim,
    job_fail,
    job_finish,
    job_lost,
    job_progress,
    job_release,
    job_renew,
    job_requeue,
    job_signal,
    job_stage,
)
from webapp.jobs.edits import edit_again, edit_submit
from webapp.jobs.grids import grid_submit, grid_submit_like
from webapp.jobs.heartbeats import heartbeat_record, heartbeat_remove
from webapp.jobs.reaper import jobs_reap
from webapp.jobs.requests import request_again, request_submit
from webapp.jobs.results import Made, result_decide, result_offer, result_reproduce, results_store
from webapp.jobs.severity_estimates import severity_estimate_submit
from webapp.jobs.strips import strip_submit
from webapp.jobs.submission import QuotaReached, job_cancel, job_retry, job_submit
from webapp.jobs.transitions import Conflict, LeaseLost

__all__ = [
    "Claim",
    "Conflict",
    "LeaseLost",
    "Made",
    "QuotaReached",
    "Signal",
    "edit_again",
    "edit_submit",
    "grid_submit",
    "grid_submit_like",
    "heartbeat_record",
    "heartbeat_remove",
    "job_cancel",
    "job_cancelled",
    "job_claim",
    "job_fail",
    "job_finish",
    "job_lost",
    "job_progress",
    "job_release",
    "job_renew",
    "job_requeue",
    "job_retry",
    "job_signal",
    "job_stage",
    "job_submit",
    "jobs_reap",
    "request_again",
    "request_submit",
    "result_decide",
    "result_offer",
    "result_reproduce",
    "results_store",
    "severity_estimate_submit",
    "strip_submit",
]
