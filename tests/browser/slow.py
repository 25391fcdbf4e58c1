"""A browser and a site made slow on purpose: what a test or a page owes to a fast machine then fails.

    SLOW_BROWSER=400 pytest tests/browser/test_jobs.py   every request of a tab takes 400 ms longer, and
                                                         pages come in drops: a click on a link returns
                                                         when a page has begun, which may be long before
                                                         its middle is there
    SLOW_BROWSER=1500 SLOW_PROCESSOR=6 pytest ...        and scripts get a sixth of the processor
    SLOW_SITE=800 pytest ...                             the site of the tests (`site`, not a launched
                                                         one) answers 0 to 800 ms late, so that answers
                                                         overtake each other

Run one file at a time: each takes several times as long. Where none of the three is set, nothing is changed.
"""

import os
import random
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

LATENCY_MS = float(os.environ.get("SLOW_BROWSER", "0"))
PROCESSOR = float(os.environ.get("SLOW_PROCESSOR", "1"))
SITE_MS = float(os.environ.get("SLOW_SITE", "0"))
DROPS, UNLIMITED = 8_000, -1  # bytes per second, in the words of Chromium's protocol
BULKY = ("static/*", "dicom-web/*", "*.png", "*/frames/*", "*/voxels*")  # would take minutes drop by drop
_late = random.Random(1)
_sessions: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def slow_every_tab(patch: Any) -> None:
    """Slow every tab that is opened from now on, whoever opens it; `patch` is pytest's MonkeyPatch."""
    from playwright.sync_api import BrowserContext

    if LATENCY_MS <= 0 and PROCESSOR <= 1:
        return
    opened, cut_off = BrowserContext.new_page, BrowserContext.set_offline

    def new_page(context: Any) -> Any:
        page = opened(context)
        slow(page)
        return page

    def set_offline(context: Any, offline: bool) -> None:
        cut_off(context, offline)
        for page in context.pages:  # what a tab was told last holds, so it is told all of it again
            slow(page, offline=offline)

    patch.setattr(BrowserContext, "new_page", new_page)
    patch.setattr(BrowserContext, "set_offline", set_offline)


def slow(page: Any, *, offline: bool = False) -> None:
    """Let a tab's requests come late, or not at all, and its scripts run slowly for as long as it is open."""
    if page not in _sessions:
        _sessions[page] = page.context.new_cdp_session(page)
    session = _sessions[page]
    late = {"latency": LATENCY_MS, "uploadThroughput": UNLIMITED}
    bulky = [{"urlPattern": f"*://*:*/{one}", "downloadThroughput": UNLIMITED, **late} for one in BULKY]
    pages = {"urlPattern": "", "downloadThroughput": DROPS, **late}  # the first rule that fits holds
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditionsByRule",
        {"offline": offline, "matchedNetworkConditions": [*bulky, pages]},
    )
    session.send("Emulation.setCPUThrottlingRate", {"rate": PROCESSOR})


def answering_late(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Middleware: each answer comes 0 to SLOW_SITE ms late, the same row of delays in every run."""

    def answer(request: Any) -> Any:
        response = get_response(request)
        time.sleep(_late.uniform(0, SITE_MS) / 1000)
        return response

    return answer
