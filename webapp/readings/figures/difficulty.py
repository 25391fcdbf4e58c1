"""Which items were hard: the share of readers who were right about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from webapp.readings.figures.drawing import BLUE, EDGE, LINE, ORANGE, as_percent, canvas, legend
from webapp.readings.figures.sheet import Cell, Sheet


@dataclass(frozen=True)
class ItemShare:
    """The share of right answers to one item."""

    label: str
    share: float
    is_synthetic: bool


def difficulty(items: Sequence[ItemShare]) -> Figure:
    """Items from the hardest to the easiest, real and synthetic apart, so that both curves start at 1."""
    figure, (axes,) = canvas(320)
    for is_synthetic, name, ink, marker in (
        (False, "real items", BLUE, "o"),
        (True, "synthetic items", ORANGE, "s"),
    ):
        shares = sorted(item.share for item in items if item.is_synthetic == is_synthetic)
        if shares:
            axes.plot(
                range(1, len(shares) + 1),
                shares,
                linestyle="none",
                marker=marker,
                markersize=5 if len(shares) < 100 else 3,
                color=ink.light,
                label=f"{name} (n = {len(shares)})",
            )
    axes.axhline(0.5, color=EDGE.light, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_ylim(-0.03, 1.03)
    as_percent(axes, "y", (0, 0.25, 0.5, 0.75, 1))
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=LINE.light, linewidth=1)
    axes.set_axisbelow(True)
    axes.set_xlabel("items of the arm, hardest first")
    axes.set_ylabel("readers who were right")
    legend(axes, loc="lower right")
    return figure


def draw(document: dict[str, Any]) -> Figure | None:
    """The share of readers who were right about each counted item."""
    found = document["analysis"]["difficulty"]
    if not found:
        return None
    return difficulty([ItemShare(one["item"], 1 - one["share_wrong"], one["is_synthetic"]) for one in found])


def sheet(document: dict[str, Any]) -> Sheet:
    """One row per item, the most mistaken first."""
    rows: list[list[Cell]] = []
    for one in document["analysis"]["difficulty"]:
        arm = "synthetic" if one["is_synthetic"] else "real"
        numbers = [one[name] for name in ("readers", "wrong", "share_wrong", "low", "high", "mean_score")]
        rows.append([one["item"], arm, one["stratum"], *numbers])
    columns = ("item", "arm", "stratum", "readers", "wrong", "share wrong", "low (95%)", "high (95%)")
    return Sheet((*columns, "mean score"), rows)


def say(document: dict[str, Any]) -> str:
    """The sentence about the items."""
    return str(document["analysis"]["difficulty_summary"]["sentence"])
