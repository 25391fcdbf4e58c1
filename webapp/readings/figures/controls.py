"""Whether the study itself works: how often each kind of item was called synthetic."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from webapp.readings.figures.forest import Panel, Row, forest
from webapp.readings.figures.sheet import Cell, Sheet

GROUPS = (("positive", "Known-bad synthetic"), ("negative", "Reconstructed real"))


def draw(document: dict[str, Any]) -> Figure | None:
    """Counted items beside the controls; nothing where the study has no control."""
    rows = _rows(document)
    if len(rows) == 2:
        return None
    return forest([Panel("Called synthetic", rows, marked=0.5)])


def sheet(document: dict[str, Any]) -> Sheet:
    """One row per kind of item, as shares from 0 to 1; attention checks give the share that was right."""
    cells: list[list[Cell]] = [
        [row.label, "called synthetic", row.value, row.low, row.high] for row in _rows(document)
    ]
    attention = document["analysis"]["controls"]["attention"]
    if attention:
        figure = attention["right"]
        cells.append(["Attention checks", "right", figure["value"], figure["low"], figure["high"]])
    return Sheet(("items", "share that was", "value", "low (95%)", "high (95%)"), cells)


def say(document: dict[str, Any]) -> str:
    """The sentences of the controls and the attention checks."""
    found = document["analysis"]["controls"]
    return " ".join(found[name]["sentence"] for name in ("positive", "negative", "attention") if found[name])


def _rows(document: dict[str, Any]) -> list[Row]:
    analysis = document["analysis"]
    hits, quiet = analysis["sensitivity"], analysis["specificity"]
    rows = [
        Row("Synthetic", hits["value"], hits["low"], hits["high"]),
        Row("Real", _other(quiet["value"]), _other(quiet["high"]), _other(quiet["low"])),
    ]
    for name, label in GROUPS:
        found = analysis["controls"][name]
        if found:
            figure = found["called_synthetic"]
            rows.append(Row(label, figure["value"], figure["low"], figure["high"], is_pooled=True))
    return rows


def _other(share: float | None) -> float | None:
    return None if share is None else 1 - share
