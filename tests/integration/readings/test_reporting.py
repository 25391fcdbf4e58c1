"""The report of a study: refused while blinded, computed from the answers, checked against hand counts."""

import json
from collections import Counter

import numpy as np
import pytest
from django.urls import reverse

from tests import factories, factories_readings
from webapp.core.errors import Conflict
from webapp.core.models import AuditEvent
from webapp.readings.models import Answer, ItemTruth, Place
from webapp.readings.report import document
from webapp.readings.services_report import SIMULATED, report_execute
from webapp.readings.simulated import Behaviour, readers_simulate

pytestmark = pytest.mark.django_db

GOOD, POOR = Behaviour(d_prime=1.5, seconds=6.0), Behaviour(d_prime=0.0, criterion=0.4, attention=0.0)


def simulated(real: int = 6, synthetic: int = 6, behaviours: tuple[Behaviour, ...] = (GOOD, POOR), **options):
    """An open study that simulated readers have read to its end."""
    study = factories_readings.launched(real, synthetic, len(behaviours), **options)
    study.reading.is_simulated = True
    study.reading.save(update_fields=["is_simulated"])
    readers_simulate(reading=study.reading, behaviours=behaviours, seed=3)
    return study


@pytest.fixture
def study(storage):
    return factories_readings.unblinded(
        simulated(training=2, attention=2, repeats=_repeats(0.25), real=7, synthetic=7)
    )


def _repeats(share: float):
    from webapp.readings.protocol import Repeats

    return Repeats(share=share, gap=1)


def reported(study):
    return report_execute(user=study.lead, reading_id=study.reading.pk)


def test_nothing_is_told_before_unblinding(storage, client_of):
    study = simulated()
    client = client_of(study.lead)
    for state in ("open", "closed"):
        if state == "closed":
            factories_readings.closed(study)
        with pytest.raises(Conflict):
            document(study.reading)
        for name, extra in (
            ("reading-report", {}),
            ("report-print", {}),
            ("report-live", {}),
            ("report-figure", {"name": "accuracy"}),
            ("report-item", {"number": 1}),
            ("reading-export", {"kind": "answers"}),
            ("reading-export", {"kind": "json"}),
        ):
            answer = client.get(reverse(f"readings:{name}", kwargs={"id": study.reading.pk, **extra}))
            assert answer.status_code == 409, name
            assert b"unblind it first" in answer.content.lower()


def test_the_counts_are_those_of_the_answers(study):
    figures = reported(study).figures
    analysis = figures["analysis"]
    right = Counter()
    total = Counter()
    for answer in Answer.objects.filter(
        assignment__place__reading=study.reading,
        assignment__repeats=None,
        assignment__item__role="main",
        question="real_or_synthetic",
    ).select_related("assignment__place", "assignment__item__truth"):
        reader = f"Reader {answer.assignment.place.number}"
        truth = answer.assignment.item.truth.arm == "synthetic"
        total[reader] += 1
        right[reader] += answer.value["synthetic"] == truth
    assert {one["reader"]: one["answers"] for one in analysis["readers"]} == dict(total)
    for one in analysis["readers"]:
        assert one["accuracy"]["value"] == pytest.approx(right[one["reader"]] / total[one["reader"]])
    assert analysis["accuracy"]["value"] == pytest.approx(
        np.mean([right[reader] / total[reader] for reader in total])
    )
    assert sum(figures["confidence"]["real"]) + sum(figures["confidence"]["synthetic"]) == sum(total.values())
    assert (
        analysis["repeatability"]["pairs"]
        == Answer.objects.filter(
            assignment__place__reading=study.reading, assignment__repeats__isnull=False
        ).count()
    )
    json.dumps(figures, allow_nan=False)


def test_attention_checks_are_judged_after_unblinding_alone(study):
    figures = reported(study).figures
    assert figures["attention"] == [
        {"reader": "Reader 1", "passed": 2, "answered": 2},
        {"reader": "Reader 2", "passed": 0, "answered": 2},
    ]
    right = figures["analysis"]["controls"]["attention"]["right"]
    assert right["value"] == pytest.approx(0.5)


