"""Overlap, organ means and lesion contrasts on drawn shapes whose answers are known."""

import numpy as np
import pytest

from synthesis.metrics.dice import dice, dice_per_label
from synthesis.metrics.regions import lesion_contrasts, organ_errors, organ_means


def square(top: int, left: int, side: int, value: int, shape=(40, 40)):
    labels = np.zeros(shape, int)
    labels[top : top + side, left : left + side] = value
    return labels


def test_dice_of_shifted_squares():
    assert dice(square(0, 0, 10, 3), square(0, 5, 10, 3), 3) == pytest.approx(0.5)
    assert dice(square(0, 0, 10, 3), square(0, 0, 10, 3), 3) == 1
    assert np.isnan(dice(square(0, 0, 10, 3), square(0, 0, 10, 3), 4))


def test_dice_per_label_pools_pixels_over_cases():
    found = [square(0, 0, 10, 3), square(0, 0, 2, 3)]
    truth = [square(0, 0, 10, 3), square(20, 20, 2, 3)]
    pooled = dice_per_label(found, truth, (3, 5))
    assert pooled[3] == pytest.approx(2 * 100 / 208)
    assert np.isnan(pooled[5])


def test_dice_refuses_other_shapes():
    with pytest.raises(ValueError, match="same shape"):
        dice(np.zeros((2, 2), int), np.zeros((3, 3), int), 1)


def test_organ_means_leave_the_rim_out():
    labels = square(5, 5, 20, 6)
    image = np.where(labels == 6, 50.0, 0.0)
    image[5, :] += 1000
    assert organ_means(image, labels, (6, 7)) == {6: pytest.approx(50)}


def test_organ_errors_are_signed_per_case():
    labels = square(5, 5, 20, 6)
    truth = np.where(labels == 6, 50.0, 0.0)
    assert organ_errors([truth + 3], [truth], [labels], (6, 2)) == {6: [pytest.approx(3)], 2: []}


def test_lesion_contrast_and_size_limit():
    labels = square(5, 5, 30, 6)
    labels[10:18, 10:18] = 17
    labels[28:30, 28:30] = 17  # two pixels across: too small
    image = np.where(labels == 17, 40.0, 100.0)
    found = lesion_contrasts(image, labels, lesion=17, host=6)
    assert [c for *_, c in found] == [pytest.approx(-60)]
    assert (found[0][0], found[0][1]) == (slice(10, 18), slice(10, 18))
