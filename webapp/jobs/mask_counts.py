"""How many pixels of each label the slices of a mask have: counted once, for masks never change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from webapp.cases.selectors import mask_slices
from webapp.core.recent import Recent

HELD = 64
Counts = Mapping[int, int]

_counted: Recent[tuple[Counts, ...]] = Recent(HELD)


def mask_counts(mask: Any) -> tuple[Counts, ...]:
    """For each slice its pixels by value, those without a label (0) included."""
    return _counted.get((mask.pk, mask.content_sha256), lambda: tuple(map(counts_of, mask_slices(mask))))


def counts_of(values: npt.NDArray[np.integer]) -> dict[int, int]:
    """How often each value occurs among these, none of them below zero."""
    numbers = np.bincount(values.ravel())
    return {int(value): int(numbers[value]) for value in np.flatnonzero(numbers)}
