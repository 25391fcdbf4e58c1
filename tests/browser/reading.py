"""What the tests share: waiting for what no element says; images and answers of the reading page."""

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from webapp.readings.models import Answer

PATIENCE_S = 120
SLIP_MS = 310


def shown(page, number):
    """Wait until the image of that number (from 1) is there and has been for longer than a slip takes."""
    page.locator(f'body[data-item="{number}"][data-state="ready"]').wait_for()
    age = "() => performance.now() - performance.getEntriesByName('item-shown').at(-1).startTime"
    until(lambda: page.evaluate(age) > SLIP_MS)


def loaded_ahead(page, count):
    page.locator(f'body[data-ahead="{count}"]').wait_for()


def until(condition: Callable[[], Any]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def soon(check: Callable[[], Any]) -> None:
    """Wait until a check of several assertions passes; what it says last is what the test says."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def scores():
    return list(
        Answer.objects.filter(question="real_or_synthetic")
        .order_by("assignment__position", "revision")
        .values_list("value__score", flat=True)
    )


def canvas_grey(page):
    """The image alone, as grey values [rows, columns] of the screen."""
    page.evaluate("() => document.querySelectorAll('.overlay').forEach((one) => { one.hidden = true; })")
    shot = page.locator("[data-viewport]").screenshot()
    page.evaluate("() => document.querySelectorAll('.overlay').forEach((one) => { one.hidden = false; })")
    return np.asarray(Image.open(io.BytesIO(shot)).convert("L")).astype(float)


def looks_like(page, picture, center=40, width=400):
    """The middle of the image's pixels on screen against its window's grey levels."""
    screen = canvas_grey(page)
    rows, columns = picture.shape
    scale = screen.shape[0] / rows  # the viewport is wider than high, the image square
    left = (screen.shape[1] - columns * scale) / 2
    at_rows = ((np.arange(rows) + 0.5) * scale).astype(int)
    at_columns = (left + (np.arange(columns) + 0.5) * scale).astype(int)
    inner = np.s_[2:-2, 2:-2]
    drawn = screen[np.ix_(at_rows, at_columns)][inner]
    wanted = np.clip(((picture - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)[inner]
    return float(np.corrcoef(drawn.ravel(), wanted.ravel())[0, 1]) > 0.98
