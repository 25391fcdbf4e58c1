"""Accuracy, sensitivity and specificity: per reader, and as the mean of random readers over random cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from webapp.readings.statistics import jackknife, proportion
from webapp.readings.statistics.data import Flags, Numbers, Table
from webapp.readings.statistics.figure import Figure
from webapp.readings.statistics.jackknife import LeftOut
from webapp.readings.statistics.orh import Marginal, marginal

METHOD = "mean of readers; readers and cases random (Obuchowski-Rockette-Hillis, case jackknife)"
ON_LOGITS = METHOD[:-1] + ", logit scale)"


Kind = Literal["share", "area", "coefficient"]


@dataclass(frozen=True)
class Counts:
    """One reader's answers; synthetic is the positive class."""

    true_positive: int
    false_negative: int
    false_positive: int
    true_negative: int

    @property
    def synthetic(self) -> int:
        """Answers to synthetic items."""
        return self.true_positive + self.false_negative

    @property
    def real(self) -> int:
        """Answers to real items."""
        return self.false_positive + self.true_negative

    @property
    def right(self) -> int:
        """Right answers."""
        return self.true_positive + self.true_negative


def counts(answers: Table, reader: int) -> Counts:
    """The four counts of row `reader`."""
    read, called = answers.read[reader], answers.decision[reader]
    truth = answers.truth

    def number(keep: Flags) -> int:
        return int((keep & read).sum())

    return Counts(
        number(truth & called), number(truth & ~called), number(~truth & called), number(~truth & ~called)
    )


def accuracy(answers: Table) -> LeftOut:
    """Share of right answers of each reader: (TP + TN) / all."""
    return jackknife.proportion(answers.correct, answers.case)


def sensitivity(answers: Table) -> LeftOut:
    """Share of synthetic items called synthetic: TP / (TP + FN); synthetic is the positive class."""
    return jackknife.proportion(np.where(answers.truth, answers.correct, np.nan), answers.case)


def specificity(answers: Table) -> LeftOut:
    """Share of real items called real: TN / (TN + FP)."""
    return jackknife.proportion(np.where(answers.truth, np.nan, answers.correct), answers.case)


def balanced(answers: Table) -> LeftOut:
    """(sensitivity + specificity) / 2, which guessing brings to 1/2 whatever the share of synthetic items:
    the area under the one-point ROC of the decisions."""
    called = np.where(answers.read, answers.decision.astype(np.float64), np.nan)
    return jackknife.area(called, answers.truth, answers.case)


MEASURES: dict[str, Callable[[Table], LeftOut]] = {
    "accuracy": accuracy,
    "sensitivity": sensitivity,
    "specificity": specificity,
    "balanced_accuracy": balanced,
}


def usable(left_out: LeftOut) -> Flags:
    """Readers [R] whose figure and leave-one-case-out figures exist: at least two cases of each kind it
    needs."""
    known = np.isfinite(np.where(left_out.counts, left_out.without, 0.0)).all(1)
    found: Flags = np.isfinite(left_out.value) & known
    return found


def study(left_out: LeftOut) -> Marginal | None:
    """The marginal mean over the usable readers, None where fewer than two are."""
    keep = usable(left_out)
    if keep.sum() < 2:
        return None
    covariances: Numbers = jackknife.covariance(left_out)[np.ix_(keep, keep)]
    return marginal(left_out.value[keep], covariances, bounded=True)


def over_readers(left_out: LeftOut, *, n: int, level: float = 0.95, kind: Kind = "share") -> Figure:
    """The mean over readers, clustered by reader and by case; each reader weighs the same (`orh.marginal`).

    A share of answers and an area lie between 0 and 1: their interval is made on the logit scale. Where
    nothing varies, a share has an exact binomial interval on the cases, an area and a coefficient (from -1
    to 1) none. Readers who read too little for the measure are left out, and counted in `note`.
    """
    found = study(left_out)
    method = METHOD if kind == "coefficient" else ON_LOGITS
    left = int((~usable(left_out)).sum())
    note = ""
    if left:
        note = (
            f"{left} of {len(left_out.value)} readers left out: fewer than two cases of a kind that it needs."
        )
    if found is None:
        return Figure(None, level=level, n=n, method=method, note=note or "Needs two readers.")
    parts: dict[str, float | None] = {
        "standard_error": found.standard_error,
        "degrees_of_freedom": found.degrees,
        "readers": found.readers,
        "mean_square_readers": found.mean_square,
        "error_variance": found.error,
        "cov2": found.cov2,
        "reader_variance": found.reader_variance,
    }
    if found.standard_error == 0 and kind != "share":
        note = f"{note} Readers and cases did not differ: no interval.".strip()
        return Figure(found.mean, level=level, n=n, method=method, note=note, parts=parts)
    if found.standard_error == 0:
        low, high = _without_variance(left_out, found.mean, level)
        note = f"{note} Readers and cases did not differ: exact binomial interval on the cases.".strip()
    elif kind != "coefficient":
        low, high = found.logit_interval(level)
    else:
        low, high = (min(max(end, -1.0), 1.0) for end in found.interval(level))
    return Figure(found.mean, low, high, level, n, method, note, parts=parts)


def _without_variance(left_out: LeftOut, mean: float, level: float) -> tuple[float, float]:
    """Where every reader has the same figure and no case changes it: as if one reader had read each case
    once."""
    cases = int(left_out.counts.any(0).sum())
    plain = proportion.exact(round(mean * cases), cases, level=level)
    return (mean if plain.low is None else plain.low), (mean if plain.high is None else plain.high)


def one_reader(left_out: LeftOut, reader: int, right: int, n: int, *, level: float = 0.95) -> Figure:
    """One reader's share with Wilson's interval, widened where several items are of one case."""
    variance = float(jackknife.covariance(left_out)[reader, reader])
    cases = int(left_out.counts[reader].sum())
    if cases == n or not np.isfinite(variance):
        return proportion.wilson(right, n, level=level)
    return proportion.clustered(right, n, variance, level=level)
