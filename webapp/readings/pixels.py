"""The harmonised images of a study in the storage, under names that say nothing."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from webapp.readings.models.study import ReadingItem

FOLDER = "readings"


def pixels_store(array: npt.NDArray[np.int16]) -> tuple[str, str]:
    """Keep one image [frames, rows, columns]; returns its name in the storage and its SHA-256.

    Raises ValueError for anything but three axes of int16.
    """
    if array.ndim != 3 or array.dtype != np.int16:
        raise ValueError(f"array: expected int16 [frames, rows, columns], got {array.dtype} {array.shape}.")
    data = np.ascontiguousarray(array, dtype="<i2").tobytes()
    name = default_storage.save(f"{FOLDER}/{secrets.token_hex(16)}.bin", ContentFile(data))
    return name, hashlib.sha256(data).hexdigest()


def pixels_load(item: ReadingItem) -> npt.NDArray[np.int16]:
    """The image of an item, int16 [frames, rows, columns].

    Raises ValueError when the file does not hold what the record says.
    """
    shape = (item.frames, item.rows, item.columns)
    expected = 2 * item.frames * item.rows * item.columns
    with default_storage.open(item.pixels, "rb") as file:
        data = file.read(expected + 1)
    if len(data) != expected:
        raise ValueError(f"item {item.pk}: expected {expected} bytes of pixels, got {len(data)}.")
    return np.frombuffer(data, dtype="<i2").astype(np.int16).reshape(shape)


def pixels_digest(item: ReadingItem) -> str:
    """SHA-256 of the stored file as it is now."""
    digest = hashlib.sha256()
    with default_storage.open(item.pixels, "rb") as file:
        for chunk in file.chunks(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def pixels_remove(names: Iterable[str]) -> None:
    """Delete images; one that is gone already is no error.

    Raises ValueError for a name outside the folder of readings.
    """
    for name in names:
        if not name.startswith(f"{FOLDER}/") or ".." in name:
            raise ValueError(f"name: expected {FOLDER}/<name>, got {name!r}.")
        default_storage.delete(name)
