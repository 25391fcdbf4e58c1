"""The demo study: made once, the same every time, finished, sound, and labelled wherever it shows."""

import re

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from tests import factories
from webapp.readings.demo import demo_reading_make
from webapp.readings.exports import EXPORTS, reading_export
from webapp.readings.models import Answer, Reading, ReadingReport
from webapp.readings.services_report import SIMULATED

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(storage):
    return {
        "owner": factories.person("data_manager", username="data_manager"),
        "lead": factories.person("study_lead", username="study_lead"),
    }


@pytest.fixture
def demo(people):
    return demo_reading_make(**people)


def test_it_is_finished_and_sound(demo):
    assert demo.state == Reading.State.UNBLINDED
    figures = ReadingReport.objects.get(reading=demo).figures
    assert [check["sentence"] for check in figures["checks"] if not check["ok"]] == []
    design = figures["analysis"]["design"]
    assert (design["synthetic"], design["real"], design["readers"]) == (16, 16, 4)
    assert figures["analysis"]["accuracy"]["value"] > 0.5
    assert figures["analysis"]["controls"]["positive"]["called_synthetic"]["value"] > 0.7
    assert figures["analysis"]["severity"]


def test_a_second_run_makes_nothing_and_another_lead_gets_the_same(demo, people):
    answers = Answer.objects.count()
    assert demo_reading_make(**people) == demo
    assert Answer.objects.count() == answers
    other = demo_reading_make(owner=people["owner"], lead=factories.person("study_lead"))
    first, second = (ReadingReport.objects.get(reading=one).figures["analysis"] for one in (demo, other))
    for analysis in (first, second):
        analysis.pop("protocol")
    assert first == second


def test_its_readers_cannot_sign_in(demo):
    for place in demo.places.select_related("user"):
        assert not place.user.is_active
        assert not place.user.has_usable_password()
        assert place.user.username.startswith("simulated-reader-")


def test_every_page_figure_and_file_says_that_it_is_simulated(demo, people, client_of):
    client = client_of(people["lead"])
    pages = ["reading-report", "report-print", "reading-progress", "reading-detail"]
    for name in pages:
        answer = client.get(reverse(f"readings:{name}", args=[demo.pk]))
        assert SIMULATED in answer.content.decode(), name
    report = client.get(reverse("readings:reading-report", args=[demo.pk])).content.decode()
    figures = set(re.findall(r'data-figure="(\w+)"', report))
    assert len(figures) == 10
    for name in figures:
        for theme in ("dark", "light"):
            answer = client.get(reverse("readings:report-figure", args=[demo.pk, name]), {"theme": theme})
            assert answer.status_code == 200, name
            assert SIMULATED in answer.content.decode(), name
    for kind in EXPORTS:
        file = reading_export(user=people["lead"], reading=demo, kind=kind)
        assert "simulated" in file.name
        if kind != "figures":
            assert SIMULATED in file.content.decode()


def test_the_command_makes_it_and_names_who_is_missing(people, capsys):
    call_command("make_demo_reading")
    assert "simulated readers on phantom cases" in capsys.readouterr().out
    call_command("make_demo_reading")
    assert "is there" in capsys.readouterr().out
    with pytest.raises(CommandError, match="Nobody is named nobody"):
        call_command("make_demo_reading", lead="nobody")
