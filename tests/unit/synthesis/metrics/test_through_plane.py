"""Differences between neighbouring slices, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from synthesis.metrics.through_plane import through_plane

SHAPE = (6, 4, 5)
WHOLE = np.ones(SHAPE, bool)


def ramp(step: float) -> np.ndarray:
    """Slices that rise by `step` from one to the next."""
    return np.broadcast_to(step * np.arange(SHAPE[0])[:, None, None], SHAPE).astype(np.float32)


def test_nothing_changed_leaves_neighbours_as_they_were():
    found = through_plane(ramp(10), ramp(10), WHOLE)
    assert found == {"before": 10.0, "after": 10.0, "ratio": 1.0, "pairs": 5}


@pytest.mark.parametrize("offset", [2.0, 5.0, 8.0])
def test_an_alternating_offset_has_its_closed_form(offset):
    """Slices moved by -a and +a in turn: steps of 10 become |10 + 2a| and |10 - 2a|, the first one first.

    For the five pairs that is (3 |10 + 2a| + 2 |10 - 2a|) / 5; with the signs exchanged the other way
    round. The mean of both ways is max(10, 2a).
    """
    sign = np.where(np.arange(SHAPE[0]) % 2 == 0, -1.0, 1.0)[:, None, None]
    wide, narrow = 10 + 2 * offset, abs(10 - 2 * offset)
    first, second = (through_plane(ramp(10) + way * offset * sign, ramp(10), WHOLE) for way in (1, -1))
    assert first["after"] == pytest.approx((3 * wide + 2 * narrow) / 5)
    assert second["after"] == pytest.approx((2 * wide + 3 * narrow) / 5)
    assert (first["ratio"] + second["ratio"]) / 2 == pytest.approx(max(10, 2 * offset) / 10)


def test_the_same_addition_everywhere_changes_nothing():
    assert through_plane(ramp(3) + 50, ramp(3), WHOLE)["ratio"] == pytest.approx(1.0)


def test_only_the_region_of_either_neighbour_counts():
    region = np.zeros(SHAPE, bool)
    region[2, 0, 0] = True
    changed = ramp(1).copy()
    changed[2, 0, 0] += 4  # the pairs (1, 2) and (2, 3) there: 1 + 4 and |1 - 4|
    changed[:, 3, 3] += np.arange(SHAPE[0])  # elsewhere: not counted
    found = through_plane(changed, ramp(1), region)
    assert found == {"before": 1.0, "after": 4.0, "ratio": 4.0, "pairs": 2}


def test_equal_neighbours_have_no_ratio_and_no_region_has_no_numbers():
    found = through_plane(ramp(2), ramp(0), WHOLE)
    assert found == {"before": 0.0, "after": 2.0, "ratio": None, "pairs": 5}
    assert through_plane(ramp(2), ramp(1), ~WHOLE)["pairs"] == 0


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="one shape"):
        through_plane(ramp(1)[:3], ramp(1), WHOLE)
