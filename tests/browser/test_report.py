"""The report of the demo study in a real Chromium: whole, accessible, switched by theme, and on paper."""

import io
import os
import re

import pytest
from django.urls import reverse
from playwright.sync_api import expect
from pypdf import PdfReader

from tests import factories
from webapp.readings.demo import demo_reading_make
from webapp.readings.services_report import SIMULATED

LOADED = """() => [...document.querySelectorAll('.report-figure img')]
    .filter(one => one.offsetParent !== null)
    .map(one => ({ source: one.src, width: one.naturalWidth, complete: one.complete }))"""


@pytest.fixture
def study(transactional_db, storage):
    lead = factories.person("study_lead", username="lead", display_name="Lena Frank")
    return demo_reading_make(owner=factories.person("data_manager"), lead=lead)


@pytest.fixture
def opened(page, site, sign_in, study):
    """Opens the report in a theme."""

    def show(theme="dark", name="reading-report"):
        page.context.add_cookies([{"name": "theme", "value": theme, "url": site}])
        sign_in(page, study.owner)
        page.goto(site + reverse(f"readings:{name}", args=[study.pk]))
        return page

    return show


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_is_accessible_and_shows_every_figure(opened, check_accessibility, theme):
    page = opened(theme)
    for picture in page.locator(f".report-figure .only-{theme}").all():
        picture.scroll_into_view_if_needed()
        picture.evaluate("one => one.decode()")
    shown = page.evaluate(LOADED)
    assert len(shown) == 10
    assert all(one["complete"] and one["width"] > 300 and f"theme={theme}" in one["source"] for one in shown)
    check_accessibility(page)


def test_the_figures_follow_the_theme(opened):
    page = opened("dark")
    page.evaluate("() => { document.documentElement.dataset.theme = 'light' }")
    assert {"theme=light" in one["source"] for one in page.evaluate(LOADED)} == {True}


def test_it_is_whole_on_a_narrow_window(opened):
    page = opened()
    page.locator(".report-checks").evaluate(
        "one => { one.lastElementChild.lastElementChild.textContent = 'f'.repeat(99) }"
    )
    page.set_viewport_size({"width": 640, "height": 400})
    excess = page.evaluate(
        "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert excess <= 0


def test_numbers_formulas_and_sources_open_by_keyboard(opened):
    page = opened()
    section = page.locator("[data-figure=accuracy]")
    section.locator("summary", has_text="The numbers").focus()
    page.keyboard.press("Enter")
    expect(section.get_by_role("cell", name="Reader 1").first).to_be_visible()
    section.locator("summary", has_text="Formula and source").focus()
    page.keyboard.press("Enter")
    expect(section.get_by_text(re.compile("Wilson")).first).to_be_visible()
    link = page.get_by_role("link", name=re.compile("Open the case")).first
    link.click()
    page.wait_for_url(re.compile("/cases/"))


def test_it_prints_with_the_digest_and_the_label_on_every_page(opened, study):
    page = opened("dark", "report-print")
    page.evaluate("() => Promise.all([...document.images].map(one => one.decode()))")
    printed = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True, print_background=True)))
    assert len(printed.pages) > 2
    for number, sheet in enumerate(printed.pages, start=1):
        text = re.sub(r"\s+", "", sheet.extract_text())
        assert study.protocol_sha256 in text, f"page {number}"
        assert SIMULATED.replace(" ", "") in text, f"page {number}"
    whole = " ".join(sheet.extract_text() for sheet in printed.pages)
    for word in ("In short", "ROC curves", "Formula and source", "Protocol SHA-256"):
        assert word in whole


def test_nothing_sticks_out_of_the_paper(opened):
    page = opened("dark", "report-print")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 703, "height": 1000})  # A4 less its margins, at 96 per inch
    if folder := os.environ.get("STUDY_SHOTS", ""):
        page.screenshot(path=f"{folder}/report-paper.png", full_page=True)
    sticking = page.evaluate(
        """() => [...document.querySelectorAll('main *')]
            .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
            .map(one => one.className || one.tagName).slice(0, 5)"""
    )
    assert sticking == []


def test_the_waiting_page_is_followed_by_the_report(page, site, sign_in, study, check_accessibility):
    from webapp.readings.models import ReadingReport
    from webapp.readings.services_report import report_execute

    ReadingReport.objects.all().delete()
    sign_in(page, study.owner)
    page.goto(site + reverse("readings:reading-report", args=[study.pk]))
    check_accessibility(page)
    page.get_by_role("button", name="Compute the report").click()
    page.get_by_text("The answers are being analysed").wait_for()
    report_execute(user=study.owner, reading_id=study.pk)
    page.get_by_role("heading", name="In short").wait_for()
