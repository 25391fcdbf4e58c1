"""The counterfactual's journey in a real browser: ask, watch, look, blink, judge, take away."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from django.urls import reverse
from pydicom import dcmread

from tests import factories
from tests.factories_edits import edited_result, phantom_case
from webapp.jobs.models import Result, SynthesisRequest

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
    assert page.locator("#id_slice_number").input_value() == "1"
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
    assert titles.all_inner_texts() == ["Original", "Counterfactual", "Difference", "Undone again"]
    assert viewer.locator(f"{DIFFERENCE}:visible").count() == 1
    assert viewer.locator("[data-difference=legend] .heat-legend__ticks span").all_inner_texts() == [
        *("≤ −50", "0", "≥ +50 HU")
    ]

    viewer.locator(".viewport").first.focus()
    page.keyboard.press("b")
    viewer.locator("[data-blinked=yes]").wait_for()
    assert titles.all_inner_texts()[:2] == ["Original", "Original"]
    assert viewer.locator("[data-status]").inner_text() == "Shown: Original"
    page.keyboard.press("b")
    viewer.locator("[data-blinked=no]").wait_for()
    assert titles.all_inner_texts()[1] == "Counterfactual"
    page.keyboard.press("d")
    viewer.locator(DIFFERENCE).wait_for(state="hidden")
    page.keyboard.press("d")
    viewer.locator(DIFFERENCE).wait_for(state="visible")
    viewer.get_by_label("Opacity").fill("40")
    assert viewer.locator(DIFFERENCE).evaluate("(one) => one.style.opacity") == "0.4"
    assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
    check_accessibility(page)

    page.get_by_role("link", name="Undo the change").click()
    page.locator(f"{VIEWER}[data-state=ready]").wait_for()
    assert titles.all_inner_texts() == [*("Original", "Counterfactual", "Undone again", "What was lost")]
    page.get_by_role("button", name="Accept").click()
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
    from tests.factories_edits import edit_request

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


def test_the_workspace_fits_a_phone(page: Any, site: str, sign_in: Any, clinician: Any, case: Any) -> None:
    from tests.factories_edits import edit_request

    result = edited_result(clinician, request=edit_request(clinician, case=case))
    page.set_viewport_size({"width": 390, "height": 844})
    sign_in(page, clinician)
    for address in (
        reverse("jobs:counterfactual-detail", args=[result.request_id]),
        reverse("jobs:counterfactual-new") + f"?case={case.pk}",
    ):
        page.goto(site + address)
        page.locator("main").wait_for()
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
