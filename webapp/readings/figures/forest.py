"""Estimates with their intervals, one row each: per reader and for all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from webapp.readings.figures.drawing import BLUE, EDGE, LINE, MUTED, ORANGE, TEXT, as_percent, canvas

ROW = 26
FRAME = 92


@dataclass(frozen=True)
class Row:
    """One estimate; `low` and `high` are None where no interval can be given, `value` where nothing can."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    is_pooled: bool = False


@dataclass(frozen=True)
class Panel:
    """One measure over the same rows. `marked` is a value worth a line, such as chance."""

    title: str
    rows: Sequence[Row]
    marked: float | None = None
    limits: tuple[float, float] = (0.0, 1.0)
    is_share: bool = True


def forest(panels: Sequence[Panel]) -> Figure:
    """Panels side by side, rows from top to bottom in the order given, pooled ones as filled diamonds.

    Raises ValueError where panels differ in their rows' labels.
    """
    labels = [row.label for row in panels[0].rows]
    if any([row.label for row in panel.rows] != labels for panel in panels):
        raise ValueError(f"expected the same rows in every panel; got {[len(p.rows) for p in panels]}")
    figure, axes = canvas(FRAME + ROW * len(labels), panels=len(panels))
    for place, (one, panel) in enumerate(zip(axes, panels)):
        _panel(one, panel)
        one.set_yticks(range(len(labels)), labels if place == 0 else [""] * len(labels))
    return figure


def _panel(axes: Axes, panel: Panel) -> None:
    low_edge, high_edge = panel.limits
    axes.set_title(panel.title, loc="left", color=TEXT.light, size=13)
    axes.set_xlim(low_edge, high_edge)
    axes.set_ylim(len(panel.rows) - 0.4, -0.6)
    axes.grid(axis="x", color=LINE.light, linewidth=1)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if panel.is_share:
        as_percent(axes, "x", [low_edge + step * (high_edge - low_edge) / 4 for step in range(5)])
    if panel.marked is not None:
        axes.axvline(panel.marked, color=EDGE.light, linewidth=1.2, linestyle=(0, (4, 3)))
    for place, row in enumerate(panel.rows):
        if row.value is None:
            axes.text(low_edge, place, " not known", va="center", color=MUTED.light, size=11)
            continue
        ink = ORANGE if row.is_pooled else BLUE
        if row.low is not None and row.high is not None:
            axes.plot(
                [row.low, row.high], [place, place], color=ink.light, linewidth=3 if row.is_pooled else 2
            )
        axes.plot(
            row.value,
            place,
            "D" if row.is_pooled else "o",
            color=ink.light,
            markersize=8 if row.is_pooled else 6,
            clip_on=False,
        )
    for tick in axes.get_yticklabels():
        tick.set_color(TEXT.light)
