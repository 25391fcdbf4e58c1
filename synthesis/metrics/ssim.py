"""Structural similarity, at one scale and at five."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Image = npt.NDArray[np.floating]
Matrix = npt.NDArray[np.float64]

SIGMA = 1.5  # pixels, of the Gaussian window (Wang et al. 2004)
K1, K2 = 0.01, 0.03
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the five scales, finest first (Wang et al. 2003)


def ssim(image: Image, truth: Image, *, data_range: float, window: int = 11) -> float:
    """Mean SSIM of two images [H, W] or volumes [D, H, W] (Wang et al. 2004): 1 for equal ones.

    Only places where the window of `window` pixels fits are counted. `data_range` is the width of
    the scale, never guessed from the images. Raises ValueError where the window does not fit.
    """
    _check(image, truth, data_range, window)
    if min(image.shape) < window:
        raise ValueError(f"A window of {window} does not fit into {image.shape}.")
    luminance, structure = _terms(image, truth, data_range, window)
    return float((luminance * structure).mean())


def ms_ssim(image: Image, truth: Image, *, data_range: float, window: int = 11) -> float:
    """MS-SSIM of two images [H, W] or volumes [D, H, W] over five scales (Wang et al. 2003).

    The product of the mean structure terms, at the coarsest scale with luminance, to the power of
    WEIGHTS; a negative mean counts as 0. The image is halved four times and the window must still
    fit: 176 pixels a side for a window of 11, 112 for 7. The value depends on the window: state it.
    """
    _check(image, truth, data_range, window)
    last = len(WEIGHTS) - 1
    if min(image.shape) < window * 2**last:
        fits = min(image.shape) // 2**last
        advice = f"; a window of {fits - 1 + fits % 2} would fit" if fits >= 3 else ""
        raise ValueError(
            f"MS-SSIM with a window of {window} needs {window * 2**last} pixels a side, "
            f"got {image.shape}{advice}."
        )
    found = 1.0
    for scale, weight in enumerate(WEIGHTS):
        luminance, structure = _terms(image, truth, data_range, window)
        term = (luminance * structure if scale == last else structure).mean()
        found *= max(float(term), 0.0) ** weight
        image, truth = _halved(image), _halved(truth)
    return found


def _terms(x: Image, y: Image, data_range: float, window: int) -> tuple[Matrix, Matrix]:
    """Luminance and structure terms wherever the window fits."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    half = window // 2
    inner = (slice(half, -half),) * x.ndim

    def mean(one: Image) -> Matrix:
        return np.asarray(ndimage.gaussian_filter(one, SIGMA, radius=half)[inner])

    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    both = mean(x * y) - mean_x * mean_y
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance, (2 * both + c2) / (var_x + var_y + c2)


def _halved(image: Image) -> Matrix:
    """Means of blocks of two pixels along every axis; an odd last one is dropped."""
    found = np.asarray(image, np.float64)
    for axis in range(found.ndim):
        length = found.shape[axis] // 2 * 2
        pairs = [np.take(found, np.arange(first, length, 2), axis) for first in (0, 1)]
        found = (pairs[0] + pairs[1]) / 2
    return found


def _check(image: Image, truth: Image, data_range: float, window: int) -> None:
    if image.shape != truth.shape or image.ndim not in (2, 3):
        raise ValueError(
            f"expected two images or two volumes of one shape, got {image.shape} and {truth.shape}."
        )
    if not data_range > 0:
        raise ValueError(f"data_range: expected a positive number, got {data_range}.")
    if window < 3 or window % 2 == 0:
        raise ValueError(f"window: expected an odd number of at least 3, got {window}.")
