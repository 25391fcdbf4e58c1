"""The lead's pages, walked through as a browser would."""

import pytest
from django.urls import reverse

from tests import factories, factories_readings
from webapp.readings.models import Reading

pytestmark = [pytest.mark.django_db, pytest.mark.both]

STEPS = ("detail", "basics", "questions", "items", "design", "readers", "prepare", "launch")


def test_every_page_of_a_draft_opens(client_of, storage) -> None:
    study = factories_readings.draft(2, 2)
    client = client_of(study.lead)
    assert client.get(reverse("readings:reading-list")).status_code == 200
    for step in STEPS:
        response = client.get(reverse(f"readings:reading-{step}", args=[study.reading.pk]))
        assert response.status_code == 200, step
        assert study.reading.title in response.content.decode()


def test_every_page_of_a_prepared_and_a_launched_study_opens(client_of, storage) -> None:
    study = factories_readings.prepared(factories_readings.draft(2, 2))
    client = client_of(study.lead)
    for step in (*STEPS, "audit"):
        assert client.get(reverse(f"readings:reading-{step}", args=[study.reading.pk])).status_code == 200, (
            step
        )
    factories_readings.invite(study, 1)
    response = client.post(reverse("readings:reading-launch", args=[study.reading.pk]), follow=True)
    assert "The study is open" in response.content.decode()
    for step in ("detail", "readers", "audit"):
        assert client.get(reverse(f"readings:reading-{step}", args=[study.reading.pk])).status_code == 200, (
            step
        )
    response = client.get(reverse("readings:reading-questions", args=[study.reading.pk]), follow=True)
    assert "has been launched" in response.content.decode()


def test_a_study_is_drawn_up_through_its_pages(client_of, storage) -> None:
    lead = factories.person("study_lead")
    client = client_of(lead)
    dataset = factories.dataset(shares={lead: "view"})
    cases = [factories.case(dataset=dataset) for _ in range(2)]
    for number, case in enumerate(cases):
        case.patient = f"P{number}"
        case.save()
    factories_readings.offered_results(factories.person("clinician"), 2)
    client.post(reverse("readings:reading-new"), {"title": "Liver", "summary": ""})
    reading = Reading.objects.get(owner=lead)

    def at(name: str, *more: object) -> str:
        return reverse(f"readings:{name}", args=[reading.pk, *more])

    basics = {"title": "Livers", "instructions": "Look at each.", "window": "fixed", "prevalence_told": "on"}
    assert client.post(at("reading-basics"), basics).status_code == 302
    question = {"type": "choice", "label": "Which phase?", "choices": "arterial\nportal", "required": "on"}
    assert client.post(at("reading-questions"), question).status_code == 302
    bad = client.post(at("reading-questions"), question | {"choices": "arterial"})
    assert bad.status_code == 400
    assert "different choices" in bad.content.decode()
    adding = {"rule": "middle", "role": "main", "which": "all"}
    assert client.post(at("items-add", "real"), adding).status_code == 302
    assert client.post(at("items-add", "synthetic"), adding).status_code == 302
    items = [str(item.pk) for item in reading.items.all()]
    assert len(items) == 4
    assert client.get(at("item-image", items[0])).headers["Content-Type"] == "image/png"
    client.post(at("items-change"), {"item": items[0], "do": "training", "feedback": "Look at the spine."})
    reading.refresh_from_db()
    assert reading.title == "Livers"
    assert [one["name"] for one in reading.protocol["questions"]] == ["real_or_synthetic", "which_phase"]
    assert reading.items.get(pk=items[0]).feedback == "Look at the spine."
    reader = factories.person("annotator")
    assert client.post(at("reading-invite"), {"reader": reader.username}).status_code == 302
    assert reading.places.get().user == reader


def test_a_study_is_closed_and_unblinded_on_its_page(client_of, storage) -> None:
    study = factories_readings.launched(2, 2, 1)
    client = client_of(study.lead)
    for step, said in (("close", "The study is closed"), ("unblind", "The study is unblinded")):
        page = client.post(reverse(f"readings:reading-{step}", args=[study.reading.pk]), follow=True)
        assert said in page.content.decode()
    page = client.get(reverse("readings:reading-detail", args=[study.reading.pk]))
    assert "Open the report" in page.content.decode()
    assert "unchanged since the launch" in page.content.decode()
