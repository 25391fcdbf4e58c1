"""Band powers: Parseval, and ratios that follow what was done to the noise."""

import numpy as np
import pytest
from scipy import ndimage

from synthesis.metrics.spectrum import band_power, band_ratio, region_residual


def scene(seed: int, scale: float = 1.0, blur: float = 0.0):
    rng = np.random.default_rng(seed)
    labels = np.zeros((64, 64), int)
    labels[4:60, 4:30] = 2
    labels[4:60, 34:60] = 6
    noise = rng.normal(size=labels.shape)
    if blur:
        noise = ndimage.gaussian_filter(noise, blur)
    return 100.0 * labels + scale * noise, labels


def test_bands_that_tile_the_plane_keep_the_energy():
    residual = np.random.default_rng(0).normal(size=(32, 48))
    power = band_power(residual, ((-1.0, 0.0), (0.0, 0.25), (0.25, 1.0)))
    assert power.sum() == pytest.approx((residual**2).sum())


def test_a_single_wave_falls_into_its_band():
    columns = np.arange(60)
    wave = np.tile(np.cos(2 * np.pi * 0.25 * columns), (60, 1))
    power = band_power(wave)
    assert power[1] == pytest.approx((wave**2).sum())
    assert power[[0, 2]] == pytest.approx([0, 0], abs=1e-9)


def test_contrast_between_regions_is_not_noise():
    image, labels = scene(0, scale=0.0)
    assert np.abs(region_residual(image, labels, (2, 6))).max() == pytest.approx(0, abs=1e-9)


def test_ratio_is_the_square_of_the_noise_scale():
    truths, masks = zip(*[scene(s) for s in range(6)], strict=True)
    made = [scene(100 + s, scale=1.5)[0] for s in range(6)]
    assert band_ratio(made, truths, masks, (2, 6)) == pytest.approx([2.25] * 3, rel=0.12)


def test_blurred_noise_loses_its_high_band_most():
    truths, masks = zip(*[scene(s) for s in range(6)], strict=True)
    made = [scene(s, blur=1.0)[0] for s in range(6)]
    low, middle, high = band_ratio(made, truths, masks, (2, 6))
    assert low > middle > high
    assert high < 0.05


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="same"):
        region_residual(np.zeros((4, 4)), np.zeros((4, 5), int), (1,))
