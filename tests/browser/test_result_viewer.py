"""The result page's linked viewports in a real browser."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests import factories
from tests.browser.reading import until

VIEWER = "[data-mount=result-viewer]"
LONG_NAME = "CRLM-CT-1004 abdomen with contrast, portal venous phase, after resection"


@pytest.fixture
def clinician(site):
    return factories.person("clinician")


@pytest.fixture
def result(clinician):
    source = factories.case(
        dataset=factories.dataset(shares={clinician: "annotate"}), slices=3, name=LONG_NAME
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
    expect(viewer.locator(".viewport")).to_have_count(3)
    expect(viewer.locator(".pane__title").last).to_have_text("Labels")
    expect(corner(viewer, 0, "top-right")).to_contain_text("Slice 2/3")
    # Every pane with synthetic pixels says so, the source does not.
    for pane, marks in enumerate((0, 1, 1)):
        marked = viewer.locator(".viewport").nth(pane).locator(".overlay__synthetic")
        expect(marked).to_have_count(marks)
    expect(viewer.locator("[data-mask=legend] li")).to_have_text(["liver"])
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
    until(lambda: len({corner(viewer, pane, "bottom-left").inner_text() for pane in range(3)}) == 1)
    page.keyboard.press("k")
    linked = corner(viewer, 0, "bottom-left").inner_text()
    page.keyboard.press("+")
    corner(viewer, 1, "bottom-left").get_by_text(linked, exact=True).wait_for(state="detached")
    assert corner(viewer, 0, "bottom-left").inner_text() == linked


def test_three_panes_and_a_message_fit_the_window(viewer, page):
    """1280x800 without scrolling: the message takes its room from the panes, not from the footer."""
    page.locator("button[value=accepted]").click()
    page.locator("main .notice").wait_for()
    page.locator(f"{VIEWER}[data-mask=shown][data-state=ready]").wait_for()
    assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
    bottoms = page.evaluate(
        "() => [...document.querySelectorAll('.viewer .viewport, .viewer .mask-legend, .viewer')]"
        ".map((one) => one.getBoundingClientRect().bottom)"
    )
    top = page.locator(".footer").bounding_box()["y"]
    assert max(bottoms) <= top
    assert len(bottoms) == 5


def test_a_long_name_ends_before_the_orientation_letter(viewer, page):
    """Cut short with an ellipsis; the whole of it is the corner's title."""
    pane = viewer.locator(".viewport").first
    name = corner(viewer, 0, "top-left")
    line, letter = name.locator(".overlay__line").first, pane.locator(".overlay__letter--top")
    expect(letter).not_to_be_empty()
    assert line.evaluate("(one) => one.scrollWidth > one.clientWidth")
    assert name.get_attribute("title").startswith(LONG_NAME)
    box, mark = line.bounding_box(), letter.bounding_box()
    assert box["x"] + box["width"] < mark["x"]


def test_two_results_of_the_gallery_are_compared_in_linked_viewports(
    page, site, sign_in, clinician, check_accessibility
):
    first, second = factories.result(clinician), factories.result(clinician, seed=8)
    sign_in(page, clinician)
    page.goto(site + reverse("jobs:result-list"))
    tile = page.locator(".tile").filter(has=page.locator(f"a[href$='{first.pk}/']"))
    tile.get_by_text("Compare", exact=True).click()
    page.get_by_text("Choose the result to compare with").wait_for()
    page.locator(f"a[href*='compare/{second.pk}']").click()
    viewer = page.locator(VIEWER)
    page.locator(f"{VIEWER}[data-state=ready]").wait_for()
    assert page.locator(".compared tbody tr").last.inner_text().split() == ["Seed", "7", "8"]
    viewer.locator(".viewport").first.focus()
    before = corner(viewer, 1, "bottom-left").inner_text()
    page.keyboard.press("+")
    corner(viewer, 1, "bottom-left").get_by_text(before, exact=True).wait_for(state="detached")
    # Both masks are fetched and named when somebody asks for them.
    expect(viewer.locator("[data-mask=legend]")).to_have_count(0)
    page.keyboard.press("m")
    page.locator(f"{VIEWER}[data-mask=shown]").wait_for()
    expect(viewer.locator("[data-mask=legend] li")).to_have_text(["liver"])
    viewer.locator(".mask-legend__eye").click()
    expect(viewer.locator(".mask-legend__eye")).to_have_attribute("aria-pressed", "false")
    check_accessibility(page)


def test_axe_finds_nothing_on_the_result_page(viewer, page, check_accessibility):
    check_accessibility(page)
