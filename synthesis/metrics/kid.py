"""Kernel Inception Distance: the unbiased squared MMD between two sets of features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.floating]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A value with its bootstrap interval."""

    value: float
    low: float
    high: float


def polynomial_kernel(x: Features, y: Features) -> Matrix:
    """k(x, y) = (x.y / d + 1)^3 for x [n, d], y [m, d]: [n, m] (Binkowski et al. 2018; math.md 8)."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def kid(x: Features, y: Features) -> float:
    """Unbiased MMD^2 of independent features x [n, d] and y [m, d]; may be slightly negative.

    Raises ValueError for fewer than two samples or for widths that differ.
    """
    _check(x, y)
    n, m = len(x), len(y)
    kxx, kyy = polynomial_kernel(x, x), polynomial_kernel(y, y)
    within_x = (kxx.sum() - np.trace(kxx)) / (n * (n - 1))
    within_y = (kyy.sum() - np.trace(kyy)) / (m * (m - 1))
    return float(within_x + within_y - 2 * polynomial_kernel(x, y).mean())


def case_kernel(x: Features, y: Features) -> Matrix:
    """h_ij = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(y_i, x_j) for paired x, y [n, d]: [n, n].

    x_i and y_i may belong to the same case (an image and its truth): the mean of h over i != j is
    the unbiased MMD^2 whatever the pairs share (Gretton et al. 2012, lemma 6).
    """
    _check(x, y)
    if len(x) != len(y):
        raise ValueError(f"paired features need the same number of cases, got {len(x)} and {len(y)}")
    cross = polynomial_kernel(x, y)
    return polynomial_kernel(x, x) + polynomial_kernel(y, y) - cross - cross.T


def case_mean(h: Matrix, weights: Matrix | None = None) -> float:
    """Mean of h over pairs of different cases; `weights` [n] say how often each case was drawn."""
    w = np.ones(len(h)) if weights is None else weights
    total = w @ h @ w - (w**2) @ np.diag(h)
    return float(total / (w.sum() ** 2 - (w**2).sum()))


def case_interval(h: Matrix, *, draws: int = 1000, seed: int = 0, level: float = 0.95) -> Interval:
    """The mean of h with a bootstrap interval over cases.

    `h` is a case kernel or a difference of two of them (KID of one set minus KID of another against
    the same truth). A case drawn twice would meet itself; such pairs are left out as i = j is.
    """
    rng = np.random.default_rng(seed)
    n = len(h)
    samples = [
        case_mean(h, np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)) for _ in range(draws)
    ]
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return Interval(case_mean(h), float(low), float(high))


def _check(x: Features, y: Features) -> None:
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"expected features [n>=2, d] and [m>=2, d], got {x.shape} and {y.shape}")
