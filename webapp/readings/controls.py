"""Items that control the study itself: a synthetic image spoilt for all to see, a real one coded and back.

Both are made from the source before harmonising, and then go the same way as every other item.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Pixels = npt.NDArray[np.float32]

BLUR = 0.012  # sigma of the blur, as a share of the shorter side
GHOST = 0.35  # strength of the shifted copy
GHOST_SHIFT = 0.09  # its shift, as a share of the rows
QUALITY = 60  # of JPEG, 1 to 95


def spoilt(pixels: Pixels) -> Pixels:
    """The known-bad control: blurred, with a shifted ghost and a checkerboard, as broken generators make.

    pixels: [frames, rows, columns] in real units; the range stays. A Gaussian of 1.2% of the shorter
    side takes the fine detail, a copy shifted by 9% of the rows is laid over at 35%, and a checkerboard
    of 4% of the range with a period of two samples stands on every second block of 8 x 8.
    """
    low, high = float(pixels.min()), float(pixels.max())
    sigma = max(1.0, BLUR * min(pixels.shape[1:]))
    blurred = ndimage.gaussian_filter(pixels.astype(np.float64), (0, sigma, sigma))
    ghost = np.roll(blurred, max(2, round(GHOST_SHIFT * pixels.shape[1])), axis=1)
    image = (1 - GHOST) * blurred + GHOST * np.maximum(blurred, ghost)
    rows, columns = np.indices(pixels.shape[1:])
    blocks = ((rows // 8 + columns // 8) % 2).astype(np.float64)
    checker = np.where((rows + columns) % 2, 1.0, -1.0) * blocks * 0.04 * (high - low)
    return np.clip(image + checker, low, high).astype(np.float32)


def reconstructed(pixels: Pixels) -> Pixels:
    """The negative control: the real image through a lossy codec (JPEG, quality 60) and back.

    pixels: [frames, rows, columns] in real units. Each frame is scaled to 8 bit between its own 0.1 and
    99.9 %, coded with the discrete cosine transform, decoded and scaled back; what lies outside of that
    range is cut off. It shows whether readers call "synthetic" what was only processed.
    """
    return np.stack([_through_codec(frame) for frame in pixels]).astype(np.float32)


def _through_codec(frame: Pixels) -> Pixels:
    low, high = (float(value) for value in np.percentile(frame, (0.1, 99.9)))
    if high <= low:
        return frame
    grey = np.rint(np.clip((frame - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=QUALITY)
    with Image.open(BytesIO(buffer.getvalue())) as decoded:
        back = np.asarray(decoded, np.float32)
    return (back / 255 * (high - low) + low).astype(np.float32)
