"""Sizes of a change whose every number can be said in advance."""

import numpy as np
import pytest

from synthesis.metrics.minimality import minimality


def test_a_known_change_has_known_numbers():
    original = np.random.default_rng(0).normal(0, 50, (16, 16))
    region = np.zeros((16, 16), bool)
    region[:4] = True
    changed = original.copy()
    changed[:4] += 30
    changed[10, 3] -= 8
    found = minimality(changed, original, region, data_range=500)
    assert found["l1"] == pytest.approx((64 * 30 + 8) / 256)
    assert found["inside"] == pytest.approx(30)
    assert found["inside_mean"] == pytest.approx(30)
    assert minimality(original, changed, region, data_range=500)["inside_mean"] == pytest.approx(-30)
    assert found["outside"] == pytest.approx(8 / np.sqrt(192))
    assert found["outside_most"] == pytest.approx(8)
    assert found["psnr"] == pytest.approx(10 * np.log10(500**2 / ((64 * 900 + 64) / 256)))
    assert 0 < found["ssim"] < 1


def test_equal_images_have_no_finite_psnr_and_empty_regions_no_error():
    image = np.zeros((16, 16))
    found = minimality(image, image, np.ones((16, 16), bool), data_range=500)
    assert found["psnr"] is None
    assert found["outside"] is None
    assert found["outside_most"] is None
    assert found["inside"] == 0
    assert found["ssim"] == pytest.approx(1.0)


def test_a_region_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="region"):
        minimality(np.zeros((16, 16)), np.zeros((16, 16)), np.zeros((8, 8), bool), data_range=1)
