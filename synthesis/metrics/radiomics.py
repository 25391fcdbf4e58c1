"""A distance between sets of images that needs no weights: Frechet on standardised texture features.

In the manner of the Frechet Radiomic Distance (Konz et al.), on a feature set of our own that
is written out below; its values compare with each other only. Per image, on the image and on four
wavelet bands of it (Haar, not decimated): twelve statistics of the grey values; six of the grey
level co-occurrence matrix (Haralick 1973) at 1 and at 3 pixels, averaged over four directions; and
on the image itself four of the run lengths (Galloway 1975) and two of the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from synthesis.metrics.fid import FidEstimate, fid_estimate

Image = npt.NDArray[np.floating]
Levels = npt.NDArray[np.intp]
Matrix = npt.NDArray[np.float64]

LEVELS = 32
DISTANCES = (1, 3)
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
BANDS = ("image", "LL", "LH", "HL", "HH")
STATISTICS = (
    "mean",
    "std",
    "skewness",
    "kurtosis",
    "p10",
    "p25",
    "median",
    "p75",
    "p90",
    "absolute deviation",
    "entropy",
    "uniformity",
)
PAIRS = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
RUNS = ("short runs", "long runs", "run variety", "run share")
FEATURES: tuple[str, ...] = (
    *(f"{band}: {name}" for band in BANDS for name in STATISTICS),
    *(f"{band}: {name} at {d}" for band in BANDS for d in DISTANCES for name in PAIRS),
    *(f"image: {name}" for name in RUNS),
    "image: gradient mean",
    "image: gradient std",
)


@dataclass(frozen=True)
class RadiomicsDistance:
    """Squared Frechet distance of standardised features, its log, and how many features varied."""

    fid: FidEstimate
    log: float
    features: int

    def __str__(self) -> str:
        return f"radiomics distance {self.fid}, {self.features} features"


def radiomics_distance(made: Matrix, real: Matrix, *, seed: int = 0) -> RadiomicsDistance:
    """Distance between `radiomics` features of made [n, d] and real [m, d] images.

    Features are standardised by the real images' mean and spread; those that do not vary among the
    real images are left out. Raises ValueError where none varies or the shapes do not fit.
    """
    if made.ndim != 2 or real.ndim != 2 or made.shape[1] != real.shape[1] or min(len(made), len(real)) < 2:
        raise ValueError(f"expected features [n>=2, d] and [m>=2, d], got {made.shape} and {real.shape}")
    mean, std = real.mean(0), real.std(0)
    varies = std > 1e-9 * np.maximum(np.abs(mean), 1.0)
    if not varies.any():
        raise ValueError("The real images do not differ in any feature.")
    x, y = ((one[:, varies] - mean[varies]) / std[varies] for one in (made, real))
    estimate = fid_estimate(x, y, seed=seed)
    return RadiomicsDistance(estimate, log(max(estimate.value, 1e-12)), int(varies.sum()))


def radiomics(images: Sequence[Image], *, low: float, high: float) -> Matrix:
    """FEATURES of images [H, W]: [n, d]. Grey values are clipped to low..high and scaled to 0..1.

    The same window must be used for all sets that are compared. Raises ValueError for an empty one.
    """
    if not low < high:
        raise ValueError(f"expected a window low < high, got {low} and {high}.")
    return np.array([_features((np.clip(one, low, high) - low) / (high - low)) for one in images])


def _features(image: Image) -> list[float]:
    if image.ndim != 2 or min(image.shape) < 8:
        raise ValueError(f"expected an image of at least 8 x 8 pixels, got {image.shape}.")
    bands = _bands(np.asarray(image, np.float64))
    levels = [_levels(band, 0.0 if i < 2 else -0.25, 1.0 if i < 2 else 0.25) for i, band in enumerate(bands)]
    gradient = np.hypot(*np.gradient(bands[0]))
    found = [value for pair in zip(bands, levels) for value in _statistics(*pair)]
    found += [value for one in levels for d in DISTANCES for value in _pairs(one, d)]
    return [*found, *_runs(levels[0]), float(gradient.mean()), float(gradient.std())]


def _bands(image: Matrix) -> list[Matrix]:
    """The image and its four Haar bands (averages or half differences of neighbours)."""
    smooth, rough = np.array([0.5, 0.5]), np.array([0.5, -0.5])

    def along(one: Matrix, kernel: Matrix, axis: int) -> Matrix:
        return np.asarray(ndimage.convolve1d(one, kernel, axis=axis, mode="nearest"))

    return [image, *(along(along(image, a, 0), b, 1) for a in (smooth, rough) for b in (smooth, rough))]


def _levels(band: Matrix, low: float, high: float) -> Levels:
    scaled = (band - low) / (high - low) * LEVELS
    return np.clip(scaled.astype(np.intp), 0, LEVELS - 1)


def _statistics(band: Matrix, levels: Levels) -> list[float]:
    values = band.ravel()
    mean, std = values.mean(), values.std()
    z = (values - mean) / max(std, 1e-9)
    share = np.bincount(levels.ravel(), minlength=LEVELS) / levels.size
    return [
        float(v)
        for v in (
            mean,
            std,
            (z**3).mean(),
            (z**4).mean(),
            *np.quantile(values, (0.1, 0.25, 0.5, 0.75, 0.9)),
            np.abs(values - mean).mean(),
            _entropy(share),
            (share**2).sum(),
        )
    ]


def _pairs(levels: Levels, distance: int) -> list[float]:
    """Haralick's statistics of pairs of levels `distance` apart, both ways, mean over directions."""
    i, j = np.indices((LEVELS, LEVELS))
    return list(np.mean([_haralick(p, i, j) for p in _co_occurrence(levels, distance)], axis=0))


