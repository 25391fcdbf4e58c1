"""Where a patient falls by a hash: training, validation or test, for the web's exports and for training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

SPLITS = ("train", "validation", "test")
SHARES = (0.70, 0.15, 0.15)


def place_of(patient: str, seed: int = 0) -> float:
    """A number from 0 to 1, without 1, that looks drawn and is always the same."""
    digest = hashlib.sha256(f"{seed}/{patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_at(place: float, shares: Sequence[float] = SHARES) -> str:
    """The split in whose share a place falls; the shares lie end to end from 0 to 1.

    So a patient never moves when others come or go.
    """
    for split, share in zip(SPLITS, shares, strict=True):
        if place < share:
            return split
        place -= share
    return SPLITS[0]  # what rounding leaves over
