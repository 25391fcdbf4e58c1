"""Journey 5 in a real browser: a study is built, audited, launched, read, closed, unblinded and reported.

The real arm is CT slices of the shared test data; where it is absent the journey is skipped, and says so
(pydicom's own slice is 85 mm wide, too small to share a field with). The synthetic arm is what the shipped
model makes for a clinician. The report's numbers are checked against a computation of this test's own, by
numpy and scipy alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pydicom
import pytest
from django.core.management import call_command
from django.urls import reverse
from playwright.sync_api import expect
from pydicom.uid import generate_uid
from scipy import stats

from tests import factories
from tests.browser.reading import shown, until
from tests.shared_data import DATA, needs_shared_data
from webapp.cases.services import case_create_from_dicom
from webapp.core.models import AuditEvent
from webapp.jobs.models import Result
from webapp.jobs.services import job_claim, request_submit, result_offer
from webapp.readings.models import Answer, Assignment, ItemTruth, Place, Reading, ReadingReport
from webapp.registry.models import GenerativeModel
from workers.tasks import perform

EACH_ARM = 6
MARGIN = 0.15
NOTE = "A journey with few items, to see the study working from its first page to its last."


# --- what the study is made of


def slices() -> list[bytes]:
    """Slices of a real CT, far apart, each as a series and a patient of its own."""
    folder = DATA / "dicom" / "series_ct_abdomen_CRLM-CT-1004"
    files = []
    for number, path in enumerate(sorted(folder.glob("*.dcm"))[4::6][:EACH_ARM]):
        image = pydicom.dcmread(path)
        image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
        image.FrameOfReferenceUID, image.SOPInstanceUID = generate_uid(), generate_uid()
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.PatientID, image.InstanceNumber = f"slice-{number}", 1
        buffer = io.BytesIO()
        image.save_as(buffer, enforce_file_format=True)
        files.append(buffer.getvalue())
    return files


def work(queue: str, kind: str) -> None:
    """Do all that waits on a queue, as its worker does it; one of it must be of that kind."""
    kinds = []
    while claim := job_claim(queue=queue, worker="journey"):
        kinds.append(claim.kind)
        perform(claim)
    assert kind in kinds


@pytest.fixture
def people(site: str, settings: Any) -> dict[str, Any]:
    """A lead who may look into the dataset, a clinician with offered results, three who read."""
    found = {
        "lead": factories.person("study_lead", username="lead"),
        "clinician": factories.person("clinician", username="clinician"),
        "readers": [factories.person("annotator", username=f"reader{number}") for number in (1, 2, 3)],
    }
    dataset = factories.dataset(name="Real livers", shares={found["lead"]: "view"})
    for number, file in enumerate(slices()):
        case_create_from_dicom(files=[file], name=f"Real {number}", dataset=dataset)
    call_command("install_model", str(settings.WEIGHTS_DIR / "abdomen-2d"), now=True, verbosity=0)
    model = GenerativeModel.objects.get(is_active=True)
    for number in range(EACH_ARM):
        parameters = {"phantom_seed": number, "condition": {"modality": "CT", "severity": "mild"}}
        request_submit(user=found["clinician"], model=model, parameters=parameters, seed=number)
    work("compute", "synthesise")
    results = list(Result.objects.all())
    assert len(results) == EACH_ARM
    for result in results:
        result_offer(user=found["clinician"], result=result, offered=True)
    return found


@pytest.fixture
def tab_of(another_machine: Callable[[], Any], sign_in: Callable[[Any, Any], None]) -> Callable[[Any], Any]:
    """Opens a browser of its own for a person: another machine."""

    def open_tab(person: Any) -> Any:
        page = another_machine()
        sign_in(page, person)
        return page

    return open_tab


# --- the lead


def build(page: Any, site: str, readers: list[Any]) -> Reading:
    """From a title to the readers, on the lead's pages."""
    page.goto(f"{site}/readings/new/")
    page.get_by_label("Title").fill("Livers, real or made")
    page.get_by_role("button", name="Make the study").click()
    page.wait_for_url(re.compile(r"/readings/[0-9a-f-]{36}/"))
    reading = Reading.objects.get()
    root = f"{site}/readings/{reading.pk}"
    for arm in ("real", "synthetic"):
        page.goto(f"{root}/items/add/{arm}/")
        expect(page.locator(".tile--choice")).to_have_count(EACH_ARM)
        page.get_by_role("button", name=re.compile("Add from all")).click()
        page.wait_for_url(f"{root}/items/")
    page.goto(f"{root}/design/")
    page.locator("[name=margin_measure]").select_option("accuracy")
    page.locator("[name=margin_value]").fill(str(MARGIN))
    page.locator("[name=repeat_share]").fill("25")
    page.locator("[name=repeat_gap]").fill("2")
    page.locator("[name=block_size]").fill("4")
    page.get_by_role("button", name="Save and go on").click()
    page.wait_for_url(re.compile(r"/readings/[0-9a-f-]{36}/(?!design)"))
    for reader in readers:
        page.goto(f"{root}/readers/")
        page.get_by_label("Sign-in name").fill(reader.username)
        page.get_by_role("button", name="Invite").click()
        page.get_by_role("cell", name=reader.username).first.wait_for()
    return reading


