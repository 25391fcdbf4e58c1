"""Stacks that were unpacked of late, so that a viewer that asks slice by slice unpacks each but once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from math import prod
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings

from synthesis.imaging.storage import Stored, on_disk

MOST_BYTES = 256 * 2**20
"""What one web process holds of them, mostly on its disk; a larger stack is unpacked every time."""
SPOOLED = 16 * 2**20
"""Bytes from which on a stack lies in a file of its own rather than in memory."""


class Unpacked:
    """The stacks used last, within a number of bytes; they are not to be written to."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._held: OrderedDict[Hashable, Stored] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, unpack: Callable[[], Stored]) -> Stored:
        """The stack of that key, unpacked where it is not held."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        stack = unpack()
        stack.flags.writeable = False
        with self._lock:
            self._held[key] = stack
            self._held.move_to_end(key)
            while sum(one.nbytes for one in self._held.values()) > self._most_bytes:
                self._held.popitem(last=False)
        return stack

    def clear(self) -> None:
        """Hold none."""
        with self._lock:
            self._held.clear()


def room(shape: tuple[int, ...], kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """Place for a stack: on the disk for a large one, or in memory where the disk has no room for it."""
    if prod(shape) * np.dtype(kind).itemsize < SPOOLED:
        return np.empty(shape, kind)
    try:
        return on_disk(settings.FILE_UPLOAD_TEMP_DIR, shape, kind)
    except OSError:
        return np.empty(shape, kind)


unpacked = Unpacked()
