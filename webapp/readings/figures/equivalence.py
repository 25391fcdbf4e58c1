"""The equivalence test as a picture: the interval against the band that the protocol called negligible."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from webapp.readings.figures.drawing import BAND, BLUE, EDGE, LINE, TEXT, as_percent, canvas


@dataclass(frozen=True)
class Verdict:
    """The estimate, its interval for the test (1 - 2 alpha) and the wider one (1 - alpha), and the margin."""

    name: str
    value: float
    inner: tuple[float, float]
    outer: tuple[float, float] | None
    margin: float
    level: float
    chance: float = 0.5


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
    band = f" counts as no difference: {100 * left:.0f}% to {100 * right:.0f}%"
    axes.text(left, 0.8, band, ha="left", va="center", size=12, color=TEXT.light)
    if verdict.outer is not None:
        axes.plot(verdict.outer, [0, 0], color=TEXT.light, linewidth=1.5)
    axes.plot(verdict.inner, [0, 0], color=TEXT.light, linewidth=5, solid_capstyle="butt")
    axes.plot(verdict.value, 0, "D", color=TEXT.light, markersize=9)
    axes.text(
        verdict.value,
        -0.42,
        f"{100 * verdict.value:.1f}%",
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
    as_percent(axes, "x", ticks)
    axes.set_xlabel(f"{verdict.name}; thick: {100 * verdict.level:.0f}% interval, the one that the test uses")
    return figure
