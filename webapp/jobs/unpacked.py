"""Stacks that were unpacked of late, so that a viewer that asks slice by slice unpacks each but once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

from synthesis.imaging.storage import Stored

MOST_BYTES = 128 * 2**20
"""What one web process holds of them; a larger stack is unpacked every time."""


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


unpacked = Unpacked()
