"""The exports of an unblinded study: read back, counted anew, audited, and naming nobody."""

import csv
import io
import json
import zipfile
from collections import defaultdict

import numpy as np
import pytest
from django.urls import reverse

from tests import factories_readings
from tests.integration.readings.test_reporting import GOOD, POOR, simulated
from webapp.core.models import AuditEvent
from webapp.readings.exports import TIDY
from webapp.readings.figures import FIGURES
from webapp.readings.models import Answer, ItemTruth, Place
from webapp.readings.protocol import Question, Repeats
from webapp.readings.services_report import report_execute

pytestmark = pytest.mark.django_db

QUESTIONS = (
    Question.make(type="real_or_synthetic", name="real_or_synthetic", label="Real or synthetic?"),
    Question.make(type="severity_grade", name="severity", label="How severe?"),
    Question.make(type="free_text", name="why", label="Why?", required=False),
)


@pytest.fixture
def study(storage):
    made = simulated(
        7,
        7,
        (GOOD, POOR),
        training=2,
        attention=2,
        repeats=Repeats(share=0.25, gap=1),
        questions=QUESTIONS,
    )
    made.reading.title = "=HYPERLINK(1) N0: 7"
    made.reading.save(update_fields=["title"])
    main = {"assignment__item__role": "main", "assignment__repeats": None}
    remark = Answer.objects.filter(question="why", **main).order_by("pk").first()
    Answer.objects.bulk_create(
        [
            Answer(
                assignment=remark.assignment,
                question="why",
                value={"text": '=1+1,\n"quoted"'},
                revision=1,
                seconds=3.0,
                submission="8d0c2d3e-0000-4000-8000-000000000001",
            )
        ]
    )
    Place.objects.filter(pk=made.place(2).pk).update(
        experience={"profession": "radiologist", "years": 7, "synthetic_seen": "never"}
    )
    factories_readings.unblinded(made)
    report_execute(user=made.lead, reading_id=made.reading.pk)
    return made


@pytest.fixture
def export(study, client_of):
    def get(kind):
        answer = client_of(study.lead).get(
            reverse("readings:reading-export", kwargs={"id": study.reading.pk, "kind": kind})
        )
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        return answer

    return get


def tidy_rows(export):
    return list(csv.DictReader(io.StringIO(export("answers").content.decode(), newline="")))


def test_the_tidy_file_gives_the_accuracies_of_the_report(study, export):
    rows = tidy_rows(export)
    assert tuple(rows[0]) == TIDY
    right = defaultdict(list)
    for row in rows:
        if row["counted"] == "1" and row["question"] == "real_or_synthetic":
            right[row["reader"]].append(row["correct"] == "1")
    report = study.reading.reports.first().figures["analysis"]
    assert {one["reader"]: one["accuracy"]["value"] for one in report["readers"]} == pytest.approx(
        {reader: np.mean(values) for reader, values in right.items()}
    )
    assert {row["protocol_sha256"] for row in rows} == {study.reading.protocol_sha256}
    assert {row["simulated"] for row in rows} == {"Simulated readers on phantom cases"}
    reasons = {row["not_counted_because"] for row in rows}
    assert reasons == {"", "training", "attention check", "repeat", "revised later"}
    assert len(rows) == Answer.objects.filter(assignment__place__reading=study.reading).count()


def test_the_tidy_file_runs_no_formula_and_keeps_what_was_written(export):
    rows = tidy_rows(export)
    assert {row["study"] for row in rows} == {"'=HYPERLINK(1) N0: 7"}
    assert [row["answer"] for row in rows if row["revision"] == "1"] == ['\'=1+1,\n"quoted"']
    for row in rows:
        for column, cell in row.items():
            assert not cell.startswith(("=", "+", "@")), column


def test_no_export_names_a_reader_a_patient_or_the_lead_s_notes(study, export):
    names = {str(person) for person in study.readers} | {person.username for person in study.readers}
    patients = set(ItemTruth.objects.filter(item__reading=study.reading).values_list("patient", flat=True))
    for kind in ("answers", "imrmc", "json"):
        text = export(kind).content.decode()
        for name in names:
            assert name not in text
        if kind != "json":
            cells = {cell for line in text.splitlines() for cell in line.split(",")}
            assert not cells & patients


def read_imrmc(text):
    """As iMRMC's InputFile and RJafroc's ReadImrmc read it: sizes, truth by case, scores by reader."""
    sizes, rows, begun = {}, [], False
    for line in text.splitlines():
        if begun and line.strip():
            rows.append(line.split(","))
        for name in ("N0", "N1", "NR", "NM"):
            if not begun and f"{name}:" in line.upper():
                sizes[name] = int(line.upper()[3:].strip())
        begun = begun or line.upper().startswith("BEGIN DATA:")
    assert all(len(row) == 4 for row in rows)
    truth = {int(row[1]): int(row[3]) for row in rows if row[0] == "-1"}
    scores = [(row[0], int(row[1]), row[2], float(row[3])) for row in rows if row[0] != "-1"]
    return sizes, truth, scores


def test_imrmc_can_be_read_and_gives_the_areas_of_the_report(study, export):
    sizes, truth, scores = read_imrmc(export("imrmc").content.decode())
    readers = {row[0] for row in scores}
    assert sizes == {
        "N0": list(truth.values()).count(0),
        "N1": list(truth.values()).count(1),
        "NR": len(readers),
        "NM": 1,
    }
    assert {row[1] for row in scores} <= set(truth)
    assert len({row[:3] for row in scores}) == len(scores)
    areas = {}
    for reader in readers:
        real = np.array([score for who, case, _, score in scores if who == reader and not truth[case]])
        made = np.array([score for who, case, _, score in scores if who == reader and truth[case]])
        wins = (made[:, None] > real[None, :]) + 0.5 * (made[:, None] == real[None, :])
        areas[reader.replace("reader", "Reader ")] = wins.mean()
    report = study.reading.reports.first().figures["analysis"]
    assert {one["reader"]: one["auc"]["value"] for one in report["readers"]} == pytest.approx(areas)


def test_the_json_proves_the_truth(study, export):
    from webapp.readings.protocol import sha256_of

    body = json.loads(export("json").content)
    assert sha256_of(body["protocol"]) == study.reading.protocol_sha256
    assert body["protocol"]["truth_sha256"] == sha256_of({"items": body["truth"], "salt": body["truth_salt"]})
    assert body["report"]["simulated"]


def test_every_figure_has_its_numbers(study, export):
    with zipfile.ZipFile(io.BytesIO(export("figures").content)) as archive:
        names = set(archive.namelist())
        assert names <= {f"{name}.csv" for name in FIGURES} | {"README.txt"}
        assert {"accuracy.csv", "roc.csv", "equivalence.csv", "severity.csv"} <= names
        for name in names - {"README.txt"}:
            rows = list(csv.DictReader(io.StringIO(archive.read(name).decode(), newline="")))
            assert {row["protocol_sha256"] for row in rows} == {study.reading.protocol_sha256}
            assert all(row["simulated"] for row in rows)


def test_every_export_is_audited(study, export):
    for kind in ("answers", "imrmc", "json", "figures"):
        export(kind)
    events = AuditEvent.objects.filter(action="reading.exported", object_id=str(study.reading.pk))
    assert [event.detail["kind"] for event in events.order_by("at")] == [
        "answers",
        "imrmc",
        "json",
        "figures",
    ]


def test_an_unknown_kind_is_not_there(study, client_of):
    address = reverse("readings:reading-export", kwargs={"id": study.reading.pk, "kind": "xlsx"})
    assert client_of(study.lead).get(address).status_code == 404
