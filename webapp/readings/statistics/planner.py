"""How many items and readers a study needs: exactly for one reader, by simulation for several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from webapp.readings.statistics import equivalence
from webapp.readings.statistics.data import Flags, Indices, Numbers
from webapp.readings.statistics.figure import Json
from webapp.readings.statistics.orh import marginal
from webapp.readings.statistics.proportion import wilson
from webapp.readings.statistics.roe_metz import CUTS, Design, Readers, latent, truths

MOST_ITEMS = 20_000
BATCH = 1_000_000  # answers simulated at once


@dataclass(frozen=True)
class Point:
    """The power of a study with `readers` and `items`; low and high are the Monte Carlo interval (95%),
    equal to power where it is exact."""

    readers: int
    items: int
    power: float
    low: float
    high: float


def equivalence_power(items: Indices, *, margin: float, true: float = 0.5, alpha: float = 0.05) -> Numbers:
    """The chance that one reader's exact binomial TOST declares equivalence, for each number of answers [N],
    the reader's true accuracy being `true`."""
    return equivalence.exact_size(items, true, margin=margin, alpha=alpha)


def equivalence_items(
    *, margin: float, power: float = 0.8, true: float = 0.5, alpha: float = 0.05, most: int = MOST_ITEMS
) -> int | None:
    """The items that one reader needs for the exact binomial TOST, None where `most` are too few.

    Exact power rises in a saw: this is the n from which it never falls below `power` again, so that a few
    items more are never worse. Raises ValueError where the true accuracy is not inside the margin: no number
    of items is then enough.
    """
    if abs(true - 0.5) > margin - 1e-9:
        raise ValueError(f"expected a true accuracy within {margin} of 0.5, got {true}")
    return _settled(
        lambda items: equivalence_power(items, margin=margin, true=true, alpha=alpha), power, most
    )


def one_reader_curve(
    items: Sequence[int], *, margin: float, true: float = 0.5, alpha: float = 0.05
) -> list[Point]:
    """The exact power of one reader's TOST at each number of items."""
    powers = equivalence_power(np.array(items, np.int64), margin=margin, true=true, alpha=alpha)
    return [Point(1, n, float(p), float(p), float(p)) for n, p in zip(items, powers, strict=True)]


