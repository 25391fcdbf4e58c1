"""Time to the first image in Chromium."""

import time
from pathlib import Path
from typing import Any

from tests.bench.table import Measure, median
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.running import Launched

OPENINGS = 5
VIEWER = "[data-mount=case-viewer][data-state=ready]"


def measure_first_image(launched: Launched, case: Any) -> list[Measure]:
    """From asking for a case's page until its first slice is drawn: with an empty cache, and again."""
    if not Path(CHROMIUM).exists():
        print("No chromium here: the time to the first image is left out.")
        return []
    from playwright.sync_api import sync_playwright

    address = f"{launched.address}/cases/{case['id']}/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        cold, warm = [], []
        for _ in range(OPENINGS):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            context.set_default_timeout(120_000)
            page = context.new_page()
            page.goto(f"{launched.address}/login/")
            page.fill("[name=username]", "data_manager")
            page.fill("[name=password]", launched.passwords["data_manager"])
            page.click("[type=submit]")
            page.wait_for_url(f"{launched.address}/")
            for times in (cold, warm):
                began = time.perf_counter()
                page.goto(address)
                page.locator(VIEWER).wait_for()
                times.append((time.perf_counter() - began) * 1e3)
            context.close()
        browser.close()
    return [
        Measure(
            "first image in Chromium, viewer not cached",
            median(cold),
            "ms",
            median(cold) / median(warm),
            "cached",
        ),
        Measure("first image in Chromium, viewer cached", median(warm), "ms"),
    ]
