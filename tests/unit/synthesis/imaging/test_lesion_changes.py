"""A lesion more or less is told from a larger or smaller one, and from anything else."""

import numpy as np
import pytest

from synthesis.edit_regions import lesion_value
from synthesis.imaging.lesion_changes import lesion_change
from synthesis.phantoms.labels import LESION, LIVER


def labels(*lesions: str) -> np.ndarray:
    """Liver of 3 x 7 pixels with lesions in the places of a picture's rows that are not a dot."""
    drawn = np.array([[mark != "." for mark in row] for row in lesions])
    return np.where(drawn, LESION, LIVER).astype(np.uint8)


NONE = labels(".......", ".......", ".......")
ONE = labels(".......", ".x.....", ".......")
LARGER = labels("..x....", ".x.....", ".......")  # meets it at a corner
TWO = labels(".......", ".x...x.", ".......")
BOTH = labels("..x....", ".x...x.", ".......")
BRIDGED = labels(".......", ".xxxxx.", ".......")
MOVED = labels(".......", "..x....", ".......")


@pytest.mark.parametrize(
    ("less", "more", "kind"),
    [
        (NONE, ONE, "added"),
        (ONE, TWO, "added"),
        (NONE, TWO, "added"),
        (ONE, LARGER, "larger"),
        (TWO, BRIDGED, "larger"),
        (TWO, BOTH, "larger"),
        (ONE, BOTH, ""),
        (ONE, MOVED, ""),
        (ONE, ONE, ""),
    ],
)
def test_one_slice(less: np.ndarray, more: np.ndarray, kind: str) -> None:
    back = {"added": "removed", "larger": "smaller", "": ""}[kind]
    assert lesion_change([(less, more)], LESION) == kind
    assert lesion_change([(more, less)], LESION) == back


def test_anything_else_is_another_mask() -> None:
    elsewhere = TWO.copy()
    elsewhere[0, 0] = 0
    assert lesion_change([(ONE, elsewhere)], LESION) == ""
    assert lesion_change([(ONE, TWO)], None) == ""
    assert lesion_change([(ONE, TWO)], LESION + 1) == ""
    assert lesion_change([], LESION) == ""


def test_slices_together() -> None:
    assert lesion_change([(NONE, NONE), (NONE, ONE), (NONE, ONE), (NONE, NONE)], LESION) == "added"
    assert lesion_change([(NONE, ONE), (ONE, NONE)], LESION) == ""  # one more here, one less there
    # It was in one slice and reaches into the next, or no more: the same lesion, and not larger where it was.
    assert lesion_change([(ONE, ONE), (NONE, ONE)], LESION) == ""
    assert lesion_change([(NONE, ONE), (ONE, ONE)], LESION) == ""
    assert lesion_change([(ONE, ONE), (ONE, NONE)], LESION) == ""
    assert lesion_change([(ONE, LARGER), (ONE, BRIDGED)], LESION) == "larger"
    assert lesion_change([(ONE, LARGER), (MOVED, MOVED)], LESION) == "larger"
    assert lesion_change([(ONE, ONE), (NONE, NONE), (NONE, ONE)], LESION) == "added"


def test_the_value_is_the_label_sets_own() -> None:
    assert lesion_value() == LESION
    assert lesion_value([{"value": 3, "name": "lesion"}, {"value": 4, "name": "liver"}]) == 3
    assert lesion_value([{"value": 4, "name": "liver"}]) is None
