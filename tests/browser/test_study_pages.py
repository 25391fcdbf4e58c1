"""The lead's pages in a browser: accessible in both themes, and the way from a title to the launch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from tests import factories, factories_readings

PAGES = ("detail", "basics", "questions", "items", "design", "readers", "prepare", "launch", "audit")


def shot(page: Any, name: str) -> None:
    """Keep a picture where the person running the tests asked for them."""
    folder = os.environ.get("STUDY_SHOTS", "")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.fixture
def study() -> Any:
    """A prepared study whose audit found something."""
    made = factories_readings.invite(factories_readings.draft(5, 5), 2)
    return factories_readings.prepared(made)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_pages_of_a_study_are_accessible(site, page, sign_in, check_accessibility, study, theme) -> None:
    page.context.add_cookies([{"name": "theme", "value": theme, "url": site}])
    sign_in(page, study.lead)
    addresses = {step: reverse(f"readings:reading-{step}", args=[study.reading.pk]) for step in PAGES}
    addresses["list"] = reverse("readings:reading-list")
    addresses["new"] = reverse("readings:reading-new")
    addresses["add"] = reverse("readings:items-add", args=[study.reading.pk, "synthetic"])
    addresses["likert"] = addresses["questions"] + "?type=likert"
    addresses["planner"] = reverse("readings:reading-planner", args=[study.reading.pk])
    factories_readings.offered_results(factories.person("researcher"), 3)
    for name, address in addresses.items():
        page.goto(site + address)
        page.wait_for_load_state("networkidle")
        if name == "planner":
            page.get_by_text("simulated studies for each").wait_for()
            page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        check_accessibility(page)
        shot(page, f"{name}-{theme}")


def test_a_preparation_is_watched_its_leak_accepted_and_the_study_led_to_its_end(site, page, sign_in) -> None:
    study = factories_readings.invite(factories_readings.draft(2, 2), 1)
    sign_in(page, study.lead)
    page.goto(site + reverse("readings:reading-prepare", args=[study.reading.pk]))
    page.get_by_role("button", name="Prepare and audit").click()
    page.get_by_text("Being prepared", exact=True).wait_for()
    factories_readings.prepared(study, needs_acceptance=True)  # as a worker leaves it
    page.get_by_role("button", name="Read the whole report").click()
    page.get_by_label("Why the study is sound all the same").fill("The scanners differ, as is stated.")
    page.get_by_role("button", name="Accept under my name").click()
    page.get_by_role("button", name="Freeze and launch").click()
    page.get_by_text("The study is open.").wait_for()
    page.get_by_role("heading", name="Seal").wait_for()
    page.wait_for_load_state()
    page.get_by_role("button", name="Close the reading").click()
    page.get_by_role("button", name="Close", exact=True).click()
    page.get_by_role("button", name="Unblind").wait_for()
    page.wait_for_load_state()
    page.get_by_role("button", name="Unblind").click()
    page.locator("#unblind-dialog").get_by_role("button", name="Unblind").click()
    page.wait_for_url("**/report/")
    page.goto(site + reverse("readings:reading-detail", args=[study.reading.pk]))
    page.get_by_role("button", name="Open the report").wait_for()
