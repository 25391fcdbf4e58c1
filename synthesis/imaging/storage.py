"""The integers that are kept: images in real units to int16 and back, their hash, and stacks on a disk."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Stored = npt.NDArray[np.int16]

Room = Callable[[tuple[int, ...], npt.DTypeLike], npt.NDArray[Any]]
"""Makes place for a stack of some shape and type: `np.empty` does in memory, others may on a disk."""

CT_RANGE = (-1024, 3071)  # HU that scanners keep in twelve bits
MR_RANGE = (0, 32767)


def on_disk(folder: Path | str | None, shape: tuple[int, ...], kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """Place for a stack in a nameless file of a folder, which goes when nobody holds the stack.

    The system holds in memory what it can spare. All of it is claimed at once: OSError from a full disk now,
    and not when a page is first written.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, prod(shape) * np.dtype(kind).itemsize)
        return np.memmap(file, dtype=kind, mode="r+", shape=shape)


def stored_range(modality: str) -> tuple[int, int]:
    """The lowest and highest integer kept for a modality."""
    return CT_RANGE if modality == "CT" else MR_RANGE


def to_stored(image: npt.ArrayLike, modality: str) -> Stored:
    """HU (CT) or signal (MR) rounded to the nearest integer and held to the modality's range.

    One integer step is one HU or one unit of signal, so slope 1 and intercept 0 lead back.
    Raises ValueError where a value is not a finite number.
    """
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("image: expected finite numbers, got NaN or infinity.")
    low, high = stored_range(modality)
    return np.clip(np.rint(values), low, high).astype(np.int16)


def from_stored(stored: Stored) -> npt.NDArray[np.float32]:
    """Stored integers as HU or signal, exactly."""
    return stored.astype(np.float32)


def pixel_sha256(stored: Stored) -> str:
    """SHA-256 over the integers as little-endian int16 in row order: the identity of the pixels."""
    if stored.dtype != np.int16:
        raise ValueError(f"stored: expected int16, got {stored.dtype}.")
    digest = hashlib.sha256()
    for part in stored:
        digest.update(np.ascontiguousarray(part, dtype="<i2").data)
    return digest.hexdigest()


def labels_sha256(labels: npt.NDArray[np.uint8]) -> str:
    """SHA-256 over a label map in row order: the identity of a mask."""
    if labels.dtype != np.uint8:
        raise ValueError(f"labels: expected uint8, got {labels.dtype}.")
    digest = hashlib.sha256()
    for part in labels:
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
