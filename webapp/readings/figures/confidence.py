"""How often each degree of confidence was chosen, for real and for synthetic items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from matplotlib.figure import Figure

from webapp.readings.figures.drawing import BLUE, LINE, ORANGE, TEXT, as_percent, canvas, legend
from webapp.readings.figures.sheet import Sheet


def confidence(labels: Sequence[str], real: Sequence[int], synthetic: Sequence[int]) -> Figure:
    """Two bars per answer, each as a share of its arm; the counts stand above them.

    Raises ValueError where the lengths differ.
    """
    if not len(labels) == len(real) == len(synthetic):
        raise ValueError(f"expected three sequences of {len(labels)}; got {len(real)} and {len(synthetic)}")
    figure, (axes,) = canvas(320)
    highest = 0.0
    for counts, name, ink, hatch, shift in (
        (real, "real items", BLUE, "", -0.2),
        (synthetic, "synthetic items", ORANGE, "///", 0.2),
    ):
        total = max(sum(counts), 1)
        shares = [count / total for count in counts]
        highest = max(highest, *shares) if shares else highest
        places = [number + shift for number in range(len(labels))]
        axes.bar(
            places,
            shares,
            width=0.38,
            label=f"{name} (n = {sum(counts)})",
            facecolor=ink.light,
            edgecolor="#fefefe",
            hatch=hatch,
            linewidth=0,
        )
        for place, share, count in zip(places, shares, counts):
            axes.text(place, share, str(count), ha="center", va="bottom", size=11, color=TEXT.light)
    axes.set_xticks(range(len(labels)), list(labels))
    step = 0.1 if highest < 0.45 else 0.2
    axes.set_ylim(0, max(1.15 * highest, 0.2))
    as_percent(
        axes, "y", [number * step for number in range(int(1 / step) + 1) if number * step <= 1.1 * highest]
    )
    axes.grid(axis="y", color=LINE.light, linewidth=1)
    axes.set_axisbelow(True)
    axes.set_ylabel("share of the answers to the arm")
    legend(axes, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.16))
    return figure


def draw(document: dict[str, Any]) -> Figure | None:
    """The answers to counted items, first showings only."""
    found = document["confidence"]
    if not sum(found["real"]) + sum(found["synthetic"]):
        return None
    labels = [label.replace(" ", "\n") for label in found["labels"]]
    return confidence(labels, found["real"], found["synthetic"])


def sheet(document: dict[str, Any]) -> Sheet:
    """Counts of answers by arm."""
    found = document["confidence"]
    rows = [list(row) for row in zip(found["labels"], found["real"], found["synthetic"])]
    return Sheet(("answer", "real items", "synthetic items"), rows)


def say(document: dict[str, Any]) -> str:
    """How often the surest answers were right."""
    found = document["confidence"]
    real, synthetic = found["real"], found["synthetic"]
    sure = real[0] + real[-1] + synthetic[0] + synthetic[-1]
    if not sure:
        return _("Nobody chose either of the surest answers.")
    return _(
        "The two surest answers were given %(sure)d times and were right %(right)d times. "
        "The more alike the two sets of bars are, the less readers could tell the arms apart."
    ) % {"sure": sure, "right": real[0] + synthetic[-1]}
