"""Every severity on one page, and the uncertainty map over its image, in a real browser."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests import factories
from tests.browser.reading import until
from webapp.jobs.grids import grid_cells
from webapp.jobs.models import Job, SeverityGrid

VIEWER = "[data-mount=result-viewer]"
GRADES = ("none", "low", "mild", "severe")


@pytest.fixture
def clinician(site):
    return factories.person("clinician")


def finish(grid, *, levels=(0.1, 1.0, 2.0, 2.9)):
    """Give every severity that has none an image, its level read as that."""
    for cell, level in zip(grid_cells(grid), levels, strict=True):
        if cell.result is None:
            read = {"level": level, "read": GRADES[round(level)], "asked": float(round(level))}
            factories.result(cell.request.owner, request=cell.request, quality={"severity": read})
    Job.objects.filter(request__severities=grid).update(
        state="succeeded", progress=1.0, finished_at=grid.created_at, started_at=grid.created_at
    )


def test_one_click_hands_four_in_and_the_page_fills_by_itself(
    page, site, sign_in, clinician, check_accessibility
):
    factories.generative_model()
    sign_in(page, clinician)
    page.goto(site + reverse("jobs:synthesise"))
    page.get_by_role("button", name="Every severity at once").click()
    page.locator("#grid-live[data-done='0']").wait_for()
    grid = SeverityGrid.objects.get()
    expect(page.locator(".severities h2")).to_have_text(["None", "Low", "Mild", "Severe"])
    check_accessibility(page)

    first = grid_cells(grid)[0]
    read = {"level": 0.1, "read": "none", "asked": 0.0}
    factories.result(clinician, request=first.request, quality={"severity": read})
    page.locator("#grid-live[data-done='1']").wait_for()
    page.get_by_text("Measured 0.10 of 3 (None)").wait_for()

    finish(grid)
    page.locator(f"{VIEWER}[data-state=ready]").wait_for()
    expect(page.locator(".pane__title")).to_have_text(["None", "Low", "Mild", "Severe"])
    expect(page.locator("[data-rises=yes]")).to_have_count(1)
    check_accessibility(page)

    viewports = page.locator(".viewport")
    zoom = ".overlay__corner--bottom-left"
    before = viewports.nth(3).locator(zoom).inner_text()
    viewports.first.focus()
    page.keyboard.press("+")
    viewports.nth(3).locator(zoom).get_by_text(before, exact=True).wait_for(state="detached")
    until(lambda: len({viewports.nth(index).locator(zoom).inner_text() for index in range(4)}) == 1)


@pytest.fixture
def mapped(page, site, sign_in, clinician):
    result = factories.result(clinician)
    factories.uncertainty(result, top=40.0)
    sign_in(page, clinician)
    page.goto(site + reverse("jobs:result-detail", kwargs={"id": result.pk}))
    page.locator(f"{VIEWER}[data-heat=shown][data-state=ready]").wait_for()
    return page.locator(VIEWER)


def test_the_map_lies_on_the_image_with_a_legend_and_an_opacity(mapped, page, check_accessibility):
    pane = mapped.locator(".pane").filter(has=page.locator("canvas.heat"))
    expect(pane.locator(".pane__title")).to_have_text("Uncertainty")
    expect(pane.locator(".heat-legend__ticks span")).to_have_text(["0", "20", "≥ 40 HU"])
    heat = pane.locator("canvas.heat")
    # From nothing at the left edge to the most solid colour at the right.
    alphas = heat.evaluate(
        "(one) => [0, 64, 127].map((x) => one.getContext('2d').getImageData(x, 5, 1, 1).data[3])"
    )
    assert alphas[0] == 0 < alphas[1] < alphas[2] == 255
    expect(heat).to_have_css("opacity", "0.85")
    slider = pane.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    expect(heat).to_have_css("opacity", "0")
    page.keyboard.press("End")
    expect(heat).to_have_css("opacity", "1")
    check_accessibility(page)

    pane.locator(".viewport").focus()
    page.keyboard.press("u")
    page.locator(f"{VIEWER}[data-heat=hidden]").wait_for()
    expect(heat).to_be_hidden()
    page.locator("[data-action='heat.toggle']").click()
    page.locator(f"{VIEWER}[data-heat=shown]").wait_for()
    expect(heat).to_be_visible()


def test_the_map_follows_zoom_and_tells_its_value(mapped, page):
    pane = mapped.locator(".pane").filter(has=page.locator("canvas.heat"))
    heat, port = pane.locator("canvas.heat"), pane.locator(".viewport")
    before = heat.bounding_box()
    mapped.locator(".viewport").first.focus()
    page.keyboard.press("+")
    until(lambda: heat.bounding_box()["width"] > 1.1 * before["width"])
    box = port.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    pane.locator(".overlay__readout").get_by_text("± 20 HU").wait_for()
