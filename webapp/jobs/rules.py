"""Who may do what to requests, jobs and results: their own, and administrators may look after jobs."""

from __future__ import annotations

from typing import Any

from webapp.accounts.models import Role, User
from webapp.core.permissions import register
from webapp.jobs.models import EditStrip, Job, Result, SeverityGrid, SynthesisRequest

REQUESTERS = (Role.CLINICIAN, Role.RESEARCHER)
"""The roles that may ask for synthesis."""
WORKING = (Role.CLINICIAN, Role.RESEARCHER, Role.DATA_MANAGER, Role.STUDY_LEAD, Role.ADMINISTRATOR)
"""The roles that have jobs at all: everybody but annotators."""


def may_request(user: User) -> bool:
    """Whether the person's roles let them ask for synthesis."""
    return user.has_role(*REQUESTERS)


def oversees_jobs(user: User) -> bool:
    """Whether the person looks after everybody's jobs."""
    return user.has_role(Role.ADMINISTRATOR)


def _request_view(user: User, item: Any) -> bool:
    if isinstance(item, type):
        return may_request(user)
    return may_request(user) and item.owner_id == user.pk


def _job_view(user: User, job: Any) -> bool:
    if isinstance(job, type):
        return user.has_role(*WORKING)
    return user.has_role(*WORKING) and (job.owner_id == user.pk or oversees_jobs(user))


def _job_retry(user: User, job: Job) -> bool:
    if job.request_id is not None and not may_request(user):
        return False
    return user.has_role(*WORKING) and job.owner_id == user.pk


def _result_view(user: User, result: Any) -> bool:
    if isinstance(result, type):
        return may_request(user)
    return may_request(user) and result.request.owner_id == user.pk


register(
    SynthesisRequest,
    {
        "view": _request_view,
        "create": lambda user, _: may_request(user),
        "request": _request_view,
    },
)
register(SeverityGrid, {"view": _request_view})
register(EditStrip, {"view": _request_view})
register(Job, {"view": _job_view, "cancel": _job_view, "retry": _job_retry})
register(Result, {"view": _result_view, "decide": _result_view, "request": _result_view})
