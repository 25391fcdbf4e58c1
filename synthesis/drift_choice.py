"""Choosing delta: the paper's grid search, and two estimators that need no search (math.md section 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from synthesis.inversion import invert
from synthesis.stepping import OnSamplerStep, Times, Velocity

PAPER_GRID: tuple[float, ...] = tuple(round(-0.2 + 0.05 * k, 2) for k in range(9))
BINS = 64


def terminal_snr(latents: Tensor, alpha_bar: float) -> Tensor:
    """delta_c = sqrt(A_T) mean_c: what the start N(0, I) leaves out of latents [n, C, ...]. Returns [C].

    A schedule that ends at alpha_bar A_T > 0 was trained on starts around sqrt(A_T) x, not around 0.
    """
    if not 0 <= alpha_bar < 1:
        raise ValueError(f"alpha_bar: expected a number from 0 to below 1, got {alpha_bar}.")
    return sqrt(alpha_bar) * channel_means(latents)


def inversion(
    velocity: Velocity, latents: Tensor, times: Times, *, on_step: OnSamplerStep | None = None
) -> Tensor:
    """delta_c = the mean of target latents [n, C, ...] run back to the noise. Returns [C].

    For a model of N(m, c^2) and targets of mean m' it is (m' - m) / c, exactly.
    """
    return channel_means(invert(velocity, latents, times, on_step=on_step))


def channel_means(latents: Tensor) -> Tensor:
    """Mean of each channel of [n, C, ...] over items and places: [C]."""
    if latents.ndim < 2 or latents.shape[0] == 0:
        raise ValueError(f"latents: expected [n, C, ...] with n of at least 1, got {tuple(latents.shape)}.")
    return latents.double().transpose(0, 1).flatten(1).mean(1).to(latents.dtype)


def pixel_distance(made: Tensor, real: Tensor, *, bins: int = BINS) -> float:
    """L1 between two normalised histograms of pixel values, 0 (equal) to 2 (disjoint).

    The bins run from the smallest to the largest value of `real`; what lies outside goes to the end bins.
    """
    if bins < 2:
        raise ValueError(f"bins: expected at least 2, got {bins}.")
    low, high = float(real.min()), float(real.max())
    if not low < high:
        raise ValueError("real: expected values that differ, got one value everywhere.")
    edges = torch.linspace(low, high, bins + 1, dtype=torch.float64)[1:-1]
    counts = []
    for values in (made, real):
        places = torch.bucketize(values.detach().double().flatten().cpu(), edges)
        counts.append(torch.bincount(places, minlength=bins).double() / places.numel())
    return float((counts[0] - counts[1]).abs().sum())


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A grid search's outcome: `best`, and every delta with its distance."""

    best: float
    distances: Mapping[float, float]


def grid_search(
    make: Callable[[float], Tensor], real: Tensor, *, grid: Sequence[float] = PAPER_GRID, bins: int = BINS
) -> Searched:
    """The delta of a grid whose images `make(delta)` come nearest to `real` in `pixel_distance`.

    The paper's search: -0.2 to 0.2 in steps of 0.05. Of equal distances the delta nearest to 0 wins.
    """
    if not grid:
        raise ValueError("grid: expected at least one delta, got none.")
    distances = {delta: pixel_distance(make(delta), real, bins=bins) for delta in grid}
    best = min(distances, key=lambda delta: (distances[delta], abs(delta)))
    return Searched(best=best, distances=distances)
