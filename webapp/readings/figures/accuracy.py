"""Right answers: of all, of the synthetic items, of the real ones; per reader and over readers."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from webapp.readings.figures.forest import Panel, forest
from webapp.readings.figures.sheet import INTERVAL, Sheet, interval_cells, interval_row

MEASURES = (
    ("accuracy", "All right answers"),
    ("sensitivity", "Synthetic recognised"),
    ("specificity", "Real recognised"),
)
EVERYBODY = "All readers"


def draw(document: dict[str, Any]) -> Figure | None:
    """One panel per measure; the dashed line in the first is guessing."""
    analysis = document["analysis"]
    if not analysis["readers"]:
        return None
    return forest(
        [
            Panel(
                title,
                [interval_row(reader["reader"], reader[name]) for reader in analysis["readers"]]
                + [interval_row(EVERYBODY, analysis[name], is_pooled=True)],
                marked=0.5 if name == "accuracy" else None,
            )
            for name, title in MEASURES
        ]
    )


def sheet(document: dict[str, Any]) -> Sheet:
    """One row per reader and measure, as shares from 0 to 1."""
    analysis = document["analysis"]
    rows = [
        [reader["reader"], name, *interval_cells(reader[name])]
        for reader in analysis["readers"]
        for name, _title in MEASURES
    ]
    rows += [[EVERYBODY, name, *interval_cells(analysis[name])] for name, _title in MEASURES]
    return Sheet(("reader", "measure", *INTERVAL), rows)


def say(document: dict[str, Any]) -> str:
    """The sentences of the three measures over readers."""
    return " ".join(document["analysis"][name]["sentence"] for name, _title in MEASURES)
