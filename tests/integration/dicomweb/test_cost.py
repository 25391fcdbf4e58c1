"""What one frame costs the database: a fixed, small number of questions, and no attributes."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.integration.dicomweb.addresses import ANY_SYNTAX, instance_address

pytestmark = pytest.mark.django_db


def test_a_frame_asks_the_database_little_and_reads_no_metadata(shared_case, browser):
    address = instance_address(shared_case, "frames", "1")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert browser.get(address, headers={"Accept": ANY_SYNTAX}).status_code == 200
    assert len(asked) <= 6
    assert not any('"cases_instance"."metadata"' in query["sql"] for query in asked)


def test_a_list_of_series_asks_no_more_for_more_instances(shared_case, browser):
    with CaptureQueriesContext(connection) as asked:
        browser.get("/dicomweb/series")
    assert len(asked) <= 6
