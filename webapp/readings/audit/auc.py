"""Areas under the ROC curve by ranks, for many features and many labelings at once, and their interval."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
_EDGE = 1e-12  # 0 and 1 solve their own equation; the other solution is the limit


def midranks(values: npt.ArrayLike) -> Float:
    """Ranks from 1 along the last axis, ties sharing their mean rank."""
    return np.asarray(stats.rankdata(np.asarray(values, dtype=np.float64), axis=-1), dtype=np.float64)


def rank_aucs(ranks: Float, labels: Bool) -> Float:
    """AUC of each row of `ranks` [features, n] under each column of `labels` [n, labelings].

    AUC = (R1 - n1 (n1 + 1) / 2) / (n1 n0) with R1 the sum of the midranks of the n1 positives
    (Mann and Whitney 1947; Bamber 1975, J Math Psychol 12:387). 0.5 where one class is empty.
    """
    positives = labels.sum(axis=0).astype(np.float64)
    pairs = positives * (labels.shape[0] - positives)
    sums = ranks @ labels.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        areas = (sums - positives * (positives + 1) / 2) / pairs
    return np.where(pairs > 0, areas, 0.5)


def score_aucs(scores: Float, labels: Bool) -> Float:
    """AUC of each column of `scores` [n, labelings] under the same column of `labels`: [labelings]."""
    ranks = midranks(scores.T)
    positives = labels.sum(axis=0).astype(np.float64)
    pairs = positives * (labels.shape[0] - positives)
    sums = (ranks * labels.T).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        areas = (sums - positives * (positives + 1) / 2) / pairs
    return np.where(pairs > 0, areas, 0.5)


def cross_validated_auc(values: Float, labels: Bool, folds: npt.NDArray[np.intp]) -> float:
    """AUC of one feature [n] whose direction is learned on the other folds, pooled over the folds.

    A feature that tells nothing lands at 0.5 or below, one that leaks at its rank AUC.
    """
    ranks = midranks(values)
    oriented = np.zeros(len(ranks))
    for fold in np.unique(folds):
        inside = folds == fold
        learned = rank_aucs(midranks(values[~inside])[None], labels[~inside, None])[0, 0]
        oriented[inside] = np.sign(learned - 0.5) * (ranks[inside] - ranks.mean())
    return float(score_aucs(oriented[:, None], labels[:, None])[0])


def auc_interval(area: float, positives: int, negatives: int, level: float = 0.95) -> tuple[float, float]:
    """Interval for an AUC that also holds at 0 and 1: solves |area - theta| = z sqrt(V(theta)).

    V(theta) = theta (1 - theta) [1 + N (1 - theta) / (2 - theta) + N theta / (1 + theta)] / (m n),
    N = (m + n) / 2 - 1: method 5 of Newcombe, Stat Med 2006;25:559-573. `positives` and `negatives`
    are numbers of independent clusters, which widens the interval where items share a patient.
    """
    m, n = max(positives, 1), max(negatives, 1)
    z = float(stats.norm.ppf(0.5 + level / 2))
    half = (m + n) / 2 - 1

    def reach(theta: float) -> float:
        spread = 1 + half * (1 - theta) / (2 - theta) + half * theta / (1 + theta)
        return z * float(np.sqrt(theta * (1 - theta) * spread / (m * n)))

    low = 0.0 if area <= 1e-9 else float(optimize.brentq(lambda t: area - t - reach(t), 0.0, area - _EDGE))
    high = (
        1.0 if area >= 1 - 1e-9 else float(optimize.brentq(lambda t: t - area - reach(t), area + _EDGE, 1.0))
    )
    return low, high
