"""Every page in dark and light is accessible, keeps the strict policy, and is whole at 200 % zoom."""

from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests import factories
from tests.browser.reading import until
from webapp.jobs.services import job_submit

# Chromium reports 200 % zoom on a 1280x800 screen as a window of half the size.
ZOOMED = {"width": 640, "height": 400}
WHOLE = {"width": 1280, "height": 800}
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def world(transactional_db: None, storage: Any) -> dict[str, Any]:
    """Somebody with every role, and one of each thing to look at."""
    person = factories.person(*factories.ROLES, username="ada", display_name="Ada Reyes")
    dataset = factories.dataset(person, name="Liver CT", shares={factories.person("clinician"): "view"})
    case = factories.case(dataset=dataset, slices=2, name="SUBJ-0001")
    factories.mask(case, person)
    result = factories.result(person)
    adapter = factories.adapter(base=result.request.model, measures={"kid": 0.1})
    job = job_submit(kind="import_cases", owner=person, payload={})
    return {
        **{"person": person, "dataset": dataset, "case": case},
        **{"result": result, "adapter": adapter, "job": job},
    }


def addresses(world: dict[str, Any]) -> list[str]:
    """Every page that is not the viewer's own (tests/browser/test_viewer.py looks at that)."""
    plain = [
        "jobs:dashboard",
        "jobs:job-list",
        "jobs:result-list",
        "jobs:synthesise",
        "cases:dataset-list",
        "cases:dataset-create",
        "registry:model-list",
        "registry:model-install",
        "registry:adapter-install",
        "api:docs",
        "accounts:profile",
        "accounts:password-change",
        "accounts:people",
        "accounts:person-new",
        "core:audit",
        "admin:index",
        "admin:accounts_user_changelist",
    ]
    model = world["result"].request.model
    return [
        *map(reverse, plain),
        reverse("accounts:person", args=[world["person"].pk]),
        reverse("cases:dataset-detail", args=[world["dataset"].pk]),
        reverse("cases:import-new", args=[world["dataset"].pk]),
        reverse("cases:case-edit", args=[world["case"].pk]),
        reverse("jobs:dataset-export", args=[world["dataset"].pk]),
        f"{reverse('jobs:result-list')}?compare={world['result'].pk}",
        reverse("jobs:job-detail", args=[world["job"].pk]),
        reverse("registry:model-detail", args=[model.name]),
        world["adapter"].get_absolute_url(),
        f"{reverse('jobs:synthesise')}?adapter={world['adapter'].pk}",
        "/no/such/page/",
    ]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_page_is_accessible(page, site, sign_in, world, check_accessibility, theme: str) -> None:
    page.context.add_cookies([{"name": "theme", "value": theme, "url": site}])
    page.goto(f"{site}/login/")
    check_accessibility(page)
    sign_in(page, world["person"])
    found = []
    for address in addresses(world):
        page.goto(site + address)
        try:
            check_accessibility(page)
        except AssertionError as problem:
            found.append(f"{address}: {problem}")
    assert found == []


@pytest.mark.parametrize("size", [WHOLE, ZOOMED], ids=["whole", "zoomed"])
def test_nothing_sticks_out_sideways(page, site, sign_in, world, size: dict[str, int]) -> None:
    sign_in(page, world["person"])
    page.set_viewport_size(size)
    wide = {}
    for address in addresses(world):
        if address.startswith("/admin/"):
            continue
        page.goto(site + address)
        if (excess := page.evaluate(OVERFLOW)) > 0:
            wide[address] = excess
    assert wide == {}


def test_the_theme_is_chosen_and_kept(page, site, sign_in, world) -> None:
    sign_in(page, world["person"])
    page.goto(f"{site}/profile/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_text("Your menu").locator("xpath=..").click()
    page.get_by_role("button", name="Light theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.goto(f"{site}/people/")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_the_rail_is_narrowed_and_kept(page, site, sign_in, world) -> None:
    sign_in(page, world["person"])
    page.goto(f"{site}/profile/")
    rail = page.locator(".rail")
    wide = rail.bounding_box()["width"]
    page.get_by_role("button", name="Narrow").click()
    until(lambda: rail.bounding_box()["width"] < wide / 2)
    page.goto(f"{site}/people/")
    assert rail.bounding_box()["width"] < wide / 2
    expect(page.get_by_role("link", name="Datasets")).to_be_visible()


def test_menus_open_and_close_by_keyboard(page, site, sign_in, world) -> None:
    sign_in(page, world["person"])
    page.goto(f"{site}/profile/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    menu = page.locator("details.menu", has_text="Ada Reyes")
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(menu.get_by_role("link", name="Profile")).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu.get_by_role("link", name="Profile")).to_be_hidden()
    expect(menu.locator("summary")).to_be_focused()


def test_a_token_is_made_in_the_dialog_and_copied(page, site, sign_in, world) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site)
    sign_in(page, world["person"])
    page.goto(f"{site}/profile/")
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What it is for").fill("nightly")
    dialog.get_by_role("button", name="Make the token").click()
    page.locator("#new-token").wait_for()
    page.wait_for_load_state()
    page.get_by_role("button", name="Copy").click()
    page.get_by_text("The token is copied.").wait_for()
    token = page.locator("#new-token").inner_text()
    assert page.evaluate("() => navigator.clipboard.readText()") == token
    assert token.startswith("sbl_")


def test_an_account_is_closed_only_after_asking(page, site, sign_in, world) -> None:
    other = factories.person("clinician", display_name="Jonas Weber")
    sign_in(page, world["person"])
    page.goto(f"{site}/people/{other.pk}/")
    page.get_by_role("button", name="Close the account").click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Close the account").click()
    dialog.get_by_role("button", name="Close the account").click()
    message = page.get_by_text("The account of Jonas Weber is closed.")
    message.wait_for()
    page.wait_for_load_state()
    page.get_by_role("button", name="Put this message away").click()
    expect(message).to_be_hidden()
    other.refresh_from_db()
    assert not other.is_active


def test_a_person_signs_in_fails_and_is_locked_out(page, site, world, check_accessibility) -> None:
    page.goto(f"{site}/login/")

    def attempt(password: str) -> None:
        page.get_by_label("Sign-in name").fill("ada")
        page.get_by_label("Password").fill(password)
        with page.expect_navigation():
            page.get_by_role("button", name="Sign in").click()

    attempt("wrong")
    page.get_by_text("do not go together").wait_for()
    check_accessibility(page)
    for _ in range(4):
        attempt("wrong")
    page.get_by_role("heading", name="Too many failed sign-ins").wait_for()
    expect(page.get_by_text("You can try again at")).to_be_visible()
    check_accessibility(page)
