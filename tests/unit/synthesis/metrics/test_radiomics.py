"""Texture features of patterns that can be counted by hand, and the distance built on them."""

import numpy as np
import pytest
from scipy import ndimage

from synthesis.metrics.fid import fid
from synthesis.metrics.radiomics import FEATURES, radiomics, radiomics_distance


def of(image, low=0.0, high=1.0):
    return dict(zip(FEATURES, radiomics([image], low=low, high=high)[0]))


def textures(seed, count, blur=2.0, noise=0.0):
    rng = np.random.default_rng(seed)
    images = [ndimage.gaussian_filter(rng.normal(size=(48, 48)), blur) * 3.5 * blur for _ in range(count)]
    return radiomics([i + noise * rng.normal(size=i.shape) for i in images], low=-3, high=3)


def test_every_feature_has_a_name_of_its_own():
    assert len(set(FEATURES)) == len(FEATURES) == 126
    assert radiomics([np.random.default_rng(0).random((16, 16))], low=0, high=1).shape == (1, len(FEATURES))


def test_a_flat_image():
    found = of(np.full((16, 16), 0.5))
    assert found["image: mean"] == found["LL: median"] == 0.5
    for name in ("image: std", "image: entropy", "image: contrast at 1", "HH: std", "image: gradient mean"):
        assert found[name] == 0
    assert found["image: uniformity"] == found["image: energy at 3"] == found["image: homogeneity at 1"] == 1
    assert found["image: long runs"] == 16**2


def test_a_checkerboard_of_two_levels():
    """Levels 0 and 16 of 32: sideways pairs differ by 16, diagonal ones not at all."""
    board = 0.5 * (np.indices((16, 16)).sum(0) % 2)
    found = of(board)
    assert found["image: contrast at 1"] == pytest.approx((16**2 + 16**2 + 0 + 0) / 4)
    assert found["image: dissimilarity at 3"] == pytest.approx(16 / 2)
    assert found["image: correlation at 1"] == pytest.approx((-1 - 1 + 1 + 1) / 4, abs=0.02)
    assert found["image: entropy"] == pytest.approx(1.0)
    assert found["image: short runs"] == found["image: long runs"] == found["image: run share"] == 1
    assert found["HH: std"] > 0.2


def test_stripes_along_the_rows():
    """Rows of 0 and 0.5: down 16 apart, along equal; runs of 16 along rows and of 1 down columns."""
    found = of(0.5 * (np.indices((16, 16))[0] % 2))
    assert found["image: contrast at 1"] == pytest.approx(16**2 * 3 / 4)
    assert found["image: long runs"] == pytest.approx((16 * 16**2 + 256) / (16 + 256))
    assert found["image: run share"] == pytest.approx((16 + 256) / 512)
    assert found["HL: std"] > 0.2 > found["LH: std"] == 0


def test_the_window_sets_the_scale():
    image = np.random.default_rng(0).random((32, 32))
    a = radiomics([image], low=0, high=1)
    np.testing.assert_allclose(radiomics([image * 400 - 200], low=-200, high=200), a, atol=1e-6)


def test_the_distance_is_the_fid_of_features_standardised_by_the_real_ones():
    made, real = textures(0, 30), textures(1, 40)
    found = radiomics_distance(made, real)
    assert found.fid.value == pytest.approx(
        fid((made - real.mean(0)) / real.std(0), (real - real.mean(0)) / real.std(0))
    )
    assert found.log == pytest.approx(np.log(found.fid.value))
    assert (found.fid.n, found.fid.m, found.features) == (30, 40, 126)


def test_the_units_of_features_do_not_matter_and_constant_ones_are_left_out():
    made, real = textures(0, 30), textures(1, 30)
    scale = np.geomspace(1e-2, 1e2, made.shape[1])
    changed = radiomics_distance(made * scale + 1, real * scale + 1)
    assert changed.fid.value == pytest.approx(radiomics_distance(made, real).fid.value, rel=1e-6)
    more = [np.concatenate([one, np.ones((30, 1))], axis=1) for one in (made, real)]
    assert radiomics_distance(*more).features == 126


def test_blur_and_noise_are_seen_in_order():
    real = textures(1, 40)
    same, blurred, more = (radiomics_distance(textures(2, 40, blur), real).log for blur in (2.0, 2.3, 3.0))
    noisy = radiomics_distance(textures(2, 40, noise=0.2), real).log
    assert same < blurred < more
    assert same < noisy


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="window"):
        radiomics([np.zeros((16, 16))], low=1, high=1)
    with pytest.raises(ValueError, match="8 x 8"):
        radiomics([np.zeros((4, 16))], low=0, high=1)
    with pytest.raises(ValueError, match="do not differ"):
        radiomics_distance(np.ones((5, 3)), np.ones((5, 3)))
    with pytest.raises(ValueError, match="expected features"):
        radiomics_distance(np.ones((5, 3)), np.ones((5, 4)))
