"""Weighted kappa: agreement on graded answers, where a near miss counts for more than a far one."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import numpy as np
from scipy import stats

from webapp.readings.statistics.data import Indices, Numbers
from webapp.readings.statistics.figure import Figure
from webapp.readings.statistics.jackknife import LeftOut

Weights = Literal["quadratic", "linear", "unweighted"]


def weighted_kappa(first: Numbers, second: Numbers, weights: Weights = "quadratic") -> float:
    """kappa_w = 1 - sum w_ij o_ij / sum w_ij p_i q_j for two readings [n] of the same items.

    w_ij = (i - j)^2, |i - j| or [i != j] (Cohen, Psychol Bull 1968;70:213-220; unweighted: Cohen 1960). nan
    where both readings are one and the same constant.
    """
    value, _ = _kappa(first, second, np.arange(len(first)), weights)
    return value


def against_intended(
    grade: Numbers, intended: Numbers, case: Indices, weights: Weights = "quadratic"
) -> LeftOut:
    """Each reader's weighted kappa with the intended grades: grade [R, I] (nan: no answer), intended [I]
    (nan: none).

    Leave-one-case-out values come along, so that `accuracy.over_readers` gives the mean and its interval.
    """
    cases = int(case.max(initial=-1)) + 1
    value = np.full(len(grade), np.nan)
    without = np.full((len(grade), cases), np.nan)
    counts = np.zeros((len(grade), cases), bool)
    for r, row in enumerate(grade):
        both = np.isfinite(row) & np.isfinite(intended)
        counts[r, case[both]] = True
        if both.sum() >= 2:
            value[r], left = _kappa(row[both], intended[both], case[both], weights)
            without[r, np.unique(case[both])] = left
    return LeftOut(value, np.where(counts, without, value[:, None]), counts)


def between_readers(
    grade: Numbers, case: Indices, weights: Weights = "quadratic", *, level: float = 0.95
) -> Figure:
    """The mean weighted kappa over all pairs of readers (Light, Psychol Bull 1971;76:365-377).

    grade is [R, I] (nan: no answer). The interval takes the readers as they are and jackknifes the cases:
    mean -+ t(C-1) SE, SE^2 = ((C-1)/C) sum_c (theta(-c) - mean)^2. Pairs with fewer than two common items,
    or without any variation, are left out and counted in `note`.
    """
    method = f"mean pairwise {weights} kappa (Cohen, Light); case jackknife"
    cases = int(case.max(initial=-1)) + 1
    values, without, left_out = [], [], 0
    for one, other in combinations(range(len(grade)), 2):
        both = np.isfinite(grade[one]) & np.isfinite(grade[other])
        value, left = (
            _kappa(grade[one, both], grade[other, both], case[both], weights)
            if both.sum() >= 2
            else (np.nan, np.zeros(0))
        )
        if not np.isfinite(value):
            left_out += 1
            continue
        row = np.full(cases, value)
        row[np.unique(case[both])] = left
        values.append(value)
        without.append(row)
    n = int(np.isfinite(grade).sum())
    note = (
        f"{left_out} pair(s) of readers left out: too little in common or no variation." if left_out else ""
    )
    if not values:
        return Figure(
            None, level=level, n=n, method=method, note=note or "Needs two readers with items in common."
        )
    mean, jackknife = float(np.mean(values)), np.mean(without, axis=0)
    if cases < 3 or not np.isfinite(jackknife).all():
        return Figure(mean, level=level, n=n, method=method, note=note or "Too few cases for an interval.")
    error = float(np.sqrt((cases - 1) * jackknife.var()))
    half = float(stats.t.ppf((1 + level) / 2, cases - 1)) * error
    parts: dict[str, float | None] = {"standard_error": error, "pairs": len(values)}
    return Figure(mean, max(mean - half, -1.0), min(mean + half, 1.0), level, n, method, note, parts=parts)


def _kappa(first: Numbers, second: Numbers, case: Indices, weights: Weights) -> tuple[float, Numbers]:
    """The kappa, and the kappas without each case (in the order of the distinct cases)."""
    levels = np.unique(np.r_[first, second])
    distance = np.abs(levels[:, None] - levels[None, :])
    cost = {"quadratic": distance**2, "linear": distance, "unweighted": (distance > 0).astype(float)}[weights]
    i, j = np.searchsorted(levels, first), np.searchsorted(levels, second)
    _, which = np.unique(case, return_inverse=True)
    size, cases = len(levels), int(which.max()) + 1
    observed = np.bincount(which, cost[i, j], cases)
    p, q = np.zeros((cases, size)), np.zeros((cases, size))
    np.add.at(p, (which, i), 1.0)
    np.add.at(q, (which, j), 1.0)
    number = p.sum(1)

    def coefficient(cost_sum: Numbers, rows: Numbers, columns: Numbers, n: Numbers) -> Numbers:
        expected = ((rows @ cost) * columns).sum(-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Numbers = np.where(expected > 0, 1 - n * cost_sum / expected, np.nan)
        return found

    whole = coefficient(
        observed.sum(keepdims=True), p.sum(0)[None], q.sum(0)[None], number.sum(keepdims=True)
    )
    left = coefficient(observed.sum() - observed, p.sum(0) - p, q.sum(0) - q, number.sum() - number)
    return float(whole[0]), left
