"""Counts of items by category, and case-jackknife intervals of agreement coefficients made from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from webapp.readings.statistics.data import Indices, Numbers
from webapp.readings.statistics.figure import Figure


@dataclass(frozen=True)
class Tally:
    """How many readers gave each item each value: counts [I, K], values [K] ascending, case [I]."""

    counts: Numbers
    values: Numbers
    case: Indices


Coefficient = Callable[[Numbers, Numbers, Numbers], Numbers]
"""counts [I, K], values [K], weights [W, I] (how often each item counts) -> coefficients [W]."""


def tally(values: Numbers, case: Indices) -> Tally:
    """The tally of values [R, I] (nan: no answer) of items with cases [I]; items nobody answered are left
    out."""
    some = np.isfinite(values).any(0)
    values, case = values[:, some], case[some]
    levels = np.unique(values[np.isfinite(values)])
    counts = np.array([(values == level).sum(0) for level in levels], np.float64)
    counts = counts.reshape(len(levels), values.shape[1]).T
    return Tally(counts, levels, np.unique(case, return_inverse=True)[1] if len(case) else case)


def figure(found: Tally, coefficient: Coefficient, *, method: str, level: float = 0.95) -> Figure:
    """The coefficient with a jackknife interval over cases: value -+ t(C-1) SE,
    SE^2 = ((C-1)/C) sum_c (theta(-c) - mean)^2 (Efron 1982), cut at 1."""
    n = int(found.counts.sum())
    pairs = found.counts.sum(1) >= 2 if n else np.zeros(0, bool)
    if not pairs.any():
        return Figure(None, level=level, n=n, method=method, note="Needs items that two readers answered.")
    value = float(coefficient(found.counts, found.values, np.ones((1, len(found.case))))[0])
    cases = int(found.case.max()) + 1
    weights = (found.case[None, :] != np.arange(cases)[:, None]).astype(np.float64)
    without = coefficient(found.counts, found.values, weights)
    if not np.isfinite(value):
        return Figure(
            None, level=level, n=n, method=method, note="All answers are the same: agreement by chance is 1."
        )
    if cases < 3 or not np.isfinite(without).all():
        return Figure(value, level=level, n=n, method=method, note="Too few cases for an interval.")
    error = float(np.sqrt((cases - 1) * without.var()))
    half = float(stats.t.ppf((1 + level) / 2, cases - 1)) * error
    parts: dict[str, float | None] = {"standard_error": error, "cases": cases}
    return Figure(value, max(value - half, -1.0), min(value + half, 1.0), level, n, method, parts=parts)


def chance_corrected(observed: Numbers, by_chance: Numbers) -> Numbers:
    """(Pa - Pe) / (1 - Pe), nan where chance alone agrees always."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(1 - by_chance > 1e-12, (observed - by_chance) / (1 - by_chance), np.nan)


def observed_agreement(counts: Numbers, weights: Numbers) -> Numbers:
    """Pa [W]: the mean over items with two readers or more of sum_k r_k(r_k - 1) / (r(r - 1))."""
    readers = counts.sum(1)
    two = readers >= 2
    agree = (counts[two] * (counts[two] - 1)).sum(1) / (readers[two] * (readers[two] - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Numbers = (weights[:, two] @ agree) / weights[:, two].sum(1)
    return found


def prevalence(counts: Numbers, weights: Numbers) -> Numbers:
    """pi_k [W, K]: the mean over items of the share of readers who chose k."""
    shares = counts / counts.sum(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Numbers = (weights @ shares) / weights.sum(1, keepdims=True)
    return found


def percent_agreement(found: Tally, *, level: float = 0.95) -> Figure:
    """The share of pairs of readers who agree on an item, items weighing the same: no correction for
    chance."""
    return figure(
        found,
        lambda counts, _, weights: observed_agreement(counts, weights),
        method="pairwise agreement",
        level=level,
    )
