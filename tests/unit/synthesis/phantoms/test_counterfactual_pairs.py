"""Pairs that differ by one attribute: what else stays, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from synthesis.phantoms import MODALITIES, abdomen, phantom_seed
from synthesis.phantoms.labels import LESION

SEEDS = [phantom_seed("validation", index) for index in (3, 8, 21)]


def pair(seed, modality, before, after):
    own = abdomen(seed, modality=modality).attributes
    return tuple(abdomen(seed, modality=modality, attributes=replace(own, **v)) for v in (before, after))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("modality", MODALITIES)
def test_texture_changes_the_liver_alone(seed, modality):
    one, other = pair(seed, modality, {"severity_texture": 0}, {"severity_texture": 3})
    away = one.liver_share == 0
    assert np.array_equal(one.image[away], other.image[away])
    assert np.array_equal(one.labels, other.labels)
    assert (one.image != other.image)[one.liver_share > 0.99].mean() > 0.9


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("modality", MODALITIES)
def test_steatosis_changes_the_liver_and_its_lesions_alone(seed, modality):
    one, other = pair(seed, modality, {"steatosis": 0}, {"steatosis": 3})
    assert np.array_equal(one.image[one.liver_share == 0], other.image[one.liver_share == 0])
    assert np.array_equal(one.labels, other.labels)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lesion_changes_itself_alone(seed):
    one, other = pair(seed, "CT", {"lesions": 0}, {"lesions": 1})
    near = ndimage.binary_dilation(other.labels == LESION, np.ones((3, 3)))
    assert np.array_equal(one.image[~near], other.image[~near])
    assert np.array_equal(one.labels[~near], other.labels[~near])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_noise_is_the_same_whatever_changes(seed):
    one, other = pair(seed, "CT", {"severity_texture": 0, "age": 30.0}, {"severity_texture": 3, "age": 80.0})
    np.testing.assert_allclose(one.image - one.clean, other.image - other.clean, atol=2e-4)


def test_from_none_nothing_visible_tells_where_nodules_will_be():
    """The bound of training/counterfactual_bounds.py: over persons, image and texture do not go together."""
    together = []
    for index in range(40):
        one, other = pair(
            phantom_seed("validation", index), "CT", {"severity_texture": 0}, {"severity_texture": 3}
        )
        liver = one.liver_share > 0.99
        shown, added = (one.image[liver] - one.image[liver].mean()), (other.image - one.image)[liver]
        if liver.sum() > 200:
            together.append(float((shown * added).mean() / (shown.std() * added.std())))
    assert abs(np.mean(together)) < 3 * np.std(together) / np.sqrt(len(together)) + 0.01
