"""Slices of a changed series that were kept as they are: none of them is read as synthetic."""

import pytest

from tests import factories
from tests.factories_series import series_result
from webapp.jobs.services import result_offer
from webapp.readings.models import ItemTruth
from webapp.readings.services import reading_create
from webapp.readings.services_items import SliceRule, item_add_results

pytestmark = pytest.mark.django_db
WHY = "holds slices that show the source as it is; choose changed slices alone"


@pytest.fixture
def lead(storage):
    """A study lead."""
    return factories.person("study_lead")


@pytest.fixture
def series(storage):
    """A series of three slices whose first was kept, offered to study leads."""
    maker = factories.person("clinician")
    result = series_result(maker)
    assert result.recipe["slices"]["edited"] == [1, 2]
    result_offer(user=maker, result=result, offered=True)
    return result


@pytest.mark.parametrize(
    ("rule", "enters"),
    [
        (SliceRule(rule="all"), False),
        (SliceRule(rule="index", first=0), False),
        (SliceRule(rule="range", first=0, count=2), False),
        (SliceRule(rule="range", first=1, count=2), True),
        (SliceRule(rule="index", first=2), True),
        (SliceRule(rule="middle"), True),
    ],
)
def test_real_pixels_never_enter_the_synthetic_arm(lead, series, rule, enters) -> None:
    empty = reading_create(user=lead, title="Livers")
    added = item_add_results(user=lead, reading=empty, results=[series], slices=rule)
    assert len(added.items) == enters
    assert added.left_out == ([] if enters else [(series.case.name, WHY)])
    assert ItemTruth.objects.filter(item__reading=empty).count() == enters
