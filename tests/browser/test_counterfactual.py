"""The counterfactual's journey in a real browser: ask, watch, look, blink, judge, take away."""

from __future__ import annotations

import io
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse
from playwright.sync_api import expect
from pydicom import dcmread

from tests import factories
from tests.browser.reading import PATIENCE_S, until
from tests.factories_edits import CHANGE, edit_request, edited_result, phantom_case
from tests.factories_models import tiny_model
from tests.factories_series import series_result
from webapp.jobs.models import Edited, Result, SynthesisRequest
from webapp.jobs.services import job_claim, job_finish
from workers.lease import Work

VIEWER = "[data-mount=result-viewer]"
DIFFERENCE = "[data-difference=map]"


@pytest.fixture
def clinician(site: str) -> Any:
    return factories.person("clinician")


@pytest.fixture
def case(clinician: Any) -> Any:
    return phantom_case(clinician)


def image_of(archive: bytes) -> Any:
    """The image in a downloaded archive."""
    files = zipfile.ZipFile(io.BytesIO(archive))
    name = next(one for one in files.namelist() if one.endswith("image-0001.dcm"))
    return dcmread(io.BytesIO(files.read(name)))


def test_one_thing_is_changed_looked_at_and_taken_away(
    page: Any, site: str, sign_in: Any, clinician: Any, case: Any, check_accessibility: Any
) -> None:
    factories.generative_model(title="Abdomen")
    sign_in(page, clinician)
    page.goto(site + reverse("cases:case-detail", args=[case.pk]))
    page.locator("[data-mount=case-viewer][data-state=ready]").wait_for()
    page.locator("[data-viewport]").press("Home")
    page.locator("[data-mount=case-viewer][data-slice='1']").wait_for()
    page.locator("[data-counterfactual]").click()
    page.get_by_text("tinted where the change belongs").wait_for()
    expect(page.locator("#id_slice_number")).to_have_value("1")
    check_accessibility(page)
    page.locator("#id_to_severity").select_option("2.5")
    page.get_by_text("Cirrhosis 2.5 of 3", exact=False).first.wait_for()
    page.get_by_role("button", name="Make the change").press("Enter")
    page.locator("#edit-live[data-state=queued]").wait_for()

    request = SynthesisRequest.objects.get()
    assert request.parameters["condition"]["severity_level"] == 2.5
    edited_result(clinician, request=request)  # the worker's part: tests/integration/jobs
    viewer = page.locator(VIEWER)
    page.locator(f"{VIEWER}[data-state=ready]").wait_for()
    titles = viewer.locator(".pane__title")
    expect(titles).to_have_text(["Original", "Counterfactual", "Difference", "Change undone"])
    expect(viewer.locator(f"{DIFFERENCE}:visible")).to_have_count(1)
    ticks = viewer.locator("[data-difference=legend] .heat-legend__ticks span")
    expect(ticks).to_have_text(["≤ −50", "0", "≥ +50 HU"])

    page.keyboard.press("b")  # the first viewport has the focus, so the keys work at once
    viewer.locator("[data-blinked=yes]").wait_for()
    expect(titles.nth(0)).to_have_text("Original")
    expect(titles.nth(1)).to_have_text("Original")
    expect(viewer.locator("[data-status]")).to_have_text("Shown: Original")
    page.keyboard.press("b")
    viewer.locator("[data-blinked=no]").wait_for()
    expect(titles.nth(1)).to_have_text("Counterfactual")
    page.keyboard.press("d")
    viewer.locator(DIFFERENCE).wait_for(state="hidden")
    page.keyboard.press("d")
    viewer.locator(DIFFERENCE).wait_for(state="visible")
    viewer.get_by_label("Opacity").fill("40")
    expect(viewer.locator(DIFFERENCE)).to_have_css("opacity", "0.4")
    assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
    check_accessibility(page)

    page.get_by_role("link", name="Undo the change").click()
    expect(titles).to_have_text(["Original", "Counterfactual", "Change undone", "What was lost"])
    page.get_by_role("button", name="Accept").click()
    page.locator(".badge--ok", has_text="Accepted").wait_for()
    page.locator(f"{VIEWER}[data-state=ready]").wait_for()
    assert Result.objects.get().decision == "accepted"
    with page.expect_download() as download:
        page.get_by_role("button", name="DICOM with mask (zip)").click()
    image = image_of(download.value.path().read_bytes())
    source = case.instances.get(number=case.stack[0][0])
    assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == source.sop_instance_uid


