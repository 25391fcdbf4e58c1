"""Are the images real enough, and varied enough: precision, recall, density and coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

Features = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Manifold:
    """Shares of n made and m real images, at `k` neighbours.

    precision: made images within the reach of a real one (real enough); recall: real images within
    the reach of a made one (varied enough). density: as precision, but counting how many real ones
    reach, so that one outlier cannot do it alone; may exceed 1. coverage: real images that have a
    made one within their own reach. An image's reach is the distance to its k-th nearest of its own set.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    k: int
    n: int
    m: int


def manifold(made: Features, real: Features, *, k: int = 5) -> Manifold:
    """Kynkaanniemi et al. 2019 (precision, recall) and Naeem et al. 2020 (density, coverage).

    made [n, d], real [m, d]. Raises ValueError where a set has no k neighbours.
    """
    if made.ndim != 2 or real.ndim != 2 or made.shape[1] != real.shape[1] or k < 1:
        raise ValueError(f"expected features [n, d] and [m, d], got {made.shape} and {real.shape}, k = {k}.")
    if min(len(made), len(real)) <= k:
        raise ValueError(f"{k} neighbours need more than {k} images, got {len(made)} and {len(real)}.")
    across = cdist(real, made)  # [m, n]
    reach_real, reach_made = _reach(real, k), _reach(made, k)
    reached = across <= reach_real[:, None]
    return Manifold(
        precision=float(reached.any(0).mean()),
        recall=float((across <= reach_made[None, :]).any(1).mean()),
        density=float(reached.sum(0).mean() / k),
        coverage=float(reached.any(1).mean()),
        k=k,
        n=len(made),
        m=len(real),
    )


def _reach(x: Features, k: int) -> npt.NDArray[np.float64]:
    """Distance from each image to its k-th nearest neighbour other than itself: [n]."""
    distances = cdist(x, x)
    np.fill_diagonal(distances, np.inf)
    return np.asarray(np.partition(distances, k - 1, axis=1)[:, k - 1])
