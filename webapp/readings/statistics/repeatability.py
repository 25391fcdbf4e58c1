"""Intra-reader repeatability: does the same reader say the same of the same item, shown again unannounced?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from webapp.readings.statistics import accuracy, jackknife
from webapp.readings.statistics.data import Indices, Numbers, Ratings
from webapp.readings.statistics.figure import Figure, between, percent
from webapp.readings.statistics.weighted_kappa import weighted_kappa


@dataclass(frozen=True)
class Pairs:
    """First and repeated answers of the same reader to the same item, all [n]; `reader` and `case` of
    each."""

    reader: Indices
    case: Indices
    first: Numbers
    second: Numbers
    first_score: Numbers
    second_score: Numbers

    @property
    def same(self) -> Numbers:
        """1 where the decision was the same: [n]."""
        return (self.first == self.second).astype(np.float64)


def pairs(ratings: Ratings) -> Pairs:
    """Each repeat with the first answer to the same item by the same reader; where an item came back more
    than once, its earliest repeat. Repeats without a first answer are left out."""
    size = max(len(ratings.items), 1)
    key = ratings.reader * size + ratings.item
    first = {int(key[k]): k for k in np.flatnonzero(~ratings.repeat)}
    order = np.flatnonzero(ratings.repeat)
    again: dict[int, int] = {}
    for k in order[np.argsort(ratings.position[order], kind="stable")]:
        again.setdefault(int(key[k]), int(k))
    both = [(first[name], k) for name, k in again.items() if name in first]
    one, two = (np.array([pair[side] for pair in both], np.int64) for side in (0, 1))
    called = ratings.decision.astype(np.float64)
    return Pairs(
        ratings.reader[one],
        ratings.case[one],
        called[one],
        called[two],
        ratings.score[one],
        ratings.score[two],
    )


def agreement(found: Pairs, *, level: float = 0.95) -> Figure:
    """The share of repeats with the same decision, over random readers and cases (as accuracy is); one
    reader: Wilson's interval."""
    n = len(found.reader)
    if not n:
        return Figure(None, level=level, method="share of equal decisions", note="No item was shown twice.")
    readers, row = np.unique(found.reader, return_inverse=True)
    cases = np.unique(found.case, return_inverse=True)[1]
    grid = np.full((len(readers), n), np.nan)  # one column per pair; columns of one case leave together
    grid[row, np.arange(n)] = found.same
    left_out = jackknife.proportion(grid, cases)
    if accuracy.usable(left_out).sum() >= 2:
        return accuracy.over_readers(left_out, n=n, level=level)
    return accuracy.one_reader(
        left_out, 0, int(found.same[row == 0].sum()), int((row == 0).sum()), level=level
    )


def kappa(found: Pairs, *, level: float = 0.95) -> Figure:
    """Cohen's kappa of first against repeated decisions, the pairs of all readers together.

    The interval is the wider of two jackknives, one over cases and one over readers (only over cases with
    fewer than three readers), on t with one degree of freedom less than there are of them.
    """
    n = len(found.reader)
    method = "Cohen's kappa of repeats; wider of the case and reader jackknives"
    value = weighted_kappa(found.first, found.second, "unweighted") if n else float("nan")
    if not np.isfinite(value):
        note = "All decisions were the same: agreement by chance is 1." if n else "No item was shown twice."
        return Figure(None, level=level, n=n, method=method, note=note)
    half, error = 0.0, 0.0
    for groups in (found.case, found.reader):
        names = np.unique(groups)
        if len(names) < 3:
            continue
        without = np.array(
            [weighted_kappa(found.first[groups != g], found.second[groups != g], "unweighted") for g in names]
        )
        spread = float(np.sqrt((len(names) - 1) * without.var()))
        reach = float(stats.t.ppf((1 + level) / 2, len(names) - 1)) * spread
        if not np.isfinite(reach):
            return Figure(
                value, level=level, n=n, method=method, note="Too little variation for an interval."
            )
        half, error = max((half, error), (reach, spread))
    if not half:
        return Figure(value, level=level, n=n, method=method, note="Too few repeats for an interval.")
    return Figure(
        value,
        max(value - half, -1.0),
        min(value + half, 1.0),
        level,
        n,
        method,
        parts={"standard_error": error},
    )


def score_sd(found: Pairs, *, level: float = 0.95) -> Figure:
    """The within-reader standard deviation of confidence, s_w = sqrt(sum d^2 / 2n) over n repeats.

    Bland and Altman, BMJ 1996;313:744; the interval is s_w sqrt(n/chi2(n)), differences taken as normal.
    `parts` has the repeatability coefficient sqrt(2) 1.96 s_w.
    """
    known = np.isfinite(found.first_score) & np.isfinite(found.second_score)
    n = int(known.sum())
    method = "within-reader standard deviation of confidence; chi-square interval"
    if not n:
        return Figure(
            None, level=level, method=method, note="No confidence was given twice for the same item."
        )
    squares = float(((found.first_score - found.second_score)[known] ** 2).sum())
    value = float(np.sqrt(squares / (2 * n)))
    low, high = (
        float(np.sqrt(squares / 2 / stats.chi2.ppf(side, n))) for side in ((1 + level) / 2, (1 - level) / 2)
    )
    coefficient = {"repeatability_coefficient": 1.959963984540054 * np.sqrt(2) * value}
    return Figure(value, low, high, level, n, method, parts=coefficient)


def sentence(found: Pairs, same: Figure) -> str:
    """What the report says of the repeats."""
    if same.value is None:
        return "No item was shown twice to the same reader, so repeatability is not known."
    return (
        f"Shown the same item again, readers gave the same answer {percent(same.value)} of the time "
        f"({len(found.reader)} repeats, {between(same)})."
    )
