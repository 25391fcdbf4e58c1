"""What pages and lists of counterfactuals read of the stacks that are kept with them, and how often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests import factories
from tests.factories_edits import CHANGE, edited_result, phantom_case
from tests.factories_series import series_result
from webapp.jobs.models import Job
from webapp.jobs.services import strip_submit
from webapp.jobs.strips import strip_cells

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]
STACKS = ('"jobs_edited"."original"', '"jobs_edited"."undone"')


@pytest.fixture
def clinician(db: None) -> Any:
    return factories.person("clinician")


def test_lists_leave_the_stacks_unread(client_of: Any, clinician: Any, storage: Path) -> None:
    """Only the one picture that is asked for is read, of the one result that it is of."""
    result = series_result(clinician)
    browser: Client = client_of(clinician)
    page = reverse("jobs:counterfactual-detail", args=[result.request_id])
    with CaptureQueriesContext(connection) as queries:
        assert browser.get("/api/v1/counterfactuals/").status_code == 200
    assert any('"jobs_edited"."numbers"' in query["sql"] for query in queries)
    assert not any(name in query["sql"] for query in queries for name in STACKS)
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(page).status_code == 200
    named = [query["sql"] for query in queries if any(name in query["sql"] for name in STACKS)]
    assert named
    assert all('"numbers"' not in sql for sql in named)


def test_strips_leave_the_stacks_unread(clinician: Any, storage: Path) -> None:
    strip = strip_submit(
        user=clinician,
        along="severity",
        model=factories.generative_model(),
        case=(case := phantom_case(clinician)),
        mask=case.masks.get(),
        slice_index=1,
        parameters=CHANGE,
    )
    edited_result(clinician, request=Job.objects.earliest("created_at").request)
    with CaptureQueriesContext(connection) as queries:
        assert any(cell.result is not None for cell in strip_cells(strip))
    assert not any(name in query["sql"] for query in queries for name in STACKS)
