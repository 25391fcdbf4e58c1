"""How much an edited image differs from the one it comes from, in all, in the region and outside it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from synthesis.metrics.psnr import psnr
from synthesis.metrics.ssim import ssim

Image = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


def minimality(
    changed: Image, original: Image, region: Mask, *, data_range: float
) -> dict[str, float | None]:
    """L1, PSNR and SSIM of two images [H, W], and the root mean square change in and outside a region.

    l1, inside, inside_mean (the mean change there, with its sign), outside, outside_most: HU or signal; the
    last four are None where nothing lies there. psnr: dB over `data_range`, None for equal images (as JSON
    knows no infinity).
    """
    if region.shape != changed.shape:
        raise ValueError(f"region: expected {changed.shape}, got {region.shape}.")
    difference = np.asarray(changed, np.float64) - np.asarray(original, np.float64)
    decibels = psnr(changed, original, data_range=data_range)
    away = np.abs(difference[~region])
    return {
        "l1": float(np.abs(difference).mean()),
        "psnr": decibels if np.isfinite(decibels) else None,
        "ssim": ssim(changed, original, data_range=data_range),
        "inside": root_mean_square(difference[region]),
        "inside_mean": float(difference[region].mean()) if region.any() else None,
        "outside": root_mean_square(difference[~region]),
        "outside_most": float(away.max()) if away.size else None,
    }


def root_mean_square(values: npt.NDArray[np.floating]) -> float | None:
    """sqrt(mean v^2); None of nothing."""
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else None
