"""Peak signal-to-noise ratio."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.floating]


def psnr(image: Image, truth: Image, *, data_range: float) -> float:
    """10 log10(data_range^2 / mean (image - truth)^2) in dB; infinite for equal images.

    `data_range` is the width of the scale (of a window, say); it is never guessed from the images.
    """
    if image.shape != truth.shape:
        raise ValueError(f"image and truth must have the same shape, got {image.shape} and {truth.shape}.")
    if not data_range > 0:
        raise ValueError(f"data_range: expected a positive number, got {data_range}.")
    error = float(np.mean((np.asarray(image, np.float64) - np.asarray(truth, np.float64)) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(data_range**2 / error))
