"""The result page's linked viewports in a real browser."""

import pytest
from django.urls import reverse

from tests import factories

VIEWER = "[data-mount=result-viewer]"


@pytest.fixture
def clinician(site):
    return factories.person("clinician")


@pytest.fixture
def result(clinician):
    source = factories.case(
        dataset=factories.dataset(shares={clinician: "annotate"}), slices=3, name="Source CT"
    )
    request = factories.synthesis_request(clinician)
    # The source is noted afterwards: pydicom's small image is no abdomen that the pre-flight check lets pass.
    request.case, request.mask, request.slice_index = source, factories.mask(source, clinician), 1
    request.save()
    return factories.result(clinician, request=request)


@pytest.fixture
def viewer(page, site, sign_in, clinician, result):
    sign_in(page, clinician)
    page.goto(site + reverse("jobs:result-detail", kwargs={"id": result.pk}))
    page.locator(f"{VIEWER}[data-state=ready]").wait_for()
    return page.locator(VIEWER)


def corner(viewer, pane, name):
    return viewer.locator(".viewport").nth(pane).locator(f".overlay__corner--{name}")


def test_source_image_and_mask_stand_side_by_side(viewer, page):
    titles = viewer.locator(".pane__title").all_inner_texts()
    assert len(viewer.locator(".viewport").all()) == 3
    assert titles[-1] == "Labels"
    assert "Slice 2/3" in corner(viewer, 0, "top-right").inner_text()
    # Every pane with synthetic pixels says so, the source does not.
    assert [pane.locator(".overlay__synthetic").count() for pane in viewer.locator(".viewport").all()] == [
        0,
        1,
        1,
    ]
    assert viewer.locator("[data-mask=legend] li").all_inner_texts() == ["liver"]
    page.locator(f"{VIEWER}[data-mask=shown]").wait_for()
    viewer.locator(".viewport").nth(1).focus()
    page.keyboard.press("m")
    page.locator(f"{VIEWER}[data-mask=hidden]").wait_for()
    page.keyboard.press("m")
    page.locator(f"{VIEWER}[data-mask=shown]").wait_for()


def test_zoom_and_window_go_together_while_they_are_linked(viewer, page):
    viewer.locator(".viewport").nth(1).focus()
    before = corner(viewer, 0, "bottom-left").inner_text()
    page.keyboard.press("+")
    corner(viewer, 0, "bottom-left").get_by_text(before, exact=True).wait_for(state="detached")
    zooms = {corner(viewer, pane, "bottom-left").inner_text() for pane in range(3)}
    assert len(zooms) == 1
    page.keyboard.press("k")
    linked = corner(viewer, 0, "bottom-left").inner_text()
    page.keyboard.press("+")
    corner(viewer, 1, "bottom-left").get_by_text(linked, exact=True).wait_for(state="detached")
    assert corner(viewer, 0, "bottom-left").inner_text() == linked


def test_axe_finds_nothing_on_the_result_page(viewer, page, check_accessibility):
    check_accessibility(page)
