"""How far apart two outlines lie: the 95th percentile of the Hausdorff distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from monai.metrics import compute_hausdorff_distance

Labels = npt.NDArray[np.integer]


def hd95(found: Labels, truth: Labels, label: int, *, spacing_mm: Sequence[float]) -> float:
    """95th percentile of the distance between the outlines of one label, in mm, the worse direction.

    found, truth: label maps [H, W] or [D, H, W]; spacing_mm: one number per axis.
    Where a label is missing: NaN if neither map has it, for there is nothing to compare (as `dice`);
    the diagonal of the image if one of them has, for no outline in it could be farther off.
    """
    if found.shape != truth.shape or len(spacing_mm) != found.ndim:
        raise ValueError(
            f"expected two label maps of one shape and a spacing per axis, got {found.shape}, "
            f"{truth.shape} and {tuple(spacing_mm)}."
        )
    if not all(0 < s < float("inf") for s in spacing_mm):
        raise ValueError(f"spacing_mm: expected positive numbers, got {tuple(spacing_mm)}.")
    masks = [np.asarray(one == label) for one in (found, truth)]
    there = [bool(mask.any()) for mask in masks]
    if not any(there):
        return float("nan")
    if not all(there):
        extent = np.array(found.shape, float) * np.array(spacing_mm, float)
        return float(np.linalg.norm(extent))
    one, other = (torch.from_numpy(mask)[None, None].float() for mask in masks)
    distance = compute_hausdorff_distance(
        one, other, include_background=True, percentile=95, spacing=[float(s) for s in spacing_mm]
    )
    return float(distance)
