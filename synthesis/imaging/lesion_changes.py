"""What two masks differ by where it is lesions alone: one more, one less, a larger or a smaller one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from synthesis.request import Labels

Mask = npt.NDArray[np.bool_]

TOUCHING = np.ones((3, 3))
"""Pixels that meet at a corner belong to the same lesion."""


def lesion_change(slices: Iterable[tuple[Labels, Labels]], lesion: int | None) -> str:
    """ "added", "removed", "larger" or "smaller"; empty where nothing differs, or anything else does.

    `slices` are the labels before and after, [rows, columns] each, slice by slice as they lie in the patient;
    `lesion` is their value for one, None where the model knows none. A lesion counts as added only where
    it touches none that was there, in its own slice or the next; where some do and some do not, it is empty.
    """
    if lesion is None:
        return ""
    kinds: set[str] = set()
    last: tuple[Mask, Mask] | None = None
    meets = False
    for before, after in slices:
        was, is_now = before == lesion, after == lesion
        gone, new = was & ~is_now, is_now & ~was
        if not np.array_equal(before != after, gone | new) or (gone.any() and new.any()):
            return ""
        if new.any():
            kinds.add(_kind(was, new, alone="added", joined="larger"))
        if gone.any():
            kinds.add(_kind(is_now, gone, alone="removed", joined="smaller"))
        stays, differs = was & is_now, gone | new
        if last is not None and ((last[0] & differs).any() or (last[1] & stays).any()):
            meets = True
        last = stays, differs
    if len(kinds) != 1 or (meets and kinds & {"added", "removed"}):
        return ""
    return kinds.pop()


def _kind(stays: Mask, differs: Mask, *, alone: str, joined: str) -> str:
    """Whether what differs [rows, columns] hangs together with what stays: all of it, none of it, or some."""
    parts, count = ndimage.label(stays | differs, TOUCHING)
    with_stays = set(np.unique(parts[stays]))
    touches = {int(part) in with_stays for part in np.unique(parts[differs])}
    if count == 0 or len(touches) != 1:
        return ""
    return joined if touches.pop() else alone
