"""How much neighbouring slices differ from one another before and after a change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Stack = npt.NDArray[np.floating] | npt.NDArray[np.integer]
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
    pairs = pixels = 0
    before = after = 0.0
    for place in range(len(region) - 1):
        either = region[place] | region[place + 1]
        if either.any():
            pairs += 1
            pixels += int(either.sum())
            before += _apart(original, place, either)
            after += _apart(changed, place, either)
    if not pairs:
        return {"before": None, "after": None, "ratio": None, "pairs": 0}
    before, after = before / pixels, after / pixels
    return {"before": before, "after": after, "ratio": after / before if before else None, "pairs": pairs}


def _apart(stack: Stack, place: int, where: Mask) -> float:
    """The sum of absolute differences between a slice and the next one."""
    first, second = (np.asarray(stack[one], np.float64)[where] for one in (place, place + 1))
    return float(np.abs(second - first).sum())
