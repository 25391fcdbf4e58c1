"""Simple classifiers that put all features of a family together, cross-validated under every labeling.

Both are linear in the labels once the features are known, so that one solve per fold serves every
permutation, and neither looks at a label before it has to.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from webapp.readings.audit.auc import Bool, Float, midranks, score_aucs

RIDGE = 1.0  # times the mean of the kernel's diagonal
TREES = 300
DEPTH = 4

Scorer = Callable[[Float, Bool, npt.NDArray[np.intp], int], Float]


def linear(columns: Float, labels: Bool, folds: npt.NDArray[np.intp], seed: int) -> Float:
    """Scores [n, labelings] of ridge-regularised least squares on the ranks of `columns` [features, n].

    Least squares on labels finds Fisher's discriminant (Hastie, Tibshirani, Friedman, Elements of
    Statistical Learning, section 4.3), the ridge keeps it finite; solved in its dual form.
    """
    x = _standardised(columns)
    kernel = x.T @ x / len(x)
    return _cross_fitted(kernel, labels, folds, ridge=RIDGE)


def forest(columns: Float, labels: Bool, folds: npt.NDArray[np.intp], seed: int) -> Float:
    """Scores [n, labelings] of a forest of totally randomised trees on `columns` [features, n].

    Each tree asks DEPTH random questions ("is this feature above that item's?") whatever the labels are;
    an item is scored by the labels of the training items that share its answers, over all trees
    (Geurts et al., Mach Learn 2006;63:3-42 with K = 1; Ozuysal et al., IEEE PAMI 2010;32:448 for trees
    that ask the same at each depth). Finds what is not monotone and what takes two features.
    """
    generator = np.random.default_rng(seed)
    x = _standardised(columns)
    kernel = np.zeros((x.shape[1], x.shape[1]))
    for _ in range(TREES):
        asked = generator.integers(len(x), size=DEPTH)
        limits = x[asked, generator.integers(x.shape[1], size=DEPTH)]
        answers = (2 ** np.arange(DEPTH)) @ (x[asked] > limits[:, None])
        kernel += answers[:, None] == answers[None, :]
    return _cross_fitted(kernel / TREES, labels, folds, ridge=None)


CLASSIFIERS: dict[str, Scorer] = {
    "a linear classifier": linear,
    "a forest of random trees": forest,
}


def classifier_aucs(
    scorer: Scorer, columns: Float, labels: Bool, folds: npt.NDArray[np.intp], seed: int
) -> Float:
    """Cross-validated AUC [labelings] of a classifier on `columns` [features, n]."""
    return score_aucs(scorer(columns, labels, folds, seed), labels)


def _standardised(columns: Float) -> Float:
    """Ranks of each feature at mean 0 and variance 1: no outlier and no scale decides."""
    ranks = midranks(columns)
    ranks = ranks - ranks.mean(axis=1, keepdims=True)
    return np.asarray(ranks / np.maximum(ranks.std(axis=1, keepdims=True), 1e-12))


def _cross_fitted(kernel: Float, labels: Bool, folds: npt.NDArray[np.intp], *, ridge: float | None) -> Float:
    """Score each fold by the labels of the others: k (K + ridge I)^-1 y, or k y / sum k without a ridge."""
    y = labels.astype(np.float64)
    scores = np.zeros(y.shape)
    for fold in np.unique(folds):
        inside = folds == fold
        train = y[~inside] - y[~inside].mean(axis=0)
        across = kernel[np.ix_(inside, ~inside)]
        if ridge is None:
            weight = np.maximum(across.sum(axis=1, keepdims=True), 1e-12)
            scores[inside] = (across @ train) / weight
        else:
            own = kernel[np.ix_(~inside, ~inside)]
            penalty = ridge * max(float(np.trace(own)) / len(own), 1e-12)
            scores[inside] = across @ np.linalg.solve(own + penalty * np.eye(len(own)), train)
    return np.asarray(np.round(scores, 10))  # equal items score equally, whatever the last bits say