def _co_occurrence(levels: Levels, distance: int) -> Iterator[Matrix]:
    rows, columns = levels.shape
    for down, right in DIRECTIONS:
        r, c = down * distance, right * distance
        here = levels[: rows - r, max(0, -c) : columns - max(0, c)]
        there = levels[r:, max(0, c) : columns + min(0, c)]
        counts = np.bincount((here * LEVELS + there).ravel(), minlength=LEVELS**2)
        matrix = counts.reshape(LEVELS, LEVELS)
        yield (matrix + matrix.T) / (2 * counts.sum())


def _haralick(p: Matrix, i: Levels, j: Levels) -> list[float]:
    gap = np.abs(i - j)
    mean = (p * i).sum()
    variance = (p * (i - mean) ** 2).sum()
    together = (p * (i - mean) * (j - mean)).sum()
    return [
        float((p * gap**2).sum()),
        float((p * gap).sum()),
        float((p / (1 + gap**2)).sum()),
        float(np.sqrt((p**2).sum())),
        float(together / variance) if variance > 1e-12 else 1.0,
        _entropy(p.ravel()),
    ]


def _runs(levels: Levels) -> list[float]:
    """Runs of equal level along rows and columns: emphasis of short and of long, variety, and share."""
    lengths = np.concatenate([_run_lengths(levels), _run_lengths(levels.T)]).astype(np.float64)
    counts = np.bincount(lengths.astype(int)).astype(np.float64)
    return [
        float((1 / lengths**2).mean()),
        float((lengths**2).mean()),
        _entropy(counts / counts.sum()),
        len(lengths) / (2 * levels.size),
    ]


def _run_lengths(levels: Levels) -> Levels:
    """Lengths of all runs along the rows of [H, W]."""
    starts = np.ones(levels.shape, bool)
    starts[:, 1:] = levels[:, 1:] != levels[:, :-1]
    return np.diff(np.append(np.flatnonzero(starts), levels.size))


def _entropy(shares: Matrix) -> float:
    """-sum p log2 p."""
    positive = shares[shares > 0]
    return float(-(positive * np.log2(positive)).sum())
