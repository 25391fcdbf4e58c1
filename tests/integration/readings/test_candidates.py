"""What a lead may choose from, narrowed by what cases and results say of themselves."""

import pytest
from django.urls import reverse

from tests import factories, factories_readings
from webapp.readings.candidates import (
    SEPARATOR,
    choices_among,
    drawn,
    narrowed,
    real_candidates,
    synthetic_candidates,
    unused,
)
from webapp.readings.models import ItemTruth
from webapp.readings.protocol import Protocol, Question
from webapp.readings.services import reading_update
from webapp.readings.services_items import item_add_cases

pytestmark = [pytest.mark.django_db, pytest.mark.both]


@pytest.fixture
def lead(storage):
    """A lead with a dataset of three cases and two offered results."""
    lead = factories.person("study_lead")
    dataset = factories.dataset(shares={lead: "view"})
    for severity, age in (("low", 50), ("severe", 60), ("severe", 50)):
        factories.case(dataset=dataset, attributes={"severity": severity, "age": age})
    factories_readings.offered_results(factories.person("clinician"), 2)
    return lead


def test_attributes_are_offered_with_their_counts_and_narrow(lead) -> None:
    offered = dict(choices_among(lead, "real")["attributes"])
    assert offered[f"severity{SEPARATOR}severe"] == "severity: severe (2)"
    cases = real_candidates(user=lead)
    assert narrowed(cases, "real", {"attribute": f"severity{SEPARATOR}severe"}).count() == 2
    assert narrowed(cases, "real", {"attribute": f"age{SEPARATOR}50"}).count() == 2
    assert narrowed(cases, "real", {"attribute": f"age{SEPARATOR}51"}).count() == 0
    assert narrowed(cases, "real", {"modality": "MR"}).count() == 0
    assert narrowed(cases, "real", {"modality": "CT", "search": "case"}).count() == 3
    assert narrowed(synthetic_candidates(user=lead), "synthetic", {"decision": "accepted"}).count() == 0
    assert narrowed(synthetic_candidates(user=lead), "synthetic", {"modality": "CT"}).count() == 2


def test_what_is_in_the_study_is_not_offered_again_and_a_draw_is_repeatable(lead) -> None:
    study = factories_readings.draft(0, 0, lead=lead)
    cases = real_candidates(user=lead).order_by("pk")
    chosen = drawn(cases, 7)
    assert [one.pk for one in chosen] == [one.pk for one in drawn(cases, 7)]
    item_add_cases(user=lead, reading=study.reading, cases=chosen, limit=1)
    assert set(unused(cases, "real", study.reading)) == set(cases) - {chosen[0]}


def test_a_filtered_random_draw_through_the_page(lead, client_of) -> None:
    study = factories_readings.draft(0, 0, lead=lead, one_per_patient=False)
    address = reverse("readings:items-add", args=[study.reading.pk, "real"])
    page = client_of(lead).get(address, {"attribute": f"severity{SEPARATOR}severe"})
    assert "Add from all 2 that match" in page.content.decode()
    form = {"rule": "middle", "role": "main", "which": "all", "draw": 1}
    client_of(lead).post(f"{address}?attribute=severity{SEPARATOR}severe", form)
    assert ItemTruth.objects.get().attributes["severity"] == "severe"


def test_strata_and_right_answers_follow_the_protocol(lead) -> None:
    study = factories_readings.draft(1, 1, lead=lead)
    question = Question.make(type="real_or_synthetic", name="made_up", label="Made up?")
    protocol = Protocol(questions=(question,), stratify=("severity",), seed=1)
    reading_update(user=lead, reading=study.reading, protocol=protocol)
    found = {one.arm: (one.stratum, one.expected) for one in ItemTruth.objects.all()}
    assert found["real"] == ("low", {"made_up": {"synthetic": False}})
    assert found["synthetic"][1] == {"made_up": {"synthetic": True}}
