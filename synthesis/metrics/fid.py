"""Frechet distance between Gaussians fitted to two sets of features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]

SUBSETS = 12  # set sizes from a half to the whole, even in 1 / n, that the line is fitted through
DRAWS = 4  # subsets per size


@dataclass(frozen=True)
class FidEstimate:
    """FID of n against m samples, and what remains of it for infinitely many."""

    value: float
    infinity: float
    n: int
    m: int

    def __str__(self) -> str:
        return f"{self.value:.4g} (n = {self.n} and {self.m}; {self.infinity:.4g} extrapolated to infinite n)"


def fid(x: Array, y: Array) -> float:
    """FID of features x [n, d] and y [m, d]. Biased upwards by about C/n: always state n and m."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"expected features [n>=2, d] and [m>=2, d], got {x.shape} and {y.shape}")
    return _between(x.mean(0), _root_of_samples(x), y.mean(0), _root_of_samples(y))


def frechet(mean_x: Array, cov_x: Array, mean_y: Array, cov_y: Array) -> float:
    """Frechet distance of N(mean_x, cov_x) and N(mean_y, cov_y): means [d], covariances [d, d]."""
    return _between(mean_x, _root_of_covariance(cov_x), mean_y, _root_of_covariance(cov_y))


def _between(mean_x: Array, root_x: Array, mean_y: Array, root_y: Array) -> float:
    """|m1 - m2|^2 + tr(S1 + S2) - 2 sum sqrt eig(S1^1/2 S2 S1^1/2) of S = R^T R, R [k, d] (math.md 8).

    For any such R1, R2 the roots of those eigenvalues are the singular values of R1 R2^T [k1, k2],
    which is small where there are few samples, and no covariance is squared on the way.
    """
    cross = np.linalg.svd(root_x @ root_y.T, compute_uv=False).sum()
    shift = np.asarray(mean_x, np.float64) - np.asarray(mean_y, np.float64)
    return max(0.0, float(shift @ shift + (root_x**2).sum() + (root_y**2).sum() - 2 * cross))


def _root_of_samples(x: Array) -> Array:
    """R [min(n, d), d] with R^T R the covariance of x [n, d]."""
    centred = np.asarray(x, np.float64)
    centred = (centred - centred.mean(0)) / np.sqrt(len(x) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(x) > x.shape[1] else centred


def _root_of_covariance(cov: Array) -> Array:
    """R [d, d] with R^T R the covariance [d, d], its negative eigenvalues taken as zero."""
    values, vectors = np.linalg.eigh(np.asarray(cov, np.float64))
    return (vectors * np.sqrt(np.maximum(values, 0.0))).T


def fid_estimate(x: Array, y: Array, *, seed: int = 0) -> FidEstimate:
    """FID of features x [n, d] and y [m, d], with its value for n -> infinity (Chong and Forsyth 2020).

    FID(n) = FID_infinity + C / n for large n (math.md 8: the bias): a line is fitted through the
    FIDs of random subsets, the same share of both sets, and read off at 1 / n = 0. The line holds
    where n is well above d; below, the extrapolation is still biased, though less than the value.
    """
    value = fid(x, y)
    rng = np.random.default_rng(seed)
    shares = 1 / np.linspace(1, 2, SUBSETS)
    points = []
    for share in shares:
        sizes = [max(2, round(share * len(one))) for one in (x, y)]
        draws = 1 if share == 1 else DRAWS
        points += [
            (
                len(x) / sizes[0],
                fid(*(rng.permutation(one)[:size] for one, size in zip((x, y), sizes))),
                draws,
            )
            for _ in range(draws)
        ]
    inverse, values, draws_per_point = np.array(points).T
    weights = 1 / np.sqrt(draws_per_point * inverse)
    _, intercept = np.polyfit(inverse, values, 1, w=weights)
    return FidEstimate(value, float(intercept), len(x), len(y))
