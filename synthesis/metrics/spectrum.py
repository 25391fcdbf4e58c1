"""Radial power spectra of what an image adds to its organs' mean values: noise and texture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

BANDS = ((0.0, 1 / 6), (1 / 6, 1 / 3), (1 / 3, 1 / 2))  # |f| in cycles per pixel, low end left out
MIN_PIXELS = 24  # smaller regions tell too little


def region_residual(
    image: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], regions: Sequence[int]
) -> npt.NDArray[np.float64]:
    """Image [H, W] minus its mean in each region, inside the regions eroded by one pixel; 0 elsewhere.

    Erosion keeps partial volume at the edges out, and a mean per region keeps contrast out, so
    what is left is noise and texture. Regions smaller than MIN_PIXELS after erosion are skipped.
    """
    if image.shape != labels.shape or image.ndim != 2:
        raise ValueError(f"image and labels must be the same [H, W], got {image.shape} and {labels.shape}")
    residual = np.zeros(image.shape)
    for region in regions:
        inside = ndimage.binary_erosion(labels == region, np.ones((3, 3)))
        if inside.sum() >= MIN_PIXELS:
            values = image[inside].astype(np.float64)
            residual[inside] = values - values.mean()
    return residual


def band_power(
    residual: npt.NDArray[np.floating], bands: Sequence[tuple[float, float]] = BANDS
) -> npt.NDArray[np.float64]:
    """Power of [H, W] in each radial band low < |f| <= high (cycles per pixel), summed: [bands].

    Normalised so that all bands that tile the plane up to the corners plus the mean's own square
    sum to the mean of residual^2 times the number of pixels (Parseval).
    """
    rows, columns = residual.shape
    power = np.abs(np.fft.fft2(residual)) ** 2 / residual.size
    radius = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None, :])
    return np.array([power[(radius > low) & (radius <= high)].sum() for low, high in bands])


def band_ratio(
    images: Sequence[npt.NDArray[np.floating]],
    truths: Sequence[npt.NDArray[np.floating]],
    labels: Sequence[npt.NDArray[np.integer]],
    regions: Sequence[int],
) -> npt.NDArray[np.float64]:
    """Summed band power of the images over that of the truths under the same masks: [bands]."""
    made = np.zeros(len(BANDS))
    true = np.zeros(len(BANDS))
    for image, truth, mask in zip(images, truths, labels, strict=True):
        made += band_power(region_residual(image, mask, regions))
        true += band_power(region_residual(truth, mask, regions))
    return made / true