def test_the_colours_lie_on_the_pixels_that_changed(
    page: Any, site: str, sign_in: Any, clinician: Any, case: Any
) -> None:
    result = edited_result(clinician, request=edit_request(clinician, case=case))
    sign_in(page, clinician)
    page.goto(site + reverse("jobs:counterfactual-detail", args=[result.request_id]))
    page.locator(f"{VIEWER}[data-state=ready]").wait_for()
    shares = page.locator(DIFFERENCE).evaluate(
        """(canvas) => {
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          const solid = [], red = [];
          for (let at = 0; at < data.length; at += 4) {
            if (data[at + 3] > 0) { solid.push(at / 4); red.push(data[at]); }
          }
          return [solid.length, Math.min(...red)];
        }"""
    )
    from webapp.jobs.edits import region_of

    assert shares[0] == int(region_of(result.request).sum())
    assert shares[1] > 200  # all of it brighter: orange, not blue


def test_no_cell_is_empty_and_the_legend_comes_and_goes_with_the_mask(
    page: Any, site: str, sign_in: Any, clinician: Any, case: Any, check_accessibility: Any
) -> None:
    result = edited_result(clinician, request=edit_request(clinician, case=case))
    Edited.objects.filter(pk=result.pk).update(undone=b"")
    sign_in(page, clinician)
    page.goto(site + reverse("jobs:counterfactual-detail", args=[result.request_id]))
    page.locator(f"{VIEWER}[data-state=ready]").wait_for()
    panes = page.locator(".panes > .pane")

    def edges(place: int) -> tuple[float, float]:
        box = panes.nth(place).bounding_box()
        assert box is not None
        return round(box["x"]), round(box["x"] + box["width"])

    expect(panes).to_have_count(3)
    until(lambda: edges(2) == (edges(0)[0], edges(1)[1]))  # the difference lies below both others
    page.set_viewport_size({"width": 1920, "height": 1080})
    until(lambda: edges(0)[1] < edges(1)[0] < edges(1)[1] < edges(2)[0])  # beside them where there is room
    page.set_viewport_size({"width": 1280, "height": 800})
    until(lambda: edges(2) == (edges(0)[0], edges(1)[1]))

    page.keyboard.press("m")
    page.locator(f"{VIEWER}[data-mask=shown]").wait_for()
    expect(panes).to_have_count(4)
    expect(page.locator(".pane--legend").get_by_text("liver")).to_have_count(1)
    assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
    check_accessibility(page)
    page.keyboard.press("m")
    page.locator(f"{VIEWER}[data-mask=hidden]").wait_for()
    expect(panes).to_have_count(3)

    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys and mouse")
    expect(keys.get_by_text("Blink to the original and back")).to_be_visible()
    page.keyboard.press("Escape")
    keys.wait_for(state="hidden")


def test_a_wrong_number_is_put_right_where_it_was_entered(
    page: Any, site: str, sign_in: Any, clinician: Any, case: Any, check_accessibility: Any
) -> None:
    factories.generative_model(title="Abdomen")
    sign_in(page, clinician)
    page.goto(site + reverse("jobs:counterfactual-new") + f"?case={case.pk}&slice=1")
    page.get_by_text("tinted where the change belongs").wait_for()
    page.get_by_text("More settings", exact=True).click()
    page.locator("#id_steps").fill("500")
    page.get_by_text("Choose a number from 1 to 64; 500 is outside.").wait_for()
    page.locator("#id_drift").scroll_into_view_if_needed()
    expect(page.get_by_role("button", name="Use 64")).to_be_visible()
    check_accessibility(page)
    page.get_by_role("button", name="Use 64").click()
    expect(page.locator("#id_steps")).to_have_value("64")
    page.get_by_text("tinted where the change belongs").wait_for()
    expect(page.locator("#id_steps")).to_be_visible()  # the settings stay open


