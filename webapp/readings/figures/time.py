"""How long readers looked before they answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from webapp.readings.figures.drawing import BLUE, LINE, ORANGE, TEXT, Ink, canvas, legend
from webapp.readings.figures.sheet import Cell, Sheet

ROW = 34
FRAME = 110


@dataclass(frozen=True)
class Spread:
    """Quartiles of the seconds per item of one reader and arm; None where there is no answer."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class ReaderTimes:
    """One reader's spreads."""

    label: str
    real: Spread | None
    synthetic: Spread | None


def times(readers: Sequence[ReaderTimes]) -> Figure:
    """The median as a mark, the middle half of the answers as a line."""
    figure, (axes,) = canvas(FRAME + ROW * len(readers))
    for number, reader in enumerate(readers):
        _spread(axes, reader.real, number - 0.16, BLUE, "o", "real items" if number == 0 else None)
        _spread(
            axes, reader.synthetic, number + 0.16, ORANGE, "s", "synthetic items" if number == 0 else None
        )
    axes.set_yticks(range(len(readers)), [reader.label for reader in readers])
    axes.set_ylim(len(readers) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.grid(axis="x", color=LINE.light, linewidth=1)
    axes.tick_params(axis="y", length=0, labelcolor=TEXT.light)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("seconds per item: median, and the middle half of the answers")
    legend(axes, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.0 + 34 / (ROW * len(readers) + 20)))
    return figure


def _spread(
    axes: Axes, spread: Spread | None, place: float, ink: Ink, marker: str, label: str | None
) -> None:
    if spread is None:
        return
    axes.plot([spread.low, spread.high], [place, place], color=ink.light, linewidth=2.5)
    axes.plot(spread.middle, place, marker, color=ink.light, markersize=7, label=label)


def draw(document: dict[str, Any]) -> Figure | None:
    """Seconds from showing to the answer, counted items only."""
    if not document["times"]:
        return None
    return times(
        [
            ReaderTimes(one["reader"], _spread_of(one["real"]), _spread_of(one["synthetic"]))
            for one in document["times"]
        ]
    )


def sheet(document: dict[str, Any]) -> Sheet:
    """One row per reader and arm."""
    rows: list[Sequence[Cell]] = []
    for one in document["times"]:
        for arm in ("real", "synthetic"):
            spread = one[arm] or {"low": None, "middle": None, "high": None, "n": 0}
            rows.append([one["reader"], arm, spread["middle"], spread["low"], spread["high"], spread["n"]])
    return Sheet(("reader", "arm", "median (s)", "lower quartile (s)", "upper quartile (s)", "answers"), rows)


def say(document: dict[str, Any]) -> str:
    """The sentence about time."""
    found = document["analysis"]["time"]
    return str(found["sentence"]) if found else _("No times were recorded.")


def _spread_of(found: dict[str, Any] | None) -> Spread | None:
    return None if found is None else Spread(found["low"], found["middle"], found["high"])
