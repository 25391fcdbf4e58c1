"""Reader studies: the report of a large one, saving answers with fifty readers at once, item to item."""

import json
import os
import secrets
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tests.bench.table import ROOT, Measure, median
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.running import Launched

READERS, ITEMS = 20, 500  # of the large study whose report is computed
AT_ONCE, EACH = 50, 8  # readers who answer at the same time, and how many items each in a round
PAUSE = 4.0  # seconds that a brisk reader looks at an item
BROWSED = 12  # items read in the browser


def measure_readings(launched: Launched) -> list[Measure]:
    """Everything that is measured of reader studies, on the running site."""
    studies = json.loads(_inside(launched, "prepare", str(AT_ONCE), str(2 * EACH), str(BROWSED)))
    measures = measure_answers(launched, studies)
    measures += measure_item_to_item(launched, studies)
    return measures + measure_report(launched)


def _inside(launched: Launched, *arguments: str) -> str:
    """Run this module's other half (tests.bench.studies) on the home of the running site."""
    environment = os.environ | {
        "SEMBLANCE_HOME": str(launched.home),
        "DJANGO_SETTINGS_MODULE": "webapp.settings.development",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.studies", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"tests.bench.studies {arguments[0]}: {done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1]


def measure_report(launched: Launched) -> list[Measure]:
    """The whole report of a large study: gathering, checks of every image, statistics."""
    found = json.loads(_inside(launched, "report", str(READERS), str(ITEMS)))
    name = f"report of {READERS} readers x {ITEMS} items"
    return [
        Measure(name, found["seconds"], "s", note=f"{found['answers']} answers"),
        Measure(
            f"{name}, statistics alone",
            found["statistics"],
            "s",
            found["statistics"] / found["seconds"],
            "whole",
        ),
    ]


# --- saving answers


@dataclass
class Session:
    """A reader's browser over one kept connection."""

    launched: Launched
    place: str
    session: str
    page: str = field(default_factory=lambda: str(uuid.uuid4()))
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    repeated: int = 0

    def __post_init__(self) -> None:
        self.connection = HTTPConnection(urlsplit(self.launched.address).netloc, timeout=120)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request as the page's script makes it, again while the site is too busy; status and JSON."""
        status, reply = self._once(method, path, body)
        while status >= 500:
            self.repeated += 1
            status, reply = self._once(method, path, body)
        return status, reply

    def _once(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        headers = {
            "Cookie": f"sessionid={self.session}; csrftoken={self.token}",
            "X-CSRFToken": self.token,
            "Content-Type": "application/json",
            "Origin": self.launched.address,
        }
        data = None if body is None else json.dumps(body)
        try:
            self.connection.request(method, path, data, headers)
            answer = self.connection.getresponse()
        except (BrokenPipeError, ConnectionResetError, RemoteDisconnected):
            self.connection.close()  # the site closes one that rests; the same submission may come again
            self.connection.request(method, path, data, headers)
            answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text[:1] in b"{[" else text

    def read(self, count: int, pause: float = 0.0) -> list[float]:
        """Answer so many items, looking at each for about `pause` seconds; milliseconds that saving took.

        Raises:
            RuntimeError: when an answer is not stored.
        """
        status, state = self.ask("POST", f"/take/{self.place}/resume/", {"page": self.page})
        taken = []
        for _ in range(count):
            if status != 200 or state["phase"] != "reading":
                raise RuntimeError(f"the state was answered {status}: {state}")
            time.sleep(pause * (0.5 + secrets.randbelow(1000) / 1000))
            path = f"/take/{self.place}/items/{state['items'][0]['token']}/answers/"
            body = {
                "page": self.page,
                "submission": str(uuid.uuid4()),
                "answers": {"real_or_synthetic": {"score": 4}},
                "seconds": 2.5,
                "is_complete": True,
            }
            began = time.perf_counter()
            status, reply = self.ask("POST", path, body)
            taken.append((time.perf_counter() - began) * 1e3)
            if status != 200 or reply["outcome"] != "stored":
                raise RuntimeError(f"the answer was answered {status}: {reply}")
            state = reply["state"]
        return taken


def measure_answers(launched: Launched, studies: Any) -> list[Measure]:
    """One reader alone; fifty at a brisk pace; fifty who answer as fast as they can. One connection each."""
    alone = median(Session(launched, **studies["alone"]).read(EACH))
    measures = [Measure("saving an answer, one reader", alone, "ms")]
    sessions = [Session(launched, **one) for one in studies["many"]]
    for pause, how in (
        (PAUSE, f"{len(sessions)} readers, one answer each in {PAUSE:.0f} s"),
        (0.0, "without a pause"),
    ):
        before = sum(one.repeated for one in sessions)
        with ThreadPoolExecutor(len(sessions)) as pool:
            parts = pool.map(lambda one, pause=pause: one.read(EACH, pause), sessions)
            taken = [ms for part in parts for ms in part]
        note = f"n = {len(taken)}, {sum(one.repeated for one in sessions) - before} sent again"
        for name, value in (("median", median(taken)), ("95th percentile", float(np.quantile(taken, 0.95)))):
            label = f"saving an answer, {how}, {name}"
            measures.append(Measure(label, value, "ms", value / alone, "one reader", note))
    return measures


# --- in the browser

WATCH = """() => addEventListener('keydown', event => { window.benchKey = event.timeStamp; }, true)"""
SHOWN = "() => performance.getEntriesByName('item-shown').at(-1).startTime"
SLIP_MS = 400  # a key right after the image came is taken for a slip of the hand


def measure_item_to_item(launched: Launched, studies: Any) -> list[Measure]:
    """From the key that answers an item until the next one is drawn (it was fetched beforehand)."""
    if not Path(CHROMIUM).exists():
        print("No chromium here: the time from item to item is left out.")
        return []
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.set_default_timeout(120_000)
        context.add_cookies(
            [{"name": "sessionid", "value": studies["browsed"]["session"], "url": launched.address}]
        )
        page = context.new_page()
        page.goto(f"{launched.address}/take/{studies['browsed']['place']}/read/")
        page.evaluate(WATCH)
        taken = [_next_item(page, number) for number in range(1, BROWSED - 1)][1:]
        context.close()
        browser.close()
    return [
        Measure(
            "item to item in Chromium, next one prefetched",
            median(taken),
            "ms",
            note=f"worst {max(taken):.0f}",
        )
    ]


def _next_item(page: Any, number: int) -> float:
    """Answer item `number` (from 1) by key; milliseconds from the key until the next image is drawn."""
    page.locator(f'body[data-item="{number}"][data-state="ready"]').wait_for()
    page.locator("body[data-ahead]").wait_for()
    shown = page.evaluate(SHOWN)
    while page.evaluate("() => performance.now()") < shown + SLIP_MS:
        time.sleep(0.02)
    page.keyboard.press("4")
    page.locator(f'body[data-item="{number + 1}"][data-state="ready"]').wait_for()
    return float(page.evaluate(SHOWN) - page.evaluate("() => window.benchKey"))
