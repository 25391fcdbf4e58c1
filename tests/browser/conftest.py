"""A real Chromium against the real site, its static files served by WhiteNoise under the strict policy.

Fixtures: `site` (its address), `page` (a fresh tab that fails the test when the page breaks the
Content-Security-Policy or throws), `another_machine()` (one more), `sign_in(page, person)`,
`check_accessibility(page)`.

A click does not wait for what it brings about, and `count()`, `is_visible()`, `page.url` and the like answer
at once: after anything that takes time ask with `expect(...)`, `wait_for()` or `reading.until(...)`, which
wait. A page that a click led to has its scripts after `page.wait_for_load_state()`: before that, what opens
a dialog or copies does nothing. `SLOW_BROWSER=400 pytest FILE` finds who forgot (tests/browser/slow.py).
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.db import connections
from django.test import Client
from django.test.testcases import LiveServerThread
from django.urls import reverse

from tests import factories
from tests.browser import slow

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
WITHOUT_WEBGL = ["--disable-gpu", "--disable-software-rasterizer", "--disable-3d-apis"]
PATIENCE_MS = 120_000

# Playwright's synchronous interface runs on an event loop, in which Django refuses its ORM by default.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here, and skip it, visibly, where there is no Chromium."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if not Path(CHROMIUM).exists():
                item.add_marker(pytest.mark.skip(reason="no chromium here: apt-get install chromium"))


@pytest.fixture(scope="session")
def frontend() -> Path:
    """The built front end; built now where it is not up to date."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "frontend" / "build.py")], capture_output=True, text=True
    )
    assert done.returncode == 0, f"the front end does not build:\n{done.stdout}\n{done.stderr}"
    return REPOSITORY / "frontend" / "dist"


@pytest.fixture
def site(transactional_db: None, storage: Path, settings: Any, frontend: Path) -> Iterator[str]:
    """The address of the running site: every request passes all middleware, as in production."""
    settings.FRONTEND_DIST = frontend
    settings.STATICFILES_DIRS = [frontend]
    settings.WHITENOISE_USE_FINDERS = True
    settings.WHITENOISE_AUTOREFRESH = False
    if slow.SITE_MS > 0:
        settings.MIDDLEWARE = ["tests.browser.slow.answering_late", *settings.MIDDLEWARE]
    finders.get_finder.cache_clear()
    server = LiveServerThread("localhost", lambda application: application)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    if server.error:
        raise server.error
    yield f"http://{server.host}:{server.port}"
    server.terminate()
    connections.close_all()
    finders.get_finder.cache_clear()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Any]:
    """Playwright, started once; whatever a test expects, it waits for as long as for an element."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as started, pytest.MonkeyPatch.context() as patch:
        slow.slow_every_tab(patch)
        yield started


@pytest.fixture(scope="session")
def chromium(playwright: Any) -> Iterator[Any]:
    """Debian's Chromium with a software renderer."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield browser
    browser.close()


class Watch:
    """What a tab said while a test ran."""

    def __init__(self, page: Any) -> None:
        self.violations: list[str] = []
        self.errors: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _console(self, message: Any) -> None:
        if "Content Security Policy" in message.text or "Content-Security-Policy" in message.text:
            self.violations.append(message.text)


def _open(browser: Any, **options: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    watch = Watch(page)
    yield page
    context.close()
    assert watch.violations == [], "the page broke its Content-Security-Policy"
    assert watch.errors == [], "the page threw"


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A fresh tab of 1280x800; the test fails if the policy is broken or a script throws."""
    yield from _open(chromium)


@pytest.fixture
def another_machine(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens further tabs like `page`, each in a browser of its own, as at another computer."""
    with ExitStack() as tabs:
        yield lambda **options: tabs.enter_context(contextmanager(_open)(chromium, **options))


@pytest.fixture
def page_without_webgl(playwright: Any) -> Iterator[Any]:
    """The same in a Chromium that has no WebGL."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS[:6], *WITHOUT_WEBGL])
    yield from _open(browser)
    browser.close()


@pytest.fixture
def sign_in(site: str) -> Callable[[Any, Any], None]:
    """Signs a person in on a tab, without the login page."""

    def give(page: Any, person: Any) -> None:
        client = Client()
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        page.context.add_cookies(
            [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}]
        )

    return give


@pytest.fixture(scope="session")
def axe_source(frontend: Path) -> str:
    """axe-core's script, from the front end's development packages."""
    script = REPOSITORY / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        subprocess.run(
            [sys.executable, "-c", "import build; build.install()"], cwd=REPOSITORY / "frontend", check=True
        )
    return script.read_text(encoding="utf-8")


@pytest.fixture
def check_accessibility(axe_source: str) -> Callable[[Any], None]:
    """Fails, naming rule and element, where axe finds a violation on the page."""

    def check(page: Any) -> None:
        page.evaluate(axe_source)
        result = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
        found = [
            f"{one['id']} ({one['impact']}): {node['target']} {node['failureSummary']}"
            for one in result["violations"]
            for node in one["nodes"]
        ]
        assert found == []

    return check


@pytest.fixture
def reader(site: str) -> Any:
    """Somebody who reads in studies."""
    return factories.person("annotator", display_name="Mara Lind")


@pytest.fixture
def open_reading(site: str, sign_in: Callable[[Any, Any], None], reader: Any) -> Callable[[Any, Any], None]:
    """Opens the reading page of the reader's place in a study on a tab."""

    def give(page: Any, reading: Any) -> None:
        sign_in(page, reader)
        places = reading.places.filter(user=reader)
        places.update(experience={"profession": "radiologist"})
        page.goto(site + reverse("readings:take-read", kwargs={"place_id": places.get().pk}))

    return give
