"""Whoever may no longer see a source: nothing is read of it any more, by a retry or by a waiting job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.http import Http404
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.factories_series import partly_masked_case, series_request, series_result
from webapp.cases.models import Case, DatasetShare
from webapp.cases.selectors import case_list_for
from webapp.core.errors import ApplicationError
from webapp.core.permissions import can
from webapp.jobs.models import Job
from webapp.jobs.series_preparation import series_stack
from webapp.jobs.services import job_cancel, job_retry, severity_estimate_submit
from webapp.jobs.severity_estimates import slice_for_worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]


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


def addresses(result: Any) -> list[str]:
    """Every address that gives out pixels of a result."""
    case = result.case
    web = f"/dicomweb/studies/{case.study_uid}/series/{case.series_uid}"
    return [
        reverse("jobs:result-download", args=[result.pk]) + "?as=dicom",
        reverse("jobs:result-download", args=[result.pk]) + "?as=nifti",
        reverse("jobs:result-image", args=[result.pk]),
        reverse("cases:case-detail", args=[case.pk]),
        f"{web}/metadata",
        web,
    ]


def test_kept_slices_are_seen_no_longer_than_their_source(client_of: Any, clinician: Any, case: Any) -> None:
    result = series_result(clinician, request=series_request(clinician, case=case))
    whole = series_result(clinician, request=series_request(clinician, case=case, slices=(1, 2)))
    browser: Client = client_of(clinician)
    page = reverse("jobs:counterfactual-detail", args=[result.request_id])
    for one in (result, whole):
        assert {browser.get(address).status_code for address in addresses(one)} == {200}
    hide(case, clinician)
    assert {browser.get(address).status_code for address in addresses(result)} == {404}
    answer = browser.get(page)
    assert answer.status_code == 200
    assert "the series is neither shown nor downloaded any more" in answer.content.decode()
    assert result.case.series_uid not in answer.content.decode()
    assert "download/" not in answer.content.decode()
    other = reverse("jobs:result-compare", args=[whole.pk, result.pk])
    assert browser.get(other).status_code == 404
    assert list(case_list_for(user=clinician)) == [whole.case]
    assert {browser.get(address).status_code for address in addresses(whole)} == {200}
    assert (
        "only the counterfactual itself is shown"
        in browser.get(reverse("jobs:counterfactual-detail", args=[whole.request_id])).content.decode()
    )
    DatasetShare.objects.create(dataset=case.dataset, user=clinician, level="view")
    assert {browser.get(address).status_code for address in addresses(result)} == {200}


def test_lists_say_why_a_tile_is_empty(client_of: Any, clinician: Any, case: Any) -> None:
    """A series that is hidden with its source has no picture: its place says so, and asks for none."""
    result = series_result(clinician, request=series_request(clinician, case=case))
    picture = reverse("jobs:result-image", args=[result.pk])
    job = reverse("jobs:job-detail", args=[result.job_id])
    lists = [reverse(f"jobs:{name}") for name in ("result-list", "counterfactual-list", "dashboard")]
    browser: Client = client_of(clinician)
    for address in (*lists, job):
        assert picture in browser.get(address).content.decode()
    hide(case, clinician)
    for address in (*lists, job):
        page = browser.get(address).content.decode()
        assert picture not in page
        assert "no longer shared with you, so it is not shown" in page
        assert reverse("jobs:result-detail", args=[result.pk]) in page
    overseer = client_of(factories.person("administrator"))
    page = overseer.get(job).content.decode()
    assert picture not in page
    assert reverse("jobs:result-detail", args=[result.pk]) not in page


def test_a_series_of_a_series_keeps_what_the_first_kept(clinician: Any, case: Any) -> None:
    first = series_result(clinician, request=series_request(clinician, case=case))
    first.mask.name = "Two slices"
    first.mask.save()
    second = series_result(clinician, request=series_request(clinician, case=first.case))
    assert second.case.derived_from == first.case
    assert can(clinician, "view", second.case)
    hide(case, clinician)
    again = Case.objects.get(pk=second.case_id)
    assert not can(clinician, "view", again)
    assert not case_list_for(user=clinician).exists()