def audit_and_launch(page: Any, site: str, reading: Reading) -> None:
    """Prepare, read the audit, accept what it found in writing, launch."""
    root = f"{site}/readings/{reading.pk}"
    page.goto(f"{root}/prepare/")
    page.get_by_role("button", name="Prepare and audit").click()
    page.locator("#prepare-live[data-state=preparing]").wait_for()
    work("records", "prepare_reading")
    page.get_by_role("button", name="Read the whole report").click()
    page.get_by_role("heading", name="Harmonisation: before and after").wait_for()
    page.wait_for_load_state()  # the whole report: what asks for an acceptance comes after the heading
    accept = page.get_by_role("button", name="Accept under my name")
    if accept.count():
        page.get_by_label("Why the study is sound").fill(NOTE)
        accept.click()
        page.get_by_text("Accepted. The study can be launched.").wait_for()
    page.goto(f"{root}/launch/")
    page.get_by_role("button", name="Freeze and launch").click()
    page.wait_for_url(f"{root}/")
    page.locator("#reading-progress").wait_for()


# --- the readers


def begin(page: Any, site: str, place: Place) -> None:
    """Answer the questions about oneself and begin."""
    page.goto(site + reverse("readings:take-welcome", kwargs={"place_id": place.pk}))
    page.get_by_label("Your profession").select_option("radiologist")
    page.get_by_label("Years of reading").fill("9")
    page.get_by_label("Synthetic medical images").select_option("never")
    page.get_by_role("button", name="Begin reading").click()


def read(page: Any, place: Place, key_of: Callable[[Assignment], str], first: int, last: int) -> None:
    """Answer the images from number `first` to `last` (from 1) by key."""
    order = list(place.assignments.select_related("item__truth").order_by("position"))
    for number in range(first, last + 1):
        shown(page, number)
        page.keyboard.press(key_of(order[number - 1]))


def knows(assignment: Assignment) -> str:
    """Tells the arms apart, but for the first item of either."""
    is_synthetic = assignment.item.truth.arm == "synthetic"
    doubts = assignment.item.truth.patient in {"slice-0", "phantom 0"}
    return {(True, False): "5", (False, False): "1", (True, True): "2", (False, True): "4"}[
        (is_synthetic, doubts)
    ]


def suspects_all(assignment: Assignment) -> str:
    """Calls nearly everything synthetic."""
    return "2" if assignment.item.number % 5 == 0 else "4"


def counts_on(assignment: Assignment) -> str:
    """Answers by turns, whatever is shown."""
    return "4" if assignment.position % 2 else "2"