def test_every_check_holds_and_each_kind_of_tampering_is_seen(study):
    assert [(one["name"], one["ok"]) for one in reported(study).figures["checks"]] == [
        ("protocol", True),
        ("truth", True),
        ("pixels", True),
        ("orders", True),
    ]

    def broken():
        study.reading.refresh_from_db()
        return {one["name"] for one in document(study.reading)["checks"] if not one["ok"]}

    truth = ItemTruth.objects.filter(item__reading=study.reading, item__role="main").first()
    other = "real" if truth.arm == "synthetic" else "synthetic"
    ItemTruth.objects.filter(pk=truth.pk).update(arm=other)
    assert broken() == {"truth"}
    ItemTruth.objects.filter(pk=truth.pk).update(arm=truth.arm)
    item = truth.item
    from django.core.files.storage import default_storage

    path = default_storage.path(item.pixels)
    with open(path, "r+b") as file:
        file.write(b"\x01\x02")
    assert broken() == {"pixels"}
    default_storage.delete(item.pixels)
    assert broken() == {"pixels"}
    study.reading.protocol["alpha"] = 0.1
    study.reading.save()
    assert "protocol" in broken()


def test_deviations_are_told(storage):
    study = simulated(behaviours=(GOOD, POOR, GOOD))
    withdrawn = study.place(3)
    Place.objects.filter(pk=withdrawn.pk).update(state="withdrawn")
    late = factories.person("annotator")
    from webapp.readings.services_places import place_invite

    place_invite(user=study.lead, reading=study.reading, reader=late)
    factories_readings.unblinded(study)
    figures = reported(study).figures
    said = " ".join(figures["deviations"])
    assert "Withdrawn, and counted in no figure" in said
    assert "Invited after the launch" in said
    assert "Reader 4" in said
    assert "12 of 36 planned answers were never given" in said
    assert [one["reader"] for one in figures["analysis"]["readers"]] == ["Reader 1", "Reader 2"]


def test_the_report_is_audited_and_labelled(study, client_of):
    reported(study)
    assert AuditEvent.objects.filter(action="reading.reported", object_id=str(study.reading.pk)).count() == 1
    page = client_of(study.lead).get(reverse("readings:reading-report", args=[study.reading.pk]))
    assert page.status_code == 200
    text = page.content.decode()
    assert SIMULATED in text
    assert study.reading.protocol_sha256 in text
    assert "not significant is not equivalent" in text.lower()


@pytest.mark.parametrize("role", factories.ROLES)
def test_to_others_it_does_not_exist(study, client_of, role):
    reported(study)
    client = client_of(factories.person(role))
    for name, extra in (
        ("reading-progress", {}),
        ("reading-report", {}),
        ("report-print", {}),
        ("report-figure", {"name": "accuracy"}),
        ("report-item", {"number": 1}),
        ("reading-export", {"kind": "answers"}),
    ):
        answer = client.get(reverse(f"readings:{name}", kwargs={"id": study.reading.pk, **extra}))
        assert answer.status_code == 404, name


def test_a_reader_of_the_study_sees_no_report(study, client_of):
    reported(study)
    client = client_of(study.readers[0])
    answer = client.get(reverse("readings:reading-report", args=[study.reading.pk]))
    assert answer.status_code == 404


def test_answers_without_a_side_count_for_the_curve_alone(storage):
    from webapp.readings.protocol import Question

    primary = Question.make(
        type="real_or_synthetic", name="real_or_synthetic", label="Which?", scale="5", forced=False
    )
    study = factories_readings.unblinded(simulated(12, 12, questions=(primary,)))
    figures = reported(study).figures
    answers = list(Answer.objects.select_related("assignment__place", "assignment__item__truth"))
    undecided = [answer for answer in answers if answer.value["synthetic"] is None]
    assert undecided
    assert f"{len(undecided)} answers chose no side" in " ".join(figures["deviations"])
    for number, reader in enumerate(figures["analysis"]["readers"], start=1):
        own = [answer for answer in answers if answer.assignment.place.number == number]
        truth = np.array([answer.assignment.item.truth.arm == "synthetic" for answer in own])
        score = np.array([answer.value["score"] for answer in own])
        sided = [answer for answer in own if answer.value["synthetic"] is not None]
        right = [
            answer.value["synthetic"] == (answer.assignment.item.truth.arm == "synthetic") for answer in sided
        ]
        assert reader["accuracy"]["value"] == pytest.approx(np.mean(right))
        pairs = score[truth][:, None] - score[~truth][None, :]
        assert reader["auc"]["value"] == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert figures["analysis"]["auc"]["sentence"] in figures["analysis"]["headline"]


def test_readers_do_not_see_what_the_lead_noted_for_the_report(storage, client_of):
    study = factories_readings.launched(4, 4, 1)
    study.reading.summary = "Half of the livers were made by abdomen-2d."
    study.reading.save(update_fields=["summary"])
    page = client_of(study.readers[0]).get(reverse("readings:take-welcome", args=[study.place().pk]))
    assert page.status_code == 200
    assert study.reading.summary not in page.content.decode()
