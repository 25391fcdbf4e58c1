"""Whether readers agree with themselves when the same item comes a second time."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from scipy.stats import beta

from webapp.readings.figures.forest import Panel, Row, forest
from webapp.readings.figures.sheet import Sheet

EVERYBODY = "All readers"


def draw(document: dict[str, Any]) -> Figure | None:
    """The share of repeated items that got the same decision, per reader; nothing without repeats."""
    rows = _rows(document)
    return forest([Panel("Same decision the second time", rows, marked=0.5)]) if len(rows) > 1 else None


def sheet(document: dict[str, Any]) -> Sheet:
    """One row per reader with repeats; intervals of single readers by Clopper and Pearson."""
    pairs = {one["reader"]: one["repeats"] for one in document["analysis"]["readers"]}
    total = document["analysis"]["repeatability"]["pairs"]
    rows = [
        [row.label, pairs[row.label]["pairs"] if row.label in pairs else total, row.value, row.low, row.high]
        for row in _rows(document)
    ]
    return Sheet(("reader", "pairs", "share the same", "low (95%)", "high (95%)"), rows)


def say(document: dict[str, Any]) -> str:
    """The sentence of the repeatability."""
    return str(document["analysis"]["repeatability"]["sentence"])


def _rows(document: dict[str, Any]) -> list[Row]:
    found = []
    for reader in document["analysis"]["readers"]:
        pairs, same = reader["repeats"]["pairs"], reader["repeats"]["same"]
        if pairs:
            low = float(beta.ppf(0.025, same, pairs - same + 1)) if same else 0.0
            high = float(beta.ppf(0.975, same + 1, pairs - same)) if same < pairs else 1.0
            found.append(Row(reader["reader"], same / pairs, low, high))
    figure = document["analysis"]["repeatability"]["agreement"]
    if found and figure["value"] is not None:
        found.append(Row(EVERYBODY, figure["value"], figure["low"], figure["high"], is_pooled=True))
    return found
