"""JSON from files of other people: its numbers are finite, as every database can keep them."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any


class NotFinite(ValueError):
    """The text holds NaN, an infinity, or a number beyond what a float holds; the message names it."""


def finite_json(text: str) -> Any:
    """What the text says. Raises NotFinite, or another ValueError where it is not JSON."""
    return json.loads(text, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    if not isfinite(number := float(text)):
        raise NotFinite(text[:20])
    return number