def many_readers_power(
    readers: int,
    items: int,
    *,
    margin: float,
    measure: str = "accuracy",
    population: Readers | None = None,
    alpha: float = 0.05,
    studies: int = 500,
    seed: int = 0,
) -> Point:
    """The power of the many-reader TOST by simulation: half of the items synthetic, every reader reads all.

    `population` is what readers truly do (`roe_metz.Readers`; the default guesses: separation 0). measure is
    "accuracy" or "auc". Raises ValueError for fewer than two readers or four items, or another measure.
    """
    if readers < 2 or items < 4 or measure not in ("accuracy", "auc"):
        raise ValueError(f"expected 2 readers, 4 items, accuracy or auc; got {readers}, {items}, {measure}")
    rng = np.random.default_rng([seed, readers, items])
    design = Design(readers=readers, items=items - items % 2, synthetic=items // 2)
    truth = truths(design)
    declared = 0
    batch = max(1, BATCH // (readers * items))
    for start in range(0, studies, batch):
        number = min(batch, studies - start)
        x = np.array([latent(population or Readers(), design, rng)[0] for _ in range(number)])
        values, covariances = (_accuracies if measure == "accuracy" else _areas)(x, truth)
        declared += _declared(values, covariances, margin, alpha)
    spread = wilson(declared, studies)
    return Point(readers, items, declared / studies, float(spread.low or 0.0), float(spread.high or 1.0))


def plan(
    readers: Sequence[int],
    items: Sequence[int],
    *,
    margin: float,
    measure: str = "accuracy",
    population: Readers | None = None,
    alpha: float = 0.05,
    studies: int = 300,
    seed: int = 0,
) -> dict[str, Json]:
    """Power over items, one curve per number of readers, for a plot: {"margin", "alpha", "measure",
    "studies", "curves": [{"readers", "exact": bool, "points": [{"items", "power", "low", "high"}],
    "sentence"}], "one_reader": {"80": items or null, "90": items or null}}.

    One reader is exact and has no curve for the area under the ROC curve.
    """
    curves: list[Json] = []
    true = (population or Readers()).accuracy
    for number in readers:
        if number == 1 and measure != "accuracy":
            continue
        if number == 1:
            points = one_reader_curve(items, margin=margin, true=true, alpha=alpha)
        else:
            points = [
                many_readers_power(
                    number,
                    n,
                    margin=margin,
                    measure=measure,
                    population=population,
                    alpha=alpha,
                    studies=studies,
                    seed=seed,
                )
                for n in items
            ]
        curves.append(_curve(points, exact=number == 1))
    inside = abs(true - 0.5) < margin - 1e-9
    needed: dict[str, Json] = {
        name: equivalence_items(margin=margin, power=power, true=true, alpha=alpha) if inside else None
        for name, power in (("80", 0.8), ("90", 0.9))
    }
    return {
        "margin": margin,
        "alpha": alpha,
        "measure": measure,
        "studies": studies,
        "curves": curves,
        "one_reader": needed,
    }


def _curve(points: Sequence[Point], *, exact: bool) -> dict[str, Json]:
    readers = points[0].readers
    people = "One reader" if readers == 1 else f"{readers} readers"
    enough = [point.items for k, point in enumerate(points) if all(p.power >= 0.8 for p in points[k:])]
    said = f"{people}: no number of items tried reaches 80% power."
    if enough:
        said = f"{people}: about {enough[0]} items give 80% power."
    return {
        "readers": readers,
        "exact": exact,
        "points": [{"items": p.items, "power": p.power, "low": p.low, "high": p.high} for p in points],
        "sentence": said,
    }


def _declared(values: Numbers, covariances: Numbers, margin: float, alpha: float) -> int:
    """How many of the studies with readers' figures [S, R] and case covariances [S, R, R] the TOST calls
    equivalent: the same test as `equivalence.many_readers`."""
    found = [marginal(v, c, bounded=True) for v, c in zip(values, covariances, strict=True)]
    mean = np.array([one.mean for one in found])
    error = np.maximum([one.standard_error for one in found], 1e-12)
    degrees = np.array([one.degrees for one in found])
    above = stats.t.sf((mean - equivalence.CHANCE + margin) / error, degrees)
    below = stats.t.sf((equivalence.CHANCE + margin - mean) / error, degrees)
    return int((np.maximum(above, below) < alpha).sum())


def _accuracies(x: Numbers, truth: Flags) -> tuple[Numbers, Numbers]:
    """Accuracies of X [S, R, I] cut at 0: values [S, R] and their jackknife covariances [S, R, R]."""
    right = ((x > 0) == truth).astype(np.float64)
    return right.mean(2), _covariance(right)


def _areas(x: Numbers, truth: Flags) -> tuple[Numbers, Numbers]:
    """Areas of X [S, R, I] in six levels: values [S, R] and DeLong's covariances [S, R, R]; placements come
    from the counts of each level."""
    level = np.searchsorted(CUTS, x)
    high, low = level[..., truth], level[..., ~truth]
    grid = range(len(CUTS) + 1)
    at_high = np.stack([(high == k).sum(-1) for k in grid], -1)
    at_low = np.stack([(low == k).sum(-1) for k in grid], -1)
    below = (np.cumsum(at_low, -1) - at_low / 2) / low.shape[-1]
    above = 1 - (np.cumsum(at_high, -1) - at_high / 2) / high.shape[-1]
    v10, v01 = np.take_along_axis(below, high, -1), np.take_along_axis(above, low, -1)
    return v10.mean(-1), _covariance(v10) + _covariance(v01)


def _covariance(values: Numbers) -> Numbers:
    """The covariance of the means over the last axis: values [S, R, n] -> [S, R, R]."""
    n = values.shape[-1]
    deviation = values - values.mean(-1, keepdims=True)
    found: Numbers = deviation @ deviation.transpose(0, 2, 1) / (n * (n - 1))
    return found


def _settled(power_at: Callable[[Indices], Numbers], power: float, most: int) -> int | None:
    """The first n after the last that falls short, where the search went on to twice that n."""
    reach = 256
    while True:
        items = np.arange(1, reach + 1, dtype=np.int64)
        short = np.flatnonzero(power_at(items) < power)
        last = int(items[short[-1]]) if len(short) else 0
        if 2 * last < reach or reach >= 2 * most:
            return last + 1 if last < most else None
        reach *= 2
