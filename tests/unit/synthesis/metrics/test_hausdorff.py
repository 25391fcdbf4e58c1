"""HD95 of shapes whose distance is known, and of masks that are empty."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from synthesis.metrics.hausdorff import hd95


def box(shape, *corners, label=1):
    labels = np.zeros(shape, np.uint8)
    labels[tuple(slice(a, b) for a, b in corners)] = label
    return labels


def test_equal_masks_are_at_zero():
    labels = box((20, 20), (5, 10), (5, 10))
    assert hd95(labels, labels, 1, spacing_mm=(1, 1)) == 0


@pytest.mark.parametrize("shift", [1, 4])
def test_a_line_moved_across_itself_is_off_by_the_shift(shift):
    a, b = box((20, 40), (5, 6), (5, 35)), box((20, 40), (5 + shift, 6 + shift), (5, 35))
    assert hd95(a, b, 1, spacing_mm=(2.5, 1.0)) == pytest.approx(2.5 * shift)


def test_volumes_have_three_spacings():
    a, b = box((10, 12, 12), (2, 3), (2, 10), (2, 10)), box((10, 12, 12), (6, 7), (2, 10), (2, 10))
    assert hd95(a, b, 1, spacing_mm=(3.0, 1.0, 1.0)) == pytest.approx(12.0)


def test_it_is_the_worse_of_both_directions_over_outline_points():
    rng = np.random.default_rng(0)
    a, b = (ndimage.gaussian_filter(rng.random((30, 30)), 3) > 0.5 for _ in range(2))
    edges = [np.argwhere(m & ~ndimage.binary_erosion(m)) * (1.0, 2.0) for m in (a, b)]
    distances = cdist(*edges)
    expected = max(np.quantile(distances.min(1), 0.95), np.quantile(distances.min(0), 0.95))
    found = hd95(a.astype(np.uint8), b.astype(np.uint8), 1, spacing_mm=(1.0, 2.0))
    assert found == pytest.approx(expected, rel=1e-5)


def test_five_percent_far_away_do_not_count():
    a = box((30, 60), (5, 6), (5, 55))
    b = a.copy()
    b[25, 30] = 1
    assert hd95(a, b, 1, spacing_mm=(1, 1)) == 0


def test_a_label_missing_from_one_map_costs_the_diagonal_and_from_both_is_no_number():
    empty, full = np.zeros((30, 40), np.uint8), box((30, 40), (5, 10), (5, 10))
    for pair in ((empty, full), (full, empty)):
        assert hd95(*pair, 1, spacing_mm=(1.0, 1.0)) == pytest.approx(50.0)
    assert np.isnan(hd95(full, full, 2, spacing_mm=(1.0, 1.0)))


def test_shapes_and_spacings_that_make_no_sense_are_refused():
    labels = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="one shape"):
        hd95(labels, labels[:2], 1, spacing_mm=(1, 1))
    with pytest.raises(ValueError, match="spacing per axis"):
        hd95(labels, labels, 1, spacing_mm=(1, 1, 1))
    with pytest.raises(ValueError, match="positive"):
        hd95(labels, labels, 1, spacing_mm=(1, 0))
