"""The equivalence test as a picture: the interval against the band that the protocol called negligible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from matplotlib.figure import Figure

from webapp.readings.figures.drawing import BAND, BLUE, EDGE, LINE, TEXT, as_percent, canvas
from webapp.readings.figures.sheet import Cell, Sheet


@dataclass(frozen=True)
class Verdict:
    """The estimate, its interval for the test (1 - 2 alpha) and the wider one (1 - alpha), and the margin."""

    name: str
    value: float
    inner: tuple[float, float]
    outer: tuple[float, float] | None
    margin: float
    level: float
    is_share: bool = True
    chance: float = 0.5

    def shown(self, value: float) -> str:
        """The value as the axis writes it."""
        return f"{100 * value:.1f}%" if self.is_share else f"{value:.3f}"


def equivalence(verdict: Verdict) -> Figure:
    """Equivalence is shown where the thick interval lies wholly inside the shaded band."""
    figure, (axes,) = canvas(190)
    left, right = verdict.chance - verdict.margin, verdict.chance + verdict.margin
    ends = [left, right, *verdict.inner, *(verdict.outer or ())]
    reach = max(abs(end - verdict.chance) for end in ends) * 1.15 + 0.02
    axes.set(xlim=(verdict.chance - reach, verdict.chance + reach), ylim=(-1, 1))
    axes.axvspan(left, right, color=BAND.light)
    axes.axvline(verdict.chance, color=EDGE.light, linewidth=1.2, linestyle=(0, (4, 3)))
    for edge in (left, right):
        axes.axvline(edge, color=BLUE.light, linewidth=1)
    band = f" counts as no difference: {verdict.shown(left)} to {verdict.shown(right)}"
    axes.text(left, 0.8, band, ha="left", va="center", size=12, color=TEXT.light)
    if verdict.outer is not None:
        axes.plot(verdict.outer, [0, 0], color=TEXT.light, linewidth=1.5)
    axes.plot(verdict.inner, [0, 0], color=TEXT.light, linewidth=5, solid_capstyle="butt")
    axes.plot(verdict.value, 0, "D", color=TEXT.light, markersize=9)
    axes.text(
        verdict.value,
        -0.42,
        verdict.shown(verdict.value),
        ha="center",
        va="center",
        size=12,
        color=TEXT.light,
    )
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=LINE.light, linewidth=1)
    axes.set_axisbelow(True)
    step = 0.05 if reach < 0.3 else 0.1
    ticks = [verdict.chance + number * step for number in range(-10, 11) if abs(number * step) <= reach]
    if verdict.is_share:
        as_percent(axes, "x", ticks)
    else:
        axes.set_xticks(ticks, [f"{tick:.2f}" for tick in ticks])
    axes.set_xlabel(f"{verdict.name}; thick: {100 * verdict.level:.0f}% interval, the one that the test uses")
    return figure


NOT_SIGNIFICANT = "Not significant is not equivalent"
NAMES = {
    "accuracy": "accuracy over readers",
    "balanced accuracy": "balanced accuracy over readers",
    "auc": "area under the ROC curve over readers",
}


def draw(document: dict[str, Any]) -> Figure | None:
    """The preregistered test; nothing where there is no estimate."""
    test = preregistered(document)
    if test["estimate"] is None or test["low"] is None:
        return None
    figure = document["analysis"][test["measure"].replace(" ", "_")]
    outer = None if figure["low"] is None else (figure["low"], figure["high"])
    return equivalence(
        Verdict(
            name=NAMES[test["measure"]],
            value=test["estimate"],
            inner=(test["low"], test["high"]),
            outer=outer,
            margin=test["margin"],
            level=1 - 2 * test["alpha"],
            is_share=test["measure"] != "auc",
        )
    )


def sheet(document: dict[str, Any]) -> Sheet:
    """Both tests; `preregistered` marks the one that the protocol named before the first answer."""
    numbers = ("estimate", "low", "high", "margin", "alpha", "p_value", "p_difference", "verdict")
    rows: list[list[Cell]] = [
        [test["measure"], "yes" if test["preregistered"] else "no", *(test[name] for name in numbers)]
        for test in document["analysis"]["equivalence"].values()
    ]
    columns = ("measure", "preregistered", "estimate", "low", "high", "margin", "alpha")
    return Sheet((*columns, "p (equivalence)", "p (difference from 0.5)", "verdict"), rows)


def say(document: dict[str, Any]) -> str:
    """The sentence of the test, and what it takes to show equivalence."""
    sentence = str(preregistered(document)["sentence"])
    if NOT_SIGNIFICANT in sentence:
        return sentence
    meaning = _("only an interval wholly inside the band shows that the difference is negligible")
    return f"{sentence} {NOT_SIGNIFICANT}: {meaning}."


def preregistered(document: dict[str, Any]) -> dict[str, Any]:
    """The test that the protocol named."""
    tests: dict[str, dict[str, Any]] = document["analysis"]["equivalence"]
    return next(test for test in tests.values() if test["preregistered"])
