"""The canvas: values and labels painted back to front with partial volume."""

import numpy as np
from numpy.typing import NDArray

from synthesis.phantoms.labels import LESION, LIVER
from synthesis.phantoms.shapes import Box, Field, Frame, soft_mask

__all__ = ["Canvas"]


class Canvas:
    """A noise-free image and its label map, both [slices, rows, cols], over one frame.

    Every structure covers what was painted before it by its share of each pixel; the label
    changes where that share exceeds one half. liver_share: how much of each pixel is liver or
    liver lesion, exactly zero where the liver's contents cannot matter.
    """

    def __init__(self, frame: Frame, air: float) -> None:
        shape = frame.bent_x.shape
        self.frame = frame
        self.image: NDArray[np.float32] = np.full(shape, air, dtype=np.float32)
        self.labels: NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)
        self.liver_share: NDArray[np.float32] = np.zeros(shape, dtype=np.float32)

    def paint(self, label: int, box: Box, distance: Field, value: float | Field) -> None:
        """Paint a structure given its distance field inside `box`; value: one number or a field."""
        share = soft_mask(distance, self.frame.pixel)
        view = self.image[box]
        # Not view += share * (value - view): whatever is wholly covered must leave no rounding behind.
        view *= 1 - share
        view += share * np.asarray(value, dtype=np.float32)
        self.labels[box][share > 0.5] = label
        part = self.liver_share[box]
        part *= 1 - share
        if label in (LIVER, LESION):
            part += share
