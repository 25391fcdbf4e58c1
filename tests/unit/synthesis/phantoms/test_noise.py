"""The scanners' noise against its specification."""

import numpy as np
import pytest

from synthesis.phantoms import Attributes, abdomen
from synthesis.phantoms.labels import AIR, MUSCLE
from synthesis.phantoms.noise import CT_NOISE_HU, MR_NOISE, bias_field, ct_noise, ct_noise_spectrum, rician


def rng():
    return np.random.default_rng(7)


def test_ct_noise_has_the_stated_level_and_no_mean():
    noise = ct_noise(rng(), (64, 96, 128))
    assert noise.dtype == np.float32
    assert noise.std() == pytest.approx(CT_NOISE_HU, rel=0.01)
    assert abs(noise.mean()) < 0.05


def test_ct_noise_has_the_stated_spectrum_in_every_band():
    rows, columns = 96, 128
    noise = ct_noise(rng(), (300, rows, columns))
    power = (np.abs(np.fft.rfft2(noise)) ** 2).mean(0) / (rows * columns * CT_NOISE_HU**2)
    wanted = ct_noise_spectrum(rows, columns)
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    for low, high in ((0.02, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5)):
        band = (frequency >= low) & (frequency < high)
        assert power[band].mean() == pytest.approx(wanted[band].mean(), rel=0.03)


def test_ct_spectrum_is_a_band_with_its_peak_where_the_kernel_puts_it():
    spectrum = ct_noise_spectrum(256, 256)[0]
    peak = np.fft.rfftfreq(256)[spectrum.argmax()]
    assert 0.22 < peak < 0.27
    assert spectrum[0] < 0.2 * spectrum.max()


def test_ct_noise_is_independent_between_slices():
    noise = ct_noise(rng(), (40, 64, 64))
    assert abs((noise[1:] * noise[:-1]).mean()) < 0.02 * CT_NOISE_HU**2


def test_rician_noise_without_signal_is_rayleigh():
    sigma = 16.0
    image = rician(rng(), np.zeros((1, 400, 400), np.float32), sigma)
    assert image.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)
    assert image.std() == pytest.approx(sigma * np.sqrt(2 - np.pi / 2), rel=0.01)


def test_rician_second_moment_is_exact_at_any_signal():
    sigma = 16.0
    for signal in (10.0, 40.0, 300.0):
        image = rician(rng(), np.full((1, 400, 400), signal, np.float32), sigma)
        assert (image.astype(np.float64) ** 2).mean() == pytest.approx(signal**2 + 2 * sigma**2, rel=0.01)


def test_rician_noise_is_gaussian_at_high_signal():
    sigma, signal = 16.0, 800.0
    image = rician(rng(), np.full((1, 400, 400), signal, np.float32), sigma)
    assert image.mean() == pytest.approx(signal + sigma**2 / (2 * signal), abs=0.2)
    assert image.std() == pytest.approx(sigma, rel=0.01)


def test_bias_field_is_positive_smooth_and_of_the_stated_strength():
    x = np.linspace(-180, 180, 96, dtype=np.float32)
    logs = [np.log(bias_field(np.random.default_rng(i), x, x, np.zeros(1, np.float32))) for i in range(200)]
    assert np.std(logs) == pytest.approx(0.08, rel=0.15)
    steps = max(float(np.abs(np.diff(field, axis=axis)).max()) for field in logs for axis in (1, 2))
    assert steps < 0.02  # 3.8 mm apart


@pytest.mark.parametrize("modality", ["T1", "T2"])
def test_air_of_an_mr_phantom_is_rayleigh(modality):
    image = abdomen(5, modality=modality).image
    corner = np.concatenate([image[:12].ravel(), image[-8:].ravel()])
    assert corner.mean() == pytest.approx(MR_NOISE[modality] * np.sqrt(np.pi / 2), rel=0.03)


def test_ct_phantom_carries_the_stated_noise():
    phantom = abdomen(5, attributes=Attributes())
    rest = phantom.image - phantom.clean
    assert rest.std() == pytest.approx(CT_NOISE_HU, rel=0.03)
    for label in (AIR, MUSCLE):
        assert rest[phantom.labels == label].std() == pytest.approx(CT_NOISE_HU, rel=0.08)
