"""Dice overlap of label maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer]


def dice(found: Labels, truth: Labels, label: int) -> float:
    """2 |A and B| / (|A| + |B|) for one label; NaN where neither map has it."""
    if found.shape != truth.shape:
        raise ValueError(f"label maps must have the same shape, got {found.shape} and {truth.shape}")
    a, b = found == label, truth == label
    size = int(a.sum()) + int(b.sum())
    return float("nan") if size == 0 else 2 * int((a & b).sum()) / size


def dice_per_label(
    found: Sequence[Labels], truth: Sequence[Labels], labels: Sequence[int]
) -> dict[int, float]:
    """Dice of each label over all pixels of all cases together, so that small structures count by size."""
    overlap = dict.fromkeys(labels, 0)
    sizes = dict.fromkeys(labels, 0)
    for f, t in zip(found, truth, strict=True):
        for label in labels:
            a, b = f == label, t == label
            overlap[label] += int((a & b).sum())
            sizes[label] += int(a.sum()) + int(b.sum())
    return {k: (2 * overlap[k] / sizes[k] if sizes[k] else float("nan")) for k in labels}
