"""Whoever may no longer see a source: nothing is read of it any more, by a retry or by a waiting job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.http import Http404

from tests import factories
from tests.factories_series import partly_masked_case, series_request
from webapp.cases.models import DatasetShare
from webapp.core.errors import ApplicationError
from webapp.jobs.models import Job
from webapp.jobs.series_preparation import series_stack
from webapp.jobs.services import job_cancel, job_retry, severity_estimate_submit
from webapp.jobs.severity_estimates import slice_for_worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]


@pytest.fixture
def clinician(db: None) -> Any:
    return factories.person("clinician")


@pytest.fixture
def case(clinician: Any, storage: Path) -> Any:
    return partly_masked_case(clinician)


def hide(case: Any, person: Any) -> None:
    """Share the case with the person no longer."""
    DatasetShare.objects.filter(dataset=case.dataset, user=person).delete()


def estimate_job(clinician: Any, case: Any) -> Job:
    """A job that is to read the severity."""
    wish = {"model": factories.generative_model(), "case": case, "mask": case.masks.first()}
    return severity_estimate_submit(user=clinician, **wish, modality="CT", slice_index=1)


@pytest.mark.parametrize("kind", ["series", "estimate"])
def test_what_is_seen_no_longer_is_not_tried_again(clinician: Any, case: Any, kind: str) -> None:
    if kind == "series":
        job = series_request(clinician, case=case).jobs.get()
    else:
        job = estimate_job(clinician, case)
    job_cancel(user=clinician, job=job)
    job.refresh_from_db()
    hide(case, clinician)
    with pytest.raises(Http404):
        job_retry(user=clinician, job=job)
    assert Job.objects.count() == 1
    DatasetShare.objects.create(dataset=case.dataset, user=clinician, level="view")
    assert job_retry(user=clinician, job=job).retry_of == job


def test_a_waiting_job_reads_nothing_that_is_seen_no_longer(clinician: Any, case: Any) -> None:
    request = series_request(clinician, case=case)
    job = estimate_job(clinician, case)
    series_stack(request)
    slice_for_worker(job)
    hide(case, clinician)
    request.refresh_from_db()
    with pytest.raises(ApplicationError, match="no longer shared with you, so nothing was made"):
        series_stack(request)
    with pytest.raises(ApplicationError, match="no longer shared with you, so nothing was read"):
        slice_for_worker(Job.objects.get(pk=job.pk))