def test_a_form_that_asks_in_passing_presses_no_button(
    page: Any, site: str, sign_in: Any, clinician: Any, case: Any
) -> None:
    """A value changes while a button has the focus: the panel is renewed, and nothing is handed in."""
    factories.generative_model(title="Abdomen")
    sign_in(page, clinician)
    for path, button in (
        (reverse("jobs:counterfactual-new"), "Every severity"),
        (reverse("jobs:synthesise"), "Every severity at once"),
    ):
        page.goto(f"{site}{path}?case={case.pk}&slice=1")
        page.locator("#check .check__pictures").wait_for()
        page.get_by_role("button", name=button, exact=True).focus()
        with page.expect_request(lambda request: request.method == "POST") as asked:
            page.locator("#request-form").dispatch_event("change")
        assert asked.value.url.endswith("/check/")
        assert "along=" not in (asked.value.post_data or "")
        asked.value.response().finished()
        expect(page.locator("#check .check__pictures")).to_be_visible()
    assert not SynthesisRequest.objects.exists()


def test_the_workspace_fits_a_phone(page: Any, site: str, sign_in: Any, clinician: Any, case: Any) -> None:
    result = edited_result(clinician, request=edit_request(clinician, case=case))
    page.set_viewport_size({"width": 390, "height": 844})
    sign_in(page, clinician)
    for address, whole in (
        (reverse("jobs:counterfactual-detail", args=[result.request_id]), f"{VIEWER}[data-state=ready]"),
        (reverse("jobs:counterfactual-new") + f"?case={case.pk}", "#check .check__pictures"),
    ):
        page.goto(site + address)
        page.locator(whole).wait_for()
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


class Paced(Work):
    """A worker's job that waits at some of its steps until somebody has seen them."""

    def __init__(self, claim: Any, stops: tuple[int, ...]) -> None:
        super().__init__(claim)
        self.seen = {step: threading.Event() for step in stops}

    def step(self, step: int, total: int, **said: Any) -> None:
        super().step(step, total, **said)
        if step in self.seen and not self.seen[step].wait(timeout=PATIENCE_S):
            raise TimeoutError(f"nobody saw step {step}")