def read_with_a_break(site: str, place: Place, tab_of: Callable[[Any], Any], length: int) -> None:
    """Pause after a few images, and go on at another machine."""
    first = tab_of(place.user)
    begin(first, site, place)
    read(first, place, suspects_all, 1, 4)
    first.locator('body[data-item="5"][data-state="ready"]').wait_for()
    first.keyboard.press("Escape")
    until(lambda: Place.objects.get(pk=place.pk).state == "paused")
    second = tab_of(place.user)
    second.goto(f"{site}/readings/")
    second.get_by_role("button", name="Go on").click()
    second.get_by_role("button", name="Go on reading").click()
    read(second, place, suspects_all, 5, length)
    second.get_by_role("heading", name="Thank you").wait_for()


# --- the same numbers, computed anew


def given(reading: Reading) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """called [R, I], score [R, I], truth [I] and the patients of the items, first showings alone."""
    items = list(ItemTruth.objects.filter(item__reading=reading).order_by("item__number"))
    column = {truth.item_id: at for at, truth in enumerate(items)}
    called = np.full((3, len(items)), np.nan)
    score = np.full((3, len(items)), np.nan)
    for answer in Answer.objects.filter(assignment__repeats=None).select_related("assignment__place"):
        at = answer.assignment.place.number - 1, column[answer.assignment.item_id]
        called[at], score[at] = answer.value["synthetic"], answer.value["score"]
    assert not np.isnan(called).any()
    return called, score, np.array([truth.arm == "synthetic" for truth in items]), [t.patient for t in items]


def area(score: np.ndarray, truth: np.ndarray) -> float:
    """P(synthetic > real) + P(equal) / 2 over all pairs."""
    pairs = [(s > r) + 0.5 * (s == r) for s in score[truth] for r in score[~truth]]
    return float(np.mean(pairs))


def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson's 95% interval, written out."""
    z = stats.norm.ppf(0.975)
    centre = (right + z**2 / 2) / (n + z**2)
    half = z * np.sqrt(right * (n - right) / n + z**2 / 4) / (n + z**2)
    return centre - half, centre + half


def hillis(right: np.ndarray, patients: list[str]) -> tuple[float, float, float]:
    """Mean accuracy of readers [R, I], its standard error and degrees of freedom: leaving patients out one
    by one gives the covariances, from which v = MS(R) + R max(Cov2, 0) (Hillis 2014)."""
    readers, cases = len(right), sorted(set(patients))
    without = np.array([[row[[p != case for p in patients]].mean() for case in cases] for row in right])
    n = len(cases)
    covariance = (
        (n - 1)
        / n
        * (without - without.mean(1, keepdims=True))
        @ (without - without.mean(1, keepdims=True)).T
    )
    values = right.mean(1)
    cov2 = max(float(np.mean([covariance[a, b] for a, b in combinations(range(readers), 2)])), 0.0)
    mean_square = float(values.var(ddof=1))
    assert mean_square > covariance.trace() / readers - cov2, "planted readers differ enough"
    v = mean_square + readers * cov2
    return float(values.mean()), float(np.sqrt(v / readers)), float(v**2 / (mean_square**2 / (readers - 1)))


def fleiss(called: np.ndarray) -> float:
    """Fleiss' kappa of two categories, written out (Fleiss 1971)."""
    raters, items = called.shape
    counts = np.stack([called.sum(0), raters - called.sum(0)], axis=1)
    observed = ((counts**2).sum(1) - raters) / (raters * (raters - 1))
    expected = ((counts.sum(0) / (raters * items)) ** 2).sum()
    return float((observed.mean() - expected) / (1 - expected))


