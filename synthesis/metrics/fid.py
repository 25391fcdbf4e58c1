"""Frechet distance between Gaussians fitted to two sets of features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


def fid(x: Array, y: Array) -> float:
    """FID of features x [n, d] and y [m, d]. Biased upwards by about C/n: always state n and m."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"expected features [n>=2, d] and [m>=2, d], got {x.shape} and {y.shape}")
    return frechet(
        x.mean(0), np.atleast_2d(np.cov(x, rowvar=False)), y.mean(0), np.atleast_2d(np.cov(y, rowvar=False))
    )


def frechet(mean_x: Array, cov_x: Array, mean_y: Array, cov_y: Array) -> float:
    """|m1 - m2|^2 + tr(S1 + S2) - 2 sum sqrt eig(S1^1/2 S2 S1^1/2), by symmetric eigh (math.md 8)."""
    values, vectors = np.linalg.eigh(np.asarray(cov_x, np.float64))
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ np.asarray(cov_y, np.float64) @ root)
    cross = np.sqrt(np.maximum(inner, 0.0)).sum()
    shift = np.asarray(mean_x, np.float64) - np.asarray(mean_y, np.float64)
    return float(shift @ shift + np.trace(cov_x) + np.trace(cov_y) - 2 * cross)
