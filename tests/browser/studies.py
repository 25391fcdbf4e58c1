"""A reader study built on the pages of a running Semblance, for pictures of what leads and readers see."""

import re

from playwright.sync_api import Page, expect

from tests.running import Launched

NOTE = "Phantoms against slices of a model that was trained on phantoms: made for pictures of the pages."
STUDY = re.compile(r"/readings/([0-9a-f-]{36})/")
PLACE = re.compile(r"/take/([0-9a-f-]{36})/")


def demo_study(page: Page, site: Launched) -> str:
    """As the lead: the id of the finished demo study."""
    page.goto(f"{site.address}/readings/")
    return _study(page.locator(".study-card", has_text="Demo").first.get_attribute("href") or "")


def launch_again(page: Page, site: Launched, demo: str, reader: str) -> str:
    """As the lead: a new version of the demo study with one reader, prepared and launched; its id."""
    study = new_version(page, site, demo)
    root = f"{site.address}/readings/{study}"
    page.goto(f"{root}/readers/")
    page.get_by_label("Sign-in name").fill(reader)
    page.get_by_role("button", name="Invite").click()
    page.get_by_role("cell", name=reader).first.wait_for()
    page.goto(f"{root}/prepare/")
    page.get_by_role("button", name="Prepare and audit").click()
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
    return study


def new_version(page: Page, site: Launched, study: str) -> str:
    """As the lead: the draft that follows a launched study; its id."""
    page.goto(f"{site.address}/readings/{study}/")
    page.get_by_role("button", name="New version").click()
    page.wait_for_url(lambda url: STUDY.search(url) is not None and study not in url)
    return _study(page.url)


def _study(address: str) -> str:
    found = STUDY.search(address)
    if found is None:
        raise RuntimeError(f"no study at {address!r}")
    return found.group(1)


def begin(page: Page, site: Launched) -> str:
    """As the reader: answer the questions about oneself and begin; the place's id."""
    page.goto(f"{site.address}/readings/")
    page.get_by_role("button", name=re.compile("Begin|Go on")).first.click()
    page.wait_for_url(PLACE)
    page.get_by_label("Your profession").select_option("radiologist")
    page.get_by_label("Years of reading").fill("9")
    page.get_by_label("Synthetic medical images").select_option("never")
    page.get_by_role("button", name="Begin reading").click()
    expect(page.locator('body[data-item="1"][data-state="ready"]')).to_be_attached()
    found = PLACE.search(page.url)
    if found is None:
        raise RuntimeError(f"no place at {page.url!r}")
    return found.group(1)