def check_numbers(reading: Reading, analysis: dict[str, Any]) -> float:
    """Compare the report with the computation above; returns the accuracy over readers."""
    called, score, truth, patients = given(reading)
    right = (called == truth).astype(float)
    for at, reader in enumerate(analysis["readers"]):
        counts = {
            "true_positive": int(called[at, truth].sum()),
            "false_negative": int((1 - called[at, truth]).sum()),
            "false_positive": int(called[at, ~truth].sum()),
            "true_negative": int((1 - called[at, ~truth]).sum()),
        }
        assert reader["confusion"] == counts
        assert reader["accuracy"]["value"] == pytest.approx(right[at].mean())
        bounds = wilson(int(right[at].sum()), len(truth))
        assert (reader["accuracy"]["low"], reader["accuracy"]["high"]) == pytest.approx(bounds)
        assert reader["sensitivity"]["value"] == pytest.approx(right[at, truth].mean())
        assert reader["specificity"]["value"] == pytest.approx(right[at, ~truth].mean())
        assert reader["auc"]["value"] == pytest.approx(area(score[at], truth))
    mean, error, degrees = hillis(right, patients)
    assert analysis["accuracy"]["value"] == pytest.approx(mean)
    assert analysis["accuracy"]["parts"]["standard_error"] == pytest.approx(error)
    assert analysis["accuracy"]["parts"]["degrees_of_freedom"] == pytest.approx(degrees)
    test = analysis["equivalence"]["accuracy"]
    assert test["preregistered"]
    assert test["p_lower"] == pytest.approx(stats.t.sf((mean - 0.5 + MARGIN) / error, degrees))
    assert test["p_upper"] == pytest.approx(stats.t.cdf((mean - 0.5 - MARGIN) / error, degrees))
    assert analysis["auc"]["value"] == pytest.approx(np.mean([area(row, truth) for row in score]))
    assert analysis["agreement"]["fleiss_kappa"]["value"] == pytest.approx(fleiss(called))
    assert analysis["repeatability"]["pairs"] == Assignment.objects.filter(repeats__isnull=False).count()
    return mean


# --- the journey


@needs_shared_data
def test_a_study_from_its_first_page_to_its_report(page, site, sign_in, people, tab_of):
    sign_in(page, people["lead"])
    reading = build(page, site, people["readers"])
    root = f"{site}/readings/{reading.pk}"
    audit_and_launch(page, site, reading)
    places = list(Place.objects.filter(is_auditor=False).select_related("user").order_by("number"))
    length = places[0].assignments.count()
    assert length == 2 * EACH_ARM + 3

    # --- three people read, one of them with a break and at two machines
    for place, key_of in ((places[0], knows), (places[2], counts_on)):
        reader = tab_of(place.user)
        begin(reader, site, place)
        read(reader, place, key_of, 1, length)
        reader.get_by_role("heading", name="Thank you").wait_for()
    read_with_a_break(site, places[1], tab_of, length)
    until(lambda: Place.objects.filter(state="finished").count() == 3)
    assert Answer.objects.count() == 3 * length

    # --- the lead sees how far they are, and nothing of the truth
    page.reload()
    page.get_by_text("3 of 3 readers finished").wait_for()
    assert page.request.get(f"{root}/report/").status == 409
    assert page.request.get(f"{root}/export/answers/").status == 409

    # --- closes, unblinds, reads the report
    page.get_by_role("button", name="Close the reading").click()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Unblind").wait_for()
    page.wait_for_load_state()
    page.get_by_role("button", name="Unblind").click()
    page.get_by_role("dialog").get_by_role("button", name="Unblind").click()
    page.get_by_text("The answers are being analysed").wait_for()
    work("records", "report_reading")
    page.get_by_role("heading", name="In short").wait_for()
    page.wait_for_load_state()
    report = ReadingReport.objects.get()
    assert [check["sentence"] for check in report.figures["checks"] if not check["ok"]] == []
    accuracy = check_numbers(reading, report.figures["analysis"])
    expect(page.locator(".report-headline")).to_contain_text(f"{100 * accuracy:.1f}%")
    page.get_by_text(Reading.objects.get().protocol_sha256).first.wait_for()
    if AuditEvent.objects.filter(action="reading.leak_accepted").exists():
        page.get_by_text(NOTE).wait_for()
    assert "Simulated" not in page.locator("main").inner_text()

    # --- one audited event, and the files
    assert AuditEvent.objects.filter(action="reading.unblinded").count() == 1
    with page.expect_download() as download:
        page.get_by_role("button", name="iMRMC").click()
    assert download.value.suggested_filename.endswith("-imrmc.imrmc")
