"""ROC curves: each reader's, and their average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from webapp.readings.figures.drawing import (
    BLUE,
    DASHES,
    EDGE,
    GREEN,
    LINE,
    MARKERS,
    MUTED,
    ORANGE,
    PURPLE,
    as_percent,
    canvas,
    legend,
)
from webapp.readings.figures.sheet import Cell, Sheet

TOLD_APART = 8
"""With more readers than this, each is a thin grey line: the table beside the figure names them."""

QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Curve:
    """Operating points from (0, 0) to (1, 1): x the false-alarm rate, y the hit rate."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


def roc(readers: Sequence[Curve], average: Curve | None) -> Figure:
    """Hits over false alarms; the diagonal is guessing."""
    figure, (axes,) = canvas(460, width=560)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.grid(color=LINE.light, linewidth=1)
    as_percent(axes, "x", QUARTERS)
    as_percent(axes, "y", QUARTERS)
    axes.set_xlabel("real called synthetic")
    axes.set_ylabel("synthetic called synthetic")
    axes.plot([0, 1], [0, 1], color=EDGE.light, linewidth=1.2, linestyle=(0, (4, 3)), label="guessing")
    inks = (BLUE, GREEN, PURPLE, MUTED)
    for number, curve in enumerate(readers):
        if len(readers) > TOLD_APART:
            label = "each reader" if number == 0 else None
            axes.plot(curve.x, curve.y, color=MUTED.light, linewidth=1, alpha=0.6, label=label)
        else:
            axes.plot(
                curve.x,
                curve.y,
                color=inks[number % len(inks)].light,
                linestyle=DASHES[number // len(inks) % len(DASHES)],
                linewidth=1.5,
                marker=MARKERS[number % len(MARKERS)],
                markersize=5,
                label=curve.label,
            )
    if average is not None:
        axes.plot(average.x, average.y, color=ORANGE.light, linewidth=3.5, label=average.label)
    legend(axes, loc="lower right")
    return figure


GRID = [number / 200 for number in range(201)]


def draw(document: dict[str, Any]) -> Figure | None:
    """Every reader's empirical curve, and the mean of their hit rates at each false-alarm rate."""
    curves = _curves(document)
    if not curves:
        return None
    return roc(curves, _average(curves) if len(curves) > 1 else None)


def sheet(document: dict[str, Any]) -> Sheet:
    """One row per operating point; `threshold` is the least score called synthetic there."""
    rows: list[Sequence[Cell]] = []
    for reader in document["analysis"]["readers"]:
        points = reader["roc"]
        if points:
            for x, y, threshold in zip(points["fpr"], points["tpr"], points["threshold"]):
                rows.append([reader["reader"], threshold, x, y])
    return Sheet(("reader", "threshold", "real called synthetic", "synthetic called synthetic"), rows)


def say(document: dict[str, Any]) -> str:
    """The sentence of the area under the curve."""
    return str(document["analysis"]["auc"]["sentence"])


def _curves(document: dict[str, Any]) -> list[Curve]:
    return [
        Curve(reader["reader"], reader["roc"]["fpr"], reader["roc"]["tpr"])
        for reader in document["analysis"]["readers"]
        if reader["roc"] and reader["roc"]["fpr"]
    ]


def _average(curves: Sequence[Curve]) -> Curve:
    """Vertical averaging: the mean hit rate at each false-alarm rate (Fawcett 2006, section 8.1)."""
    hits = np.mean([_at(curve) for curve in curves], axis=0)
    return Curve("average of the readers", [0.0, *GRID], [0.0, *(float(value) for value in hits)])


def _at(curve: Curve) -> list[float]:
    """The hit rate on `GRID`; where the curve rises straight up, the upper end."""
    x, y = np.asarray(curve.x, float), np.asarray(curve.y, float)
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    last = np.append(x[1:] != x[:-1], True)
    return [float(value) for value in np.interp(GRID, x[last], y[last])]
