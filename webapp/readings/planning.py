"""The sample-size planner: what is asked of it, its answer kept for a while, and its plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.core.cache import cache
from django.utils.translation import gettext as _
from scipy.stats import norm

from webapp.readings.figures.drawing import (
    DASHES,
    EDGE,
    MARKERS,
    SERIES,
    Drawn,
    as_percent,
    canvas,
    finished,
    legend,
)
from webapp.readings.protocol import sha256_of
from webapp.readings.statistics.planner import plan
from webapp.readings.statistics.roe_metz import Readers

POINTS = 6
FEWEST_STUDIES, MOST_STUDIES = 100, 300
BUDGET = 4_000_000  # simulated answers of one plan, about four seconds
KEPT_SECONDS = 24 * 3600
ENOUGH = 0.8


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What to plan for: readers are the numbers of readers to compare, items the largest number of items,
    true the accuracy that readers are thought to have."""

    measure: str
    margin: float
    alpha: float
    true: float
    readers: tuple[int, ...]
    items: int

    @property
    def key(self) -> str:
        """The name under which the answer is kept."""
        return f"reading-plan-{sha256_of(asdict(self))}"

    @property
    def numbers(self) -> list[int]:
        """The numbers of items on the curve, even and rising."""
        steps = np.linspace(self.items / POINTS, self.items, POINTS)
        return sorted({max(8, int(2 * round(step / 2))) for step in steps})


def planned(wish: Wish) -> dict[str, Any]:
    """The planner's answer, simulated once a day at most; the same wish gives the same numbers."""
    kept = cache.get(wish.key)
    if kept is None:
        answers = sum(wish.readers) * sum(wish.numbers)
        spread = Readers().spread
        kept = plan(
            list(wish.readers),
            wish.numbers,
            margin=wish.margin,
            measure=wish.measure,
            population=Readers(separation=float(2 * spread * norm.ppf(wish.true))),
            alpha=wish.alpha,
            studies=int(np.clip(BUDGET // max(answers, 1), FEWEST_STUDIES, MOST_STUDIES)),
            seed=1,
        )
        cache.set(wish.key, kept, KEPT_SECONDS)
    return dict(kept)


def plan_figure(found: Mapping[str, Any]) -> Drawn:
    """Power over items, one curve per number of readers, with the simulation's 95% intervals."""
    figure, (axes,) = canvas(380)
    for number, curve in enumerate(found["curves"]):
        points = curve["points"]
        items = [point["items"] for point in points]
        power = [point["power"] for point in points]
        ink = SERIES[number % len(SERIES)].light
        label = _("1 reader (exact)") if curve["exact"] else _("%(n)d readers") % {"n": curve["readers"]}
        axes.plot(
            items,
            power,
            color=ink,
            linestyle=DASHES[number % len(DASHES)],
            marker=MARKERS[number % len(MARKERS)],
            label=label,
        )
        if not curve["exact"]:
            axes.vlines(
                items, [point["low"] for point in points], [point["high"] for point in points], color=ink
            )
    axes.axhline(ENOUGH, color=EDGE.light, linewidth=1, linestyle=(0, (2, 3)))
    axes.set_xlabel(_("Counted items, half of them synthetic"))
    axes.set_ylabel(_("Power"))
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(left=0)
    as_percent(axes, "y", (0, 0.2, 0.4, 0.6, 0.8, 1.0))
    legend(axes, loc="lower right")
    words = " ".join(str(curve["sentence"]) for curve in found["curves"])
    return finished(figure, title=_("Power of the equivalence test"), words=words)
