"""How much neighbouring slices differ from one another before and after a change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Stack = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


def through_plane(changed: Stack, original: Stack, region: Mask) -> dict[str, float | int | None]:
    """Mean absolute difference between neighbouring slices, d = mean |x_(k+1) - x_k|, after and before.

    changed, original: [slices, rows, columns], HU or signal. region: where each slice was to change; a
    pixel counts for a pair where it belongs to the region of either slice. `ratio` is after / before: 1
    says that neighbours are as much alike as they were. None where no pair was to change, or, for the
    ratio, where neighbours were equal before. Raises ValueError where shapes differ.
    """
    if changed.shape != original.shape or region.shape != original.shape or original.ndim != 3:
        raise ValueError(
            f"expected three stacks of one shape, got {changed.shape}, {original.shape} and {region.shape}."
        )
    either = region[1:] | region[:-1]
    pairs = int(either.any(axis=(1, 2)).sum())
    if not pairs:
        return {"before": None, "after": None, "ratio": None, "pairs": 0}
    before, after = (_apart(stack, either) for stack in (original, changed))
    return {"before": before, "after": after, "ratio": after / before if before else None, "pairs": pairs}


def _apart(stack: Stack, where: Mask) -> float:
    steps = np.abs(np.diff(np.asarray(stack, np.float64), axis=0))
    return float(steps[where].mean())
