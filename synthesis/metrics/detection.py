"""Which of the lesions that were asked for a reader finds, by their size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Labels = npt.NDArray[np.integer]

SHARE = 0.5


def lesion_hits(
    read: Labels, asked: Labels, *, lesion: int, share: float = SHARE
) -> list[tuple[float, bool]]:
    """Diameter in pixels of each lesion in `asked` [H, W], and whether `read` [H, W] finds it.

    A lesion is a connected component (4 neighbours); its diameter that of the circle of equal area.
    It is found where at least `share` of its pixels are read as lesion.
    """
    components, count = ndimage.label(asked == lesion)
    found = []
    for number in range(1, count + 1):
        region = components == number
        diameter = 2 * float(np.sqrt(region.sum() / np.pi))
        found.append((diameter, bool((read[region] == lesion).mean() >= share)))
    return found


def found_by_size(hits: Sequence[tuple[float, bool]], edges: Sequence[float]) -> list[tuple[int, int]]:
    """(found, asked for) in each size class; `edges` are the rising diameters between classes."""
    classes = np.searchsorted(edges, [diameter for diameter, _ in hits], side="right")
    return [
        (sum(hit for (_, hit), c in zip(hits, classes, strict=True) if c == k), int((classes == k).sum()))
        for k in range(len(edges) + 1)
    ]
