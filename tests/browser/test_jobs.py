"""The live parts of the jobs pages in a real browser: what has the keyboard's focus keeps it."""

from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests import factories
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit


@pytest.fixture
def person(transactional_db: None, storage: Any) -> Any:
    return factories.person("data_manager")


@pytest.fixture
def job(person: Any) -> Job:
    """A job that waits, for no worker runs here."""
    return job_submit(kind="import_cases", owner=person, payload={"source_name": "scan.zip"})


def swapped(page: Any, fragment: str) -> None:
    """Return when the fragment has replaced itself."""
    page.locator(fragment).evaluate("(one) => one.setAttribute('data-before', '')")
    page.locator(f"{fragment}[data-before]").wait_for(state="detached")


def has_focus(page: Any, name: str) -> None:
    expect(page.locator(f"[id='{name}']")).to_be_focused()


def cancel(job: Job) -> None:
    """Cancelled elsewhere, by the same person."""
    from webapp.jobs.services import job_cancel

    job_cancel(user=job.owner, job=job)


def test_a_card_keeps_the_focus_while_it_is_live(page, site, sign_in, person, job) -> None:
    sign_in(page, person)
    page.goto(site + reverse("jobs:job-list"))
    card, button = f"#job-{job.pk}", f"job-{job.pk}-cancel"
    page.locator(f"[id='{button}']").focus()
    for _ in range(2):
        swapped(page, f"[id='{card[1:]}']")
        has_focus(page, button)
    cancel(job)
    page.get_by_text("Cancelled. Nothing of it was kept.").wait_for()
    has_focus(page, f"job-{job.pk}-title")


def test_a_card_cancelled_by_keyboard_leaves_the_focus_on_it(page, site, sign_in, person, job) -> None:
    sign_in(page, person)
    page.goto(site + reverse("jobs:job-list"))
    page.locator(f"[id='job-{job.pk}-cancel']").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Cancelled. Nothing of it was kept.").wait_for()
    has_focus(page, f"job-{job.pk}-title")


def test_the_page_of_a_job_keeps_the_focus(page, site, sign_in, person, job) -> None:
    sign_in(page, person)
    page.goto(site + reverse("jobs:job-detail", args=[job.pk]))
    page.locator("#job-cancel").focus()
    swapped(page, "#job-live")
    has_focus(page, "job-cancel")
    cancel(job)
    page.locator("#job-live[data-state=cancelled]").wait_for()
    expect(page.locator("#job-live h1")).to_be_focused()


def test_the_drawer_keeps_the_focus_and_takes_none(page, site, sign_in, person, job) -> None:
    sign_in(page, person)
    page.goto(site + reverse("cases:dataset-list"))
    page.locator(".topbar details").first.locator("summary").click()
    link = page.locator(f"[id='drawer-{job.pk}']")
    link.wait_for()
    link.focus()
    link.evaluate("(one) => one.setAttribute('data-before', '')")
    page.locator(f"[id='drawer-{job.pk}'][data-before]").wait_for(state="detached")
    has_focus(page, f"drawer-{job.pk}")
    # A focus elsewhere stays elsewhere.
    page.locator(".skip-link").focus()
    page.locator(f"[id='drawer-{job.pk}']").evaluate("(one) => one.setAttribute('data-before', '')")
    page.locator(f"[id='drawer-{job.pk}'][data-before]").wait_for(state="detached")
    expect(page.locator(".skip-link")).to_be_focused()
