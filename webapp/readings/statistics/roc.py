"""One reader's empirical ROC: its points, the area under it and DeLong's interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from webapp.readings.statistics.data import Flags, Indices, Numbers
from webapp.readings.statistics.figure import Figure
from webapp.readings.statistics.jackknife import wins


@dataclass(frozen=True)
class Points:
    """ROC points from (0, 0) to (1, 1): calling synthetic every score at or above `threshold`."""

    fpr: Numbers
    tpr: Numbers
    threshold: Numbers


def points(score: Numbers, truth: Flags) -> Points:
    """The points of the empirical ROC of scores [n] with truths [n]; one per distinct score, highest first.

    Raises ValueError where one kind of item is missing.
    """
    _check(score, truth)
    levels = np.unique(score)[::-1]
    high, low = np.sort(score[truth]), np.sort(score[~truth])
    tpr = 1 - np.searchsorted(high, levels, "left") / len(high)
    fpr = 1 - np.searchsorted(low, levels, "left") / len(low)
    return Points(np.r_[0.0, fpr], np.r_[0.0, tpr], np.r_[np.inf, levels])


def auc(score: Numbers, truth: Flags) -> float:
    """P(score of a synthetic item > score of a real one) + P(equal)/2: Mann and Whitney 1947, Bamber 1975."""
    _check(score, truth)
    above, _ = wins(score[truth], score[~truth])
    return float(above.mean() / (~truth).sum())


def delong_variance(score: Numbers, truth: Flags, case: Indices | None = None) -> float:
    """The variance of the area after DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837-845.

    S10/m + S01/n with S10, S01 the sample variances of the placements V10_i = mean_j psi_ij, V01_j =
    mean_i psi_ij. With several items to a case it is the clustered variance of Obuchowski, Biometrics
    1997;53:567-578: (1/m^2) M/(M-1) sum_c(A_c)^2 + (1/n^2) N/(N-1) sum_c(B_c)^2 + 2/(mn) J/(J-1)
    sum_c A_c B_c, with A_c, B_c a case's sums of V10 - AUC, V01 - AUC; M, N, J the cases with synthetic
    items, with real items, in all.
    """
    _check(score, truth)
    above, below = wins(score[truth], score[~truth])
    m, n = len(above), len(below)
    v10, v01 = above / n, below / m
    if case is None:
        case = np.arange(m + n)
    if min(m, n) < 2:
        return float("nan")
    area = v10.mean()
    size = int(case.max()) + 1
    a = np.bincount(case[truth], v10 - area, size)
    b = np.bincount(case[~truth], v01 - area, size)
    high, low = len(np.unique(case[truth])), len(np.unique(case[~truth]))
    both = len(np.unique(case))
    if min(high, low) < 2:
        return float("nan")
    own = (a @ a) * high / (high - 1) / m**2 + (b @ b) * low / (low - 1) / n**2
    return float(own + 2 * (a @ b) * both / (both - 1) / (m * n))


def delong_covariance(score: Numbers, truth: Flags) -> Numbers:
    """DeLong's covariances [R, R] of readers who all scored the same independent items: score [R, I], truth
    [I].

    Cov_rs = S10_rs/m + S01_rs/n, the sample covariances of the placements (DeLong, DeLong and Clarke-Pearson
    1988). Raises ValueError for fewer than two items of a kind or a score that is missing.
    """
    if not np.isfinite(score).all() or min(truth.sum(), (~truth).sum()) < 2:
        raise ValueError("expected every score, and two items of each kind or more")
    placed = [wins(row[truth], row[~truth]) for row in score]
    m, n = int(truth.sum()), int((~truth).sum())
    v10 = np.array([above for above, _ in placed]) / n
    v01 = np.array([below for _, below in placed]) / m
    found: Numbers = np.atleast_2d(np.cov(v10)) / m + np.atleast_2d(np.cov(v01)) / n
    return found


def degrees(truth: Flags, case: Indices | None = None) -> int:
    """Degrees of freedom of DeLong's variance: the cases of the rarer kind, less one (at least one)."""
    number = np.arange(len(truth)) if case is None else case
    return max(min(len(np.unique(number[truth])), len(np.unique(number[~truth]))) - 1, 1)


def auc_figure(score: Numbers, truth: Flags, case: Indices | None = None, *, level: float = 0.95) -> Figure:
    """The area with DeLong's interval on the logit scale: logit(A) -+ t SE/(A(1-A)) (Pepe 2003, section 5.2).

    Student's t on `degrees` stands in place of the normal quantile, which covers too little with few items.

    Where the scores separate the kinds without an error (A = 0 or 1, or no variance) there is no interval.
    """
    method = "Mann-Whitney; DeLong, logit scale"
    n = len(score)
    if not (truth.any() and (~truth).any()):
        return Figure(
            None, level=level, n=n, method=method, note="Needs scores of synthetic and of real items."
        )
    area, variance = auc(score, truth), delong_variance(score, truth, case)
    parts: dict[str, float | None] = {"standard_error": float(np.sqrt(max(variance, 0.0)))}
    if not variance > 0 or area in (0.0, 1.0):
        note = "The scores leave no variance to estimate: DeLong gives no interval."
        return Figure(area, level=level, n=n, method=method, note=note, parts=parts)
    quantile = float(stats.t.ppf((1 + level) / 2, degrees(truth, case)))
    reach = quantile * np.sqrt(variance) / (area * (1 - area))
    centre = np.log(area / (1 - area))
    low, high = (1 / (1 + np.exp(-(centre + side * reach))) for side in (-1, 1))
    return Figure(area, float(low), float(high), level, n, method, parts=parts)


def _check(score: Numbers, truth: Flags) -> None:
    if score.shape != truth.shape or not np.isfinite(score).all():
        raise ValueError(f"expected finite scores [n] and truths [n], got {score.shape} and {truth.shape}")
    if not (truth.any() and (~truth).any()):
        raise ValueError("expected scores of synthetic and of real items, got one kind")
