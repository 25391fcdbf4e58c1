"""Time per item: its middle and spread, and whether readers grow faster or slower on the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from webapp.readings.statistics.data import Numbers, Ratings
from webapp.readings.statistics.figure import Figure


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of n times, in seconds."""

    median: float
    low_quartile: float
    high_quartile: float
    n: int


def spread(seconds: Numbers) -> Spread | None:
    """The spread of times (nan: unknown), None where none is known."""
    known = seconds[np.isfinite(seconds)]
    if not len(known):
        return None
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    return Spread(float(middle), float(low), float(high), len(known))


def trend(ratings: Ratings, *, level: float = 0.95) -> Figure:
    """By what factor the time per item changes over 100 items: 0.8 is 20% faster.

    In each reader, log seconds is regressed on the place in their order (least squares); the factor is
    exp(100 times the mean slope), and its interval the t interval of the readers' slopes (a two-stage mixed
    model). With one reader it is that reader's regression. Times of 0 and unknown times are left out.
    """
    method = "mean of readers' slopes of log seconds on order; t interval over readers"
    use = np.isfinite(ratings.seconds) & (ratings.seconds > 0)
    slopes, single, n = [], None, 0
    for reader in np.unique(ratings.reader[use]):
        own = use & (ratings.reader == reader)
        order, log = ratings.position[own].astype(np.float64), np.log(ratings.seconds[own])
        if own.sum() >= 3 and np.ptp(order) > 0:
            single = stats.linregress(order, log)
            slopes.append(float(single.slope))
            n += int(own.sum())
    if single is None:
        return Figure(
            None, level=level, method=method, note="Needs three times of one reader at known places."
        )
    mean = float(np.mean(slopes))
    readers = len(slopes)
    error = float(np.std(slopes, ddof=1) / np.sqrt(readers)) if readers > 1 else float(single.stderr)
    half = float(stats.t.ppf((1 + level) / 2, readers - 1 if readers > 1 else n - 2)) * error
    low, middle, high = (float(np.exp(np.clip(100 * x, -50, 50))) for x in (mean - half, mean, mean + half))
    return Figure(middle, low, high, level, n, method, parts={"log_slope": mean, "readers": readers})


def by_position(ratings: Ratings) -> tuple[list[int], list[float]]:
    """The median time at each place of the readers' orders, for a plot; places without a time are left
    out."""
    known = np.isfinite(ratings.seconds)
    places = np.unique(ratings.position[known])
    return [int(p) for p in places], [
        float(np.median(ratings.seconds[known & (ratings.position == p)])) for p in places
    ]
