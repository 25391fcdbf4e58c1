"""ROC curves: each reader's, and their average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
