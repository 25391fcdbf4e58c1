"""Controls: the spoilt image is visibly so, the reconstructed one hardly, and both keep shape and range."""

import numpy as np

from synthesis.phantoms.labels import LABEL_SET
from synthesis.phantoms.phantom import abdomen
from webapp.readings.controls import reconstructed, spoilt


def image() -> np.ndarray:
    """A phantom's labels as grey values with noise, [1, rows, columns]."""
    labels = abdomen(3, shape=(128, 128)).labels
    values = np.linspace(-900, 600, len(LABEL_SET) + 1)
    noise = np.random.default_rng(1).normal(0, 10, labels.shape)
    return (values[labels] + noise).astype(np.float32)[None]


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square of the difference, as a share of the range."""
    return float(np.sqrt(np.mean((a - b) ** 2)) / np.ptp(b))


def test_the_spoilt_image_differs_much_and_the_reconstructed_little() -> None:
    source = image()
    bad, back = spoilt(source), reconstructed(source)
    assert bad.shape == back.shape == source.shape
    assert bad.dtype == back.dtype == np.float32
    assert source.min() <= bad.min() <= bad.max() <= source.max()
    assert difference(bad, source) > 2 * difference(back, source)
    assert 0 < difference(back, source) < 0.04


def test_both_are_the_same_each_time_and_leave_their_source_alone() -> None:
    source = image()
    before = source.copy()
    np.testing.assert_array_equal(spoilt(source), spoilt(source))
    np.testing.assert_array_equal(reconstructed(source), reconstructed(source))
    np.testing.assert_array_equal(source, before)


def test_a_constant_image_passes() -> None:
    flat = np.zeros((2, 16, 16), np.float32)
    np.testing.assert_array_equal(reconstructed(flat), flat)
    assert np.isfinite(spoilt(flat)).all()
