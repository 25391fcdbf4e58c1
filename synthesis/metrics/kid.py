"""Kernel Inception Distance: the unbiased squared MMD between two sets of features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.floating]


def polynomial_kernel(x: Features, y: Features) -> npt.NDArray[np.float64]:
    """k(x, y) = (x.y / d + 1)^3 for x [n, d], y [m, d]: [n, m] (Binkowski et al. 2018; math.md 8)."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def kid(x: Features, y: Features) -> float:
    """Unbiased MMD^2 of features x [n, d] and y [m, d]; may be slightly negative.

    Raises ValueError for fewer than two samples or for widths that differ.
    """
    _check(x, y)
    return _unbiased(polynomial_kernel(x, x), polynomial_kernel(y, y), polynomial_kernel(x, y))


def paired_kid_interval(
    x: Features, y: Features, *, reference: Features, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float, float]:
    """KID(x, reference) - KID(y, reference) with a bootstrap interval: (difference, low, high).

    x[i], y[i] and reference[i] belong to the same case, and cases are resampled together. A case
    drawn twice would meet itself in the kernel; such pairs are left out as the diagonal is.
    """
    _check(x, reference)
    _check(y, reference)
    if not len(x) == len(y) == len(reference):
        raise ValueError("paired features need the same number of cases")
    kernels = [polynomial_kernel(a, b) for a, b in ((x, x), (x, reference), (y, y), (y, reference))]
    value = _difference(kernels, np.ones(len(x)))
    rng = np.random.default_rng(seed)
    samples = [
        _difference(kernels, np.bincount(rng.integers(0, len(x), len(x)), minlength=len(x)).astype(float))
        for _ in range(draws)
    ]
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return value, float(low), float(high)


def kid_interval(
    x: Features, reference: Features, *, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float, float]:
    """KID(x, reference) with a bootstrap interval over cases: (value, low, high)."""
    _check(x, reference)
    kxx, kyy, kxy = polynomial_kernel(x, x), polynomial_kernel(reference, reference), polynomial_kernel(x, reference)
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(draws):
        wx = np.bincount(rng.integers(0, len(x), len(x)), minlength=len(x)).astype(float)
        wy = np.bincount(rng.integers(0, len(reference), len(reference)), minlength=len(reference)).astype(float)
        samples.append(
            _within(kxx, wx) + _within(kyy, wy) - 2 * float(wx @ kxy @ wy) / float(wx.sum() * wy.sum())
        )
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return _unbiased(kxx, kyy, kxy), float(low), float(high)


def _difference(kernels: list[npt.NDArray[np.float64]], weights: npt.NDArray[np.float64]) -> float:
    """KID(x, r) - KID(y, r) under case weights; the reference's own term cancels."""
    kxx, kxr, kyy, kyr = kernels
    pairs = float(weights.sum() ** 2)
    return (
        _within(kxx, weights)
        - _within(kyy, weights)
        - 2 * float(weights @ (kxr - kyr) @ weights) / pairs
    )


def _within(kernel: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    """Mean kernel over pairs of different cases, cases weighted."""
    total = float(weights @ kernel @ weights - weights**2 @ np.diag(kernel))
    return total / float(weights.sum() ** 2 - (weights**2).sum())


def _unbiased(
    kxx: npt.NDArray[np.float64], kyy: npt.NDArray[np.float64], kxy: npt.NDArray[np.float64]
) -> float:
    n, m = kxy.shape
    within_x = (kxx.sum() - np.trace(kxx)) / (n * (n - 1))
    within_y = (kyy.sum() - np.trace(kyy)) / (m * (m - 1))
    return float(within_x + within_y - 2 * kxy.mean())


def _check(x: Features, y: Features) -> None:
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"expected features [n>=2, d] and [m>=2, d], got {x.shape} and {y.shape}")
