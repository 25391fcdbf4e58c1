"""What comes late undoes nothing: masks that load slowly, a save on its way, a button pressed twice."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests import factories
from tests.browser.reading import PATIENCE_S, until
from tests.browser.test_viewer import VIEWER, drag, middle, open_case, workspace
from webapp.cases.selectors import mask_array
from webapp.jobs import views_requests
from webapp.jobs.models import SynthesisRequest


@pytest.fixture
def painter(site: str) -> Any:
    return factories.person("clinician")


@pytest.fixture
def case(painter: Any) -> Any:
    return factories.case(dataset=factories.dataset(shares={painter: "annotate"}), slices=4, name="Small CT")


@pytest.fixture
def masks(case: Any, painter: Any) -> tuple[Any, Any]:
    """Two masks of the case: the spleen's, and the liver's, which is newer and opened first."""
    return factories.mask(case, painter, name="Spleen", value=7), factories.mask(case, painter, name="Liver")


def held(page: Any, address: str) -> list[Any]:
    """Requests to an address as they come; each waits until the test lets it go on."""
    waiting: list[Any] = []
    page.route(address, lambda route: waiting.append(route))
    return waiting


def asked_for(page: Any, waiting: list[Any]) -> Any:
    """The one request that is held, once it has come."""
    until(lambda: page.evaluate("() => true") and waiting)  # Playwright sees to requests while it is asked
    (route,) = waiting
    return route


def paint(page: Any) -> None:
    x, y = middle(page)
    page.keyboard.press("b")
    drag(page, (x - 60, y), (x + 60, y))
    workspace(page, "unsaved")


def shows(page: Any, mask: Any) -> None:
    page.locator(f'.workspace[data-mask-id="{mask.pk}"][data-mask-state="saved"]').wait_for()


def test_a_mask_that_comes_late_leaves_the_focus_where_it_is(page, site, sign_in, painter, case, masks):
    sign_in(page, painter)
    late = held(page, f"**/masks/{masks[1].pk}/voxels")
    open_case(page, site, case, f"?mask={masks[1].pk}")
    slider = page.locator("[data-slider]")
    slider.focus()
    asked_for(page, late).continue_()
    shows(page, masks[1])
    page.locator(f"{VIEWER}[data-renderer]").wait_for()
    expect(slider).to_be_focused()


def test_of_two_masks_the_one_chosen_last_is_shown(page, site, sign_in, painter, case, masks):
    spleen, liver = masks
    sign_in(page, painter)
    late = held(page, f"**/masks/{liver.pk}/voxels")
    open_case(page, site, case, f"?mask={liver.pk}&slice=1")
    first = asked_for(page, late)
    page.locator("[data-mask=select]").select_option(str(spleen.pk))
    shows(page, spleen)
    page.locator("[data-viewport]").focus()
    with page.expect_event("requestfinished"):
        first.continue_()
    paint(page)
    page.keyboard.press("Control+s")
    page.get_by_text("Saved: Spleen, version 2.").wait_for()
    assert sorted(case.masks.values_list("name", "version")) == [("Liver", 1), ("Spleen", 1), ("Spleen", 2)]
    assert (mask_array(case.masks.get(version=2)) > 0).sum() > (mask_array(spleen) > 0).sum()


def test_painting_goes_on_while_a_mask_is_fetched_and_is_not_lost(page, site, sign_in, painter, case, masks):
    spleen, liver = masks
    sign_in(page, painter)
    late = held(page, f"**/masks/{spleen.pk}/voxels")
    open_case(page, site, case, f"?mask={liver.pk}&slice=1")
    shows(page, liver)
    page.locator("[data-mask=select]").select_option(str(spleen.pk))
    page.locator("[data-viewport]").focus()
    paint(page)
    with page.expect_event("dialog") as asked:
        asked_for(page, late).continue_()
    assert asked.value.type == "confirm"
    asked.value.dismiss()
    page.get_by_text("Your painting is still here.").wait_for()
    workspace(page, "unsaved")
    expect(page.locator("[data-mask=select]")).to_have_value(str(liver.pk))


def test_the_brush_waits_for_the_mask_that_is_being_fetched(page, site, sign_in, painter, case, masks):
    sign_in(page, painter)
    late = held(page, f"**/masks/{masks[1].pk}/voxels")
    open_case(page, site, case, f"?mask={masks[1].pk}&slice=1")
    first = asked_for(page, late)
    page.keyboard.press("b")
    expect(page.locator(VIEWER)).to_have_attribute("data-tool", "brush")
    expect(page.locator(".workspace")).to_have_attribute("data-mask-state", "none")
    first.continue_()
    shows(page, masks[1])


def test_a_mask_is_saved_once_and_until_then_leaving_asks(page, site, sign_in, painter, case):
    sign_in(page, painter)
    open_case(page, site, case, "?slice=1")
    page.keyboard.press("b")
    workspace(page, "saved")
    paint(page)
    late = held(page, f"**{reverse('cases:mask-list', args=[case.pk])}")
    page.keyboard.press("Control+s")
    saving = asked_for(page, late)
    page.keyboard.press("Control+s")
    page.get_by_text("The mask is being saved.").wait_for()
    workspace(page, "unsaved")
    with page.expect_event("dialog") as asked:
        page.evaluate("() => { setTimeout(() => location.reload()); }")
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    saving.continue_()
    page.get_by_text("Saved: Painted mask, version 1.").wait_for()
    workspace(page, "saved")
    assert np.any(mask_array(case.masks.get()))
    assert len(late) == 1


def test_a_button_pressed_twice_hands_in_once(page, site, sign_in, painter, monkeypatch):
    came, answered, submit = threading.Event(), threading.Event(), views_requests._submit

    def late(*asked: Any) -> Any:
        answer = submit(*asked)
        came.set()
        answered.wait(timeout=PATIENCE_S)
        return answer

    monkeypatch.setattr(views_requests, "_submit", late)
    factories.generative_model(title="Abdomen")
    sign_in(page, painter)
    page.goto(site + reverse("jobs:synthesise"))
    page.locator("#check .check__line").wait_for()
    make = page.get_by_role("button", name="Make the images")
    with page.expect_request("**/healthz?pressed"):  # that the second press was made, whatever came of it
        make.evaluate(
            """(one) => {
                one.click();
                setTimeout(() => { one.click(); void fetch('/healthz?pressed'); }, 1000);
            }"""
        )
    assert came.wait(timeout=PATIENCE_S)
    answered.set()
    page.locator("#job-live").wait_for()
    assert SynthesisRequest.objects.count() == 1
    page.go_back()
    make.click()
    page.locator("#job-live").wait_for()
    assert SynthesisRequest.objects.count() == 2
