"""Calibration on an exact oracle: white noise of known strength, whose velocity is known in closed form."""

import numpy as np
import pytest
import torch

from synthesis.checkpoints import LoadedModel
from synthesis.imaging.intensity import normalisations
from tests.factories_models import tiny_recipe
from training.calibrate import band_table, generate, match_noise
from training.held_out import Setting, held_out

STRENGTH = 0.8  # standard deviation of the data, network scale


class WhiteNoise(torch.nn.Module):
    """The exact velocity for data N(0, c^2): (t c^2 - (1-t)) x / S, S = (1-t)^2 + t^2 c^2 (math.md 2)."""

    def forward(self, x, t, planes, attributes):
        variance = (1 - t) ** 2 + t**2 * STRENGTH**2
        return (t * STRENGTH**2 - (1 - t)) / variance * x


@pytest.fixture(scope="module")
def oracle():
    recipe = tiny_recipe(64, 64)
    return LoadedModel(WhiteNoise(), recipe, "", normalisations(recipe))


@pytest.fixture(scope="module")
def cases():
    return held_out("validation", 12, (64, 64))


@pytest.fixture(scope="module")
def real(cases):
    noise = np.random.default_rng(0).normal(0, STRENGTH, (len(cases), 64, 64))
    return noise.astype(np.float32)


def test_too_few_calls_lose_noise_and_kappa_brings_it_back(oracle, cases, real):
    plain = generate(oracle, cases, Setting(sampler="rft", calls=4, kappa=0.0, shift=0.5))
    assert all(max(r[1:]) < 0.9 for r in band_table(plain, real, cases).values())
    kappas, images = match_noise(oracle, cases, real, 4, 0.5)
    assert set(kappas) == {"CT", "T1", "T2"}
    for ratios in band_table(images, real, cases).values():
        assert ratios[1:] == pytest.approx([1, 1], abs=0.15)  # bisection stops within 5 % of their mean


def test_more_noise_asked_for_needs_a_larger_kappa(oracle, cases, real):
    less, _ = match_noise(oracle, cases, real * 0.95, 4, 0.5)
    more, _ = match_noise(oracle, cases, real * 1.05, 4, 0.5)
    assert all(less[m] < more[m] for m in less)


def test_one_call_has_nothing_to_calibrate(oracle, cases, real):
    kappas, images = match_noise(oracle, cases, real, 1, 1.0)
    assert set(kappas.values()) == {0.0}
    assert np.abs(images).max() < 1e-5  # the conditional mean (math.md section 2)
