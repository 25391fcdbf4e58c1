"""The grade that readers saw against the grade that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from webapp.readings.figures.drawing import BLUE, EDGE, TEXT, canvas
from webapp.readings.figures.sheet import Sheet


def severity(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure:
    """A table of counts [asked for, seen], darker for a larger share of its row; the diagonal is outlined.

    Raises ValueError where the table is not square over the labels.
    """
    if any(len(row) != len(labels) for row in counts) or len(counts) != len(labels):
        raise ValueError(f"expected {len(labels)} x {len(labels)} counts; got {[len(row) for row in counts]}")
    side = 64
    figure, (axes,) = canvas(side * len(labels) + 80, width=min(720, 2 * side * len(labels) + 160))
    for asked, row in enumerate(counts):
        total = max(sum(row), 1)
        for seen, count in enumerate(row):
            axes.add_patch(
                Rectangle(
                    (seen - 0.5, asked - 0.5),
                    1,
                    1,
                    facecolor=BLUE.light,
                    alpha=0.55 * count / total,
                    linewidth=0,
                )
            )
            axes.text(seen, asked, str(count), ha="center", va="center", size=13, color=TEXT.light)
        axes.add_patch(
            Rectangle(
                (asked - 0.48, asked - 0.48), 0.96, 0.96, fill=False, edgecolor=EDGE.light, linewidth=1.5
            )
        )
    axes.set(xlim=(-0.5, len(labels) - 0.5), ylim=(len(labels) - 0.5, -0.5))
    axes.set_xticks(range(len(labels)), list(labels))
    axes.set_yticks(range(len(labels)), list(labels))
    axes.set_xlabel("seen by the readers")
    axes.set_ylabel("asked for or known")
    return figure


def draw(document: dict[str, Any]) -> Figure | None:
    """The first severity question; nothing where none was asked or no grade is known."""
    if not document["severity"]:
        return None
    found = document["severity"][0]
    return severity(found["labels"], found["counts"])


def sheet(document: dict[str, Any]) -> Sheet:
    """One row per question and pair of grades."""
    rows = [
        [found["question"], asked, seen, found["counts"][row][column]]
        for found in document["severity"]
        for row, asked in enumerate(found["labels"])
        for column, seen in enumerate(found["labels"])
    ]
    return Sheet(("question", "asked for or known", "seen", "answers"), rows)


def say(document: dict[str, Any]) -> str:
    """The sentences of the agreement with what was asked for."""
    return " ".join(
        one["against_intended"]["sentence"]
        for one in document["analysis"]["severity"]
        if one["against_intended"] and one["against_intended"]["value"] is not None
    )