def test_every_step_is_seen_live_and_the_image_follows(
    page: Any,
    site: str,
    sign_in: Any,
    clinician: Any,
    case: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The handler of the workers runs in a thread of this process, with a tiny network."""
    from webapp.registry.services import model_install
    from workers.counterfactuals import counterfactual

    monkeypatch.setattr("workers.lease.PROGRESS_SECONDS", 0.0)
    model = model_install(path=tiny_model(tmp_path / "tiny"))
    options = {"steps": 8, "strength": 1.0, "undo": True}
    request = edit_request(clinician, case=case, model=model, parameters=CHANGE | {"edit": options})
    sign_in(page, clinician)
    page.goto(site + reverse("jobs:counterfactual-detail", args=[request.pk]))
    page.locator("#edit-live[data-state=queued]").wait_for()
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    work = Paced(claim, stops=(3, 30))

    def run() -> None:
        try:
            counterfactual(work)
        finally:
            connection.close()

    worker = threading.Thread(target=run)
    worker.start()
    try:
        page.get_by_text("Making the change, step 3 of 40").wait_for()
        expect(page.locator("#edit-live progress")).to_have_attribute("value", f"{3 / 40:.4f}")
        page.locator("#edit-live .job-page__preview img").wait_for()
        work.seen[3].set()
        page.get_by_text("Undoing the change, step 30 of 40").wait_for()
        expect(page.locator("#edit-live .number", has_text="75 %")).to_have_count(1)
        work.seen[30].set()
        page.locator(f"{VIEWER}[data-state=ready]").wait_for()
    finally:
        for event in work.seen.values():
            event.set()
        worker.join(timeout=PATIENCE_S)
    assert not worker.is_alive()
    assert request.results.count() == 1


def test_a_series_is_scrolled_in_all_viewports(
    page: Any, site: str, sign_in: Any, clinician: Any, check_accessibility: Any
) -> None:
    result = series_result(clinician)
    sign_in(page, clinician)
    page.goto(site + reverse("jobs:counterfactual-detail", args=[result.request_id]))
    viewer = page.locator(VIEWER)
    page.locator(f"{VIEWER}[data-state=ready][data-slice='2']").wait_for()
    corners = viewer.locator(".overlay__corner--top-right")

    def slices(number: int) -> None:
        shown = viewer.locator(".overlay__corner--top-right", has_text=f"Slice {number}/3")
        shown.nth(3).wait_for()

    def coloured() -> int:
        return viewer.locator(DIFFERENCE).evaluate(
            """(canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
              .filter((value, at) => at % 4 === 3 && value > 0).length"""
        )

    expect(corners).to_have_count(4)
    slices(2)
    until(lambda: coloured() > 0)
    expect(viewer.locator("[data-status]")).to_have_text("Slice 2 of the source, changed.")
    viewer.locator(".viewport").first.focus()
    page.keyboard.press("ArrowDown")
    slices(3)
    page.keyboard.press("ArrowDown")  # the last one: nothing lies behind it
    page.keyboard.press("b")
    viewer.locator("[data-blinked=yes]").wait_for()
    slices(3)
    viewer.locator(".viewport").nth(1).hover()
    page.mouse.wheel(0, -120)
    slices(2)
    expect(viewer.locator("[data-blinked=yes]")).to_have_count(1)
    page.keyboard.press("b")
    viewer.locator("[data-blinked=no]").wait_for()
    page.mouse.wheel(0, -120)
    slices(1)
    until(lambda: coloured() == 0)
    note = "Slice 1 of the source, kept as it is: it has no mask."
    viewer.locator("[data-status]", has_text=note).wait_for()
    page.locator("[data-slice-link='2']").click()
    slices(3)
    expect(page.locator("[data-slice-row].is-shown")).to_have_attribute("data-slice-row", "2")
    assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
    check_accessibility(page)


def test_the_severity_is_read_off_the_image(
    page: Any, site: str, sign_in: Any, clinician: Any, case: Any, check_accessibility: Any
) -> None:
    factories.generative_model(title="Abdomen")
    sign_in(page, clinician)
    page.goto(site + reverse("jobs:counterfactual-new") + f"?case={case.pk}&slice=1")
    page.get_by_text("tinted where the change belongs").wait_for()
    page.get_by_role("button", name="Estimate from the image").click()
    waiting = page.locator("#severity-estimate [hx-get]")
    waiting.wait_for()
    status = page.locator("#severity-status")
    expect(status).not_to_be_empty()
    status.evaluate("(node) => { node.firstChild.before_all_polls = true; }")
    with page.expect_response("**/counterfactuals/check/") as checked:
        page.locator("#id_steps").evaluate(
            "(field) => field.dispatchEvent(new Event('change', {bubbles: true}))"
        )
    assert checked.value.finished() is None  # it was not aborted by the polls
    for _ in range(2):  # and they go on: the second is asked once the answer of the first is on the page
        page.wait_for_event("response", lambda one: "/counterfactuals/severity/" in one.url)
    assert status.evaluate("(node) => node.firstChild.before_all_polls")  # nothing is said twice
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    found = {"severity": {"level": 1.62, "read": "mild", "shares": [0.02, 0.38, 0.56, 0.04]}}
    job_finish(job_id=claim.job_id, token=claim.token, outcome=found)
    read = "Read in slice 2: 1.5 (low–mild), 1.6 of 3."
    page.locator("[data-estimate]", has_text=read).wait_for()
    page.locator("#severity-status", has_text=read).wait_for()
    expect(page.locator("#id_was_severity")).to_have_value("1.5")
    page.get_by_text("Cirrhosis 1.5 of 3", exact=False).first.wait_for()
    check_accessibility(page)
