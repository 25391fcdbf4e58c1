"""Leaving one case out: how much each case carries a reader's figure, and the covariances that follow.

A case is a patient: every item of it leaves together, so items of one case may depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from webapp.readings.statistics.data import Flags, Indices, Numbers


@dataclass(frozen=True)
class LeftOut:
    """value [R]: each reader's figure. without [R, C]: the same with one case left out; counts [R, C] says
    whether the reader read that case in a way that the figure uses (where not, `without` is `value`)."""

    value: Numbers
    without: Numbers
    counts: Flags


def proportion(success: Numbers, case: Indices) -> LeftOut:
    """Shares of successes: success [R, I] is 1, 0 or nan (not counted), case [I] the items' cases.

    A reader with items of a single case has no leave-one-out value there: nan.
    """
    cases = _one_hot(case)
    counted = np.isfinite(success)
    hits = np.where(counted, success, 0.0) @ cases
    reads = counted.astype(np.float64) @ cases
    total, number = hits.sum(1, keepdims=True), reads.sum(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return LeftOut((total / number)[:, 0], (total - hits) / (number - reads), reads > 0)


def area(score: Numbers, truth: Flags, case: Indices) -> LeftOut:
    """Areas under the empirical ROC curves: score [R, I] (nan: not read), truth [I], case [I].

    AUC = mean over pairs of psi, psi = 1 where the synthetic item scores higher, 1/2 for a tie.
    A reader without both kinds of items has nan.
    """
    cases = int(case.max(initial=-1)) + 1
    value = np.full(len(score), np.nan)
    without = np.full((len(score), cases), np.nan)
    counts = np.zeros((len(score), cases), bool)
    for r, row in enumerate(score):
        read = np.isfinite(row)
        value[r], without[r], counts[r] = _one_area(row[read], truth[read], case[read], cases)
    return LeftOut(value, without, counts)


def covariance(left_out: LeftOut) -> Numbers:
    """Jackknife covariances of the readers' figures [R, R].

    With n cases read by both, Cov_rs = ((n-1)/n) sum_c (theta_r(-c) - mean_r)(theta_s(-c) - mean_s)
    (Efron 1982; Obuchowski and Rockette 1995). Where readers read different cases, the factor is
    sqrt(((n_r-1)/n_r)((n_s-1)/n_s)) and the sum goes over the cases that both read: readers without a
    common case have covariance 0.
    """
    counts = left_out.counts
    number = counts.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(counts, left_out.without, 0.0).sum(1) / number
        factor = np.sqrt((number - 1) / number)
    deviation = np.where(counts, left_out.without - mean[:, None], 0.0) * factor[:, None]
    found: Numbers = deviation @ deviation.T
    return found


def _one_area(score: Numbers, truth: Flags, case: Indices, cases: int) -> tuple[float, Numbers, Flags]:
    high, low = score[truth], score[~truth]
    case_high, case_low = case[truth], case[~truth]
    counts = np.zeros(cases, bool)
    counts[case] = True
    if not (len(high) and len(low)):
        return np.nan, np.full(cases, np.nan), counts
    above, below = wins(high, low)
    total = above.sum()
    lost = (np.bincount(case_high, above, cases) + np.bincount(case_low, below, cases)).astype(np.float64)
    m = np.bincount(case_high, minlength=cases)
    n = np.bincount(case_low, minlength=cases)
    if ((m > 0) & (n > 0)).any():
        lost = lost - _within(high, low, case_high, case_low, cases)
    pairs = (len(high) - m) * (len(low) - n)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(total / (len(high) * len(low))), (total - lost) / pairs, counts


def wins(high: Numbers, low: Numbers) -> tuple[Numbers, Numbers]:
    """For each of `high` [m], how many of `low` [n] it exceeds (ties count a half); for each of `low`,
    by how many of `high` it is exceeded."""
    lows, highs = np.sort(low), np.sort(high)
    above = (np.searchsorted(lows, high, "left") + np.searchsorted(lows, high, "right")) / 2
    below = len(high) - (np.searchsorted(highs, low, "left") + np.searchsorted(highs, low, "right")) / 2
    return above, below


def _within(high: Numbers, low: Numbers, case_high: Indices, case_low: Indices, cases: int) -> Numbers:
    """The part of the sum whose two items are of one case, which leaving it out must not take away twice."""
    i, j = np.nonzero(case_high[:, None] == case_low[None, :])
    psi = (high[i] > low[j]) + 0.5 * (high[i] == low[j])
    found: Numbers = np.bincount(case_high[i], psi, cases).astype(np.float64)
    return found


def _one_hot(case: Indices) -> Numbers:
    found = np.zeros((len(case), int(case.max(initial=-1)) + 1))
    found[np.arange(len(case)), case] = 1.0
    return found
