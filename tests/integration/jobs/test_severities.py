"""Grids of severities: handed in all or nothing, on one mask and one seed, and shown as they fill."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.factories_edits import phantom_case
from webapp.core.errors import ApplicationError
from webapp.core.models import AuditEvent
from webapp.jobs.grids import grid_cells, rises
from webapp.jobs.models import Job, Quota, SeverityGrid, SynthesisRequest
from webapp.jobs.requests import labels_of
from webapp.jobs.services import QuotaReached, grid_submit, grid_submit_like, request_again

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]

GRADES = ["none", "low", "mild", "severe"]
PARAMETERS = {"phantom_seed": 4, "condition": {"modality": "CT", "severity": "severe"}}


@pytest.fixture
def grid(clinician: Any) -> Any:
    return grid_submit(user=clinician, model=factories.generative_model(), parameters=PARAMETERS)


def measured(grid: Any, *levels: float | None) -> None:
    """Give the first severities a result whose severity was read as that."""
    for cell, level in zip(grid_cells(grid), levels, strict=False):
        read = None if level is None else {"level": level, "read": GRADES[round(level)], "asked": 0.0}
        factories.result(cell.request.owner, request=cell.request, quality={"severity": read} if read else {})


@pytest.mark.both
def test_one_click_asks_for_four_images_that_differ_in_severity_alone(grid: Any, clinician: Any) -> None:
    cells = grid_cells(grid)
    assert [cell.severity for cell in cells] == GRADES
    assert [cell.request.parameters["condition"]["severity"] for cell in cells] == GRADES
    assert len({cell.request.seed for cell in cells}) == 1
    masks = [labels_of(cell.request) for cell in cells]
    assert all(np.array_equal(masks[0], other) for other in masks)
    assert all(cell.request.count == 1 for cell in cells)
    assert Job.objects.filter(owner=clinician, kind="synthesise").count() == 4
    assert AuditEvent.objects.filter(action="severities.requested").count() == 1
    # The outline is the one that goes with what the form said, not with each grade.
    alone = factories.synthesis_request(clinician, parameters=PARAMETERS)
    assert np.array_equal(masks[0], labels_of(alone))


def test_asking_for_one_of_them_again_keeps_its_mask(grid: Any, clinician: Any) -> None:
    first = grid_cells(grid)[0].request
    again = request_again(user=clinician, request=first)
    assert np.array_equal(labels_of(again), labels_of(first))


@pytest.mark.both
def test_a_quota_without_room_for_four_takes_none(clinician: Any) -> None:
    Quota.objects.create(user=clinician, active_jobs=5)
    model = factories.generative_model()
    for _ in range(2):
        factories.synthesis_request(clinician, model=model)
    with pytest.raises(QuotaReached, match=r"needs 4 jobs at once\. You have 2 .* limit is 5\. Nothing"):
        grid_submit(user=clinician, model=model, parameters=PARAMETERS)
    assert SeverityGrid.objects.count() == 0
    assert Job.objects.filter(owner=clinician).count() == 2


def test_what_one_severity_refuses_no_severity_gets(clinician: Any) -> None:
    wrong = {**PARAMETERS, "sampler": {"name": "rft", "steps": 4, "guidance": 2.0}, "uncertainty": True}
    with pytest.raises(ApplicationError, match="guidance 1 only"):
        grid_submit(user=clinician, model=factories.generative_model(), parameters=wrong)
    assert SynthesisRequest.objects.count() == SeverityGrid.objects.count() == 0


def test_a_result_gives_its_mask_and_seed_to_the_grid(clinician: Any) -> None:
    result = factories.result(clinician, seed=99)
    grid = grid_submit_like(user=clinician, result=result)
    for cell in grid_cells(grid):
        assert cell.request.seed == 99
        assert np.array_equal(labels_of(cell.request), labels_of(result.request))


@pytest.mark.parametrize(
    ("levels", "verdict"),
    [
        ((0.1, 1.0, 2.0, 2.9), True),
        ((0.1, 1.0, 1.02, 2.9), False),
        ((0.1, 2.0, 1.0, 2.9), False),
        ((0.1, 1.0, 2.0), None),
        ((0.1, None, 2.0, 2.9), None),
    ],
)
def test_whether_the_measured_severity_rises(grid: Any, levels: Any, verdict: Any) -> None:
    measured(grid, *levels)
    assert rises(grid_cells(grid)) is verdict


def test_the_page_fills_and_then_compares(grid: Any, clinician: Any, client: Client) -> None:
    client.force_login(clinician)
    page = reverse("jobs:grid-detail", args=[grid.pk])
    fragment = reverse("jobs:grid-fragment", args=[grid.pk])
    measured(grid, 0.1, 1.1)
    text = client.get(page).content.decode()
    assert "2 of 4 are done" in text
    assert f'hx-get="{fragment}"' in text
    assert "Measured 1.10 of 3 (Low)" in text
    assert "HX-Refresh" not in client.get(fragment).headers

    for cell, level in zip(grid_cells(grid)[2:], (2.0, 2.9), strict=True):
        read = {"level": level, "read": GRADES[round(level)], "asked": level}
        factories.result(clinician, request=cell.request, quality={"severity": read})
    Job.objects.filter(request__severities=grid).update(state="succeeded", finished_at=grid.created_at)
    assert client.get(fragment).headers["HX-Refresh"] == "true"
    text = client.get(page).content.decode()
    assert 'data-mount="result-viewer"' in text
    assert "rises from each grade to the next" in text
    assert text.count('"title": ') == 4


def test_job_and_result_lead_back_to_their_grid(grid: Any, clinician: Any, client: Client) -> None:
    client.force_login(clinician)
    measured(grid, 0.1)
    cell = grid_cells(grid)[0]
    there = f'href="{reverse("jobs:grid-detail", args=[grid.pk])}"'
    assert there in client.get(reverse("jobs:job-detail", args=[cell.job.pk])).content.decode()
    assert there in client.get(reverse("jobs:result-detail", args=[cell.result.pk])).content.decode()


def test_the_form_hands_a_grid_in(clinician: Any, client: Client) -> None:
    client.force_login(clinician)
    model = factories.generative_model()
    values = {
        "model": model.pk, "modality": "CT", "severity": "mild", "steatosis": 0, "count": 1,
        "sampler": "rft", "steps": 4, "guidance": 1, "phantom_seed": 3, "seed": 5,
    }  # fmt: skip
    answer = client.post(reverse("jobs:grid-create"), values)
    grid = SeverityGrid.objects.get()
    assert answer.status_code == 302
    assert answer.url == reverse("jobs:grid-detail", args=[grid.pk])
    assert {cell.request.seed for cell in grid_cells(grid)} == {5}
    refused = client.post(reverse("jobs:grid-create"), values | {"steps": 5000})
    assert refused.status_code == 422
    assert SeverityGrid.objects.count() == 1


def test_the_interface_hands_a_grid_in(clinician: Any, client: Client) -> None:
    client.force_login(clinician)
    body = {"model": str(factories.generative_model().pk), "parameters": PARAMETERS, "seed": 8}
    answer = client.post("/api/v1/severities/", body, content_type="application/json")
    assert answer.status_code == 202, answer.content
    document = client.get(answer.headers["Location"]).json()
    assert [cell["severity"] for cell in document["cells"]] == GRADES
    assert document["rises"] is None
    assert all(cell["result"] is None for cell in document["cells"])
    result = factories.result(clinician)
    again = client.post(f"/api/v1/results/{result.pk}/severities/")
    assert again.status_code == 202


@pytest.mark.parametrize("gone", ["case", "mask"])
def test_what_lost_its_source_is_not_made_of_another_anatomy(
    clinician: Any, client: Client, gone: str
) -> None:
    case = phantom_case(clinician)
    mask = case.masks.get()
    parameters = {"condition": {"modality": "CT", "severity": "mild"}}
    item = factories.synthesis_request(clinician, parameters=parameters, case=case, mask=mask)
    result = factories.result(clinician, request=item)
    request_again(user=clinician, request=item)
    {"case": case, "mask": mask}[gone].delete()
    item = SynthesisRequest.objects.get(pk=item.pk)
    asked = SynthesisRequest.objects.count()
    with pytest.raises(ApplicationError, match="source or its mask was deleted") as refused:
        request_again(user=clinician, request=item)
    assert refused.value.code == "source_gone"
    result.request = item
    with pytest.raises(ApplicationError, match="source or its mask was deleted"):
        grid_submit_like(user=clinician, result=result)
    client.force_login(clinician)
    for name in ("result-again", "result-severities"):
        answer = client.post(reverse(f"jobs:{name}", args=[result.pk]), follow=True)
        assert "source or its mask was deleted" in answer.content.decode()
    assert SynthesisRequest.objects.count() == asked
    assert not SeverityGrid.objects.exists()
