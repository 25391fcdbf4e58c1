"""Asking for the report of an unblinded study, computing it as a job, and keeping it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from webapp.core.errors import Conflict
from webapp.core.permissions import require
from webapp.core.services import audit_record
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit
from webapp.readings.gathering import require_unblinded
from webapp.readings.models import Reading, ReadingReport

KIND = "report_reading"
SIMULATED = "Simulated readers on phantom cases"
"""What every page, figure and file of a simulated study says."""


@transaction.atomic
def report_request(*, user: Any, reading: Reading) -> Job:
    """Have the report computed; where that is under way already, the job that does it.

    Raises Http404 for whoever may not see the study, Conflict while it is blinded.
    """
    require(user, "view", reading)
    require_unblinded(reading)
    require(user, "export", reading)
    Reading.objects.select_for_update(of=("self",)).get(pk=reading.pk)
    running = report_job(reading)
    if running is not None and running.state in Job.ACTIVE:
        return running
    return job_submit(
        kind=KIND,
        owner=user,
        payload={"reading_id": str(reading.pk), "title": reading.title},
        subject_type="readings.Reading",
        subject_id=reading.pk,
    )


def report_job(reading: Reading) -> Job | None:
    """The newest job that computes or computed the study's report."""
    jobs = Job.objects.filter(kind=KIND, subject_type="readings.Reading", subject_id=reading.pk)
    return jobs.order_by("-created_at").first()


def report_execute(
    *,
    user: Any,
    reading_id: UUID | str,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> ReadingReport:
    """Analyse an unblinded study and keep the report; an earlier one stays beside it.

    `on_step` may raise to stop; then nothing is kept.
    Raises Http404 for whoever may not see the study, Conflict while it is blinded.
    """
    from webapp.readings.report import document  # brings scipy and statsmodels, which no page needs

    reading = Reading.objects.select_related("owner", "preparation").get(pk=reading_id)
    require(user, "view", reading)
    require_unblinded(reading)
    require(user, "export", reading)
    began = time.perf_counter()
    figures = document(reading)
    seconds = time.perf_counter() - began
    on_step(1, 1)
    with transaction.atomic():
        report = ReadingReport.objects.create(reading=reading, figures=figures, seconds=seconds)
        detail = {"seconds": round(seconds, 2), "schema": figures["schema"]}
        audit_record(actor=user, action="reading.reported", obj=reading, detail=detail)
    return report


def report_latest(reading: Reading) -> ReadingReport:
    """The newest report of a study. Raises Conflict where none has been computed yet."""
    report = ReadingReport.objects.filter(reading=reading).first()
    if report is None:
        raise Conflict(_("The report is still being computed. Try again in a moment."), code="no_report")
    return report
