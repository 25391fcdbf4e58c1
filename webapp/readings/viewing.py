"""How a reader looked at an item, as the page reports it: what may stand in a report, and how much."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from webapp.core.errors import ApplicationError

MOST_WINDOWS = 64
LARGEST = 1e7


def viewing_checked(log: Mapping[str, Any], *, frames: int) -> dict[str, Any]:
    """A report with exactly these parts, each within its bounds.

    seconds: in view; away: on the screen but looked away from (another tab, another window); slices:
    seconds by slice, from 0; windows: [seconds since the item came up, centre, width], as they were
    set; zoom: least and greatest, 1 is the whole image fitted; screen: width and height of the viewport
    and its pixels per CSS pixel.

    Raises:
        ApplicationError: for anything else.
    """
    known = {"seconds", "away", "slices", "windows", "zoom", "screen"}
    if set(log) != known:
        raise _refused()
    slices, windows = log["slices"], log["windows"]
    if not isinstance(slices, Mapping) or len(slices) > frames:
        raise _refused()
    if not isinstance(windows, list) or len(windows) > MOST_WINDOWS:
        raise _refused()
    return {
        "seconds": _number(log["seconds"], least=0),
        "away": _number(log["away"], least=0),
        "slices": {_slice(name, frames): _number(value, least=0) for name, value in slices.items()},
        "windows": [_numbers(one, 3) for one in windows],
        "zoom": _numbers(log["zoom"], 2),
        "screen": _numbers(log["screen"], 3),
    }


def _refused() -> ApplicationError:
    return ApplicationError(_("This is no report of how an item was looked at."), field="log")


def _number(value: Any, *, least: float = -LARGEST) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refused()
    if not least <= value <= LARGEST:
        raise _refused()
    return round(float(value), 3)


def _numbers(values: Any, count: int) -> list[float]:
    if not isinstance(values, list) or len(values) != count:
        raise _refused()
    return [_number(value) for value in values]


def _slice(name: Any, frames: int) -> str:
    if not isinstance(name, str) or not name.isascii() or not name.isdecimal() or int(name) >= frames:
        raise _refused()
    return str(int(name))
