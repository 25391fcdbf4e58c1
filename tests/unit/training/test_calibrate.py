"""Calibration on an exact oracle: white noise of known strength, whose velocity is known in closed form."""

import numpy as np
import pytest
import torch

from synthesis.checkpoints import LoadedModel
from synthesis.imaging.intensity import normalisations
from synthesis.metrics.judges import KINDS, Judges
from synthesis.networks import Network
from synthesis.samplers.shortcut import cool
from tests.factories_models import tiny_recipe
from training.calibrate import (
    band_table,
    calibrate,
    calibrate_temperature,
    generate,
    judged,
    match_noise,
    match_temperature,
)
from training.held_out import Setting, held_out

STRENGTH = 0.8  # standard deviation of the data, network scale


class WhiteNoise(Network):
    """The exact velocity for data N(0, c^2): (t c^2 - (1-t)) x / S, S = (1-t)^2 + t^2 c^2 (math.md 2)."""

    def forward(self, x, t, planes, attributes):
        variance = (1 - t) ** 2 + t**2 * STRENGTH**2
        return (t * STRENGTH**2 - (1 - t)) / variance * x


@pytest.fixture(scope="module")
def oracle():
    recipe = tiny_recipe(64, 64)
    return LoadedModel(WhiteNoise(), recipe, "", normalisations(recipe))


@pytest.fixture(scope="module")
def judges():
    torch.manual_seed(0)
    return Judges(*(kind().eval() for kind in KINDS.values()), about={})


@pytest.fixture
def noise_for_truth(monkeypatch):
    """Put white noise of a strength into the place of the real images, which leaves only bands to judge."""
    monkeypatch.setattr("training.calibrate.severity_accuracy", lambda *_: 1.0)
    monkeypatch.setattr("training.calibrate.lesion_figures", lambda *_: {"count": 0})

    def put(strength: float) -> None:
        rng = np.random.default_rng(0)
        monkeypatch.setattr(
            LoadedModel,
            "normalise",
            lambda self, image, modality: rng.normal(0, strength, image.shape).astype(np.float32),
        )

    return put


@pytest.fixture(scope="module")
def cases():
    return [c for c in held_out("validation", 24, (64, 64)) if c.condition.modality == "CT"]


def test_too_few_calls_lose_noise_and_kappa_brings_it_back(oracle, judges, cases, noise_for_truth):
    noise_for_truth(STRENGTH)
    found = match_noise(oracle, judges, cases, 4, 0.5)
    assert found["kappa"] > 0.3
    assert found["bands"] == pytest.approx([1, 1, 1], abs=0.25)
    plain = generate(oracle, cases, Setting(sampler="rft", calls=4, kappa=0.0, shift=0.5))
    assert plain.std() < 0.92 * STRENGTH


def test_more_noise_asked_for_needs_a_larger_kappa(oracle, judges, cases, noise_for_truth):
    found = []
    for strength in (0.95, 1.05):
        noise_for_truth(STRENGTH * strength)
        found.append(match_noise(oracle, judges, cases, 4, 0.5)["kappa"])
    assert found[0] < found[1]


def test_one_call_has_nothing_to_calibrate(oracle, judges, cases, noise_for_truth):
    noise_for_truth(STRENGTH)
    assert match_noise(oracle, judges, cases, 1, 1.0)["kappa"] == 0.0
    images = generate(oracle, cases, Setting(sampler="rft", calls=1, kappa=0.0))
    assert np.abs(images).max() < 1e-5  # the conditional mean (math.md section 2)


def test_every_number_of_calls_gets_its_tables(oracle, judges, noise_for_truth):
    noise_for_truth(STRENGTH)
    table = calibrate(oracle, judges, calls=(1, 2), shifts=(1.0, 0.5), cases=8)
    assert set(table["kappa"]) == {"CT", "T1", "T2", "1", "2"}
    assert set(table["kappa"]["T1"]) == {"1", "2"}
    assert table["shift"]["CT"]["2"] in (1.0, 0.5)
    assert table["found"]["2"]["CT"]["kappa"] == table["kappa"]["CT"]["2"]


class LongSteps(Network):
    """Learned steps whose long waves come out a third too strong: u = 1.33 c low(x_0) + c high(x_0) - x_0."""

    def forward(self, x, t, planes, attributes, span=None):
        return STRENGTH * cool(x, 1.33) - x


def test_learned_steps_whose_long_waves_are_too_strong_get_a_cooler_start(judges, cases, noise_for_truth):
    noise_for_truth(STRENGTH)
    recipe = tiny_recipe(64, 64) | {"shortcut": {"segments": 8, "shift": 0.35}}
    model = LoadedModel(LongSteps(), recipe, "", normalisations(recipe))
    hot = judged_bands(model, cases, Setting(sampler="shortcut", calls=1))
    assert hot[0] > 1.2
    found = match_temperature(model, judges, cases, 1)
    assert found["temperature"] == pytest.approx(1 / 1.33, abs=0.1)
    assert found["bands"] == pytest.approx([1, 1, 1], abs=0.15)
    table = calibrate_temperature(model, judges, calls=(1,), cases=8)
    cooled = LoadedModel(model.network, recipe | {"calibration": table}, "", model.normalisation)
    assert cooled.temperature(1, "CT") == table["temperature"]["CT"]["1"] < 0.9
    assert model.temperature(1, "CT") == 1.0
    cool_bands = judged_bands(cooled, cases, Setting(sampler="shortcut", calls=1))
    assert cool_bands[0] < 0.9 * hot[0]
    assert cool_bands[2] == pytest.approx(hot[2], rel=0.02)


def test_a_start_is_never_warmer_than_the_law(oracle, judges, cases, noise_for_truth):
    """Learned steps whose long waves are too weak keep a temperature of 1."""
    noise_for_truth(STRENGTH)
    network = LongSteps()
    network.forward = lambda x, t, *rest: STRENGTH * cool(x, 0.7) - x
    recipe = tiny_recipe(64, 64) | {"shortcut": {"segments": 8, "shift": 0.35}}
    model = LoadedModel(network, recipe, "", normalisations(recipe))
    assert match_temperature(model, judges, cases, 1)["temperature"] == 1.0


def judged_bands(model, cases, setting):
    real = np.stack([model.normalise(c.image, "CT") for c in cases])
    return band_table(generate(model, cases, setting), real, cases)["CT"]


def test_the_worst_figure_in_units_of_its_goal_decides(judges, monkeypatch):
    cases = [c for c in held_out("validation", 16, (128, 128)) if c.condition.modality == "CT"]
    recipe = tiny_recipe()
    model = LoadedModel(WhiteNoise(), recipe, "", normalisations(recipe))
    real = np.stack([model.normalise(c.image, "CT") for c in cases])
    monkeypatch.setattr("training.calibrate.severity_accuracy", lambda *_: 1.0)
    assert judged(real, real, cases, model, judges)["miss"] == 0
    louder = real + np.random.default_rng(0).normal(0, 0.1, real.shape).astype(np.float32)
    figures = judged(louder, real, cases, model, judges)
    assert figures["miss"] == pytest.approx(np.log(max(figures["bands"])) / np.log(1.4), abs=1e-3)
    monkeypatch.setattr("training.calibrate.severity_accuracy", lambda *_: 0.7)
    assert judged(real, real, cases, model, judges)["miss"] == pytest.approx(3.0)
