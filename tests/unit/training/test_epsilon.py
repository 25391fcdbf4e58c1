"""The objective of plain diffusion against its closed forms."""

import numpy as np
import pytest
import torch
from torch import nn

from synthesis.control.painting import paint
from synthesis.request import Condition
from training.data import Batch
from training.objectives.epsilon import epsilon
from training.recipe import EpsilonSettings, recipe_from

SETTINGS = EpsilonSettings(region_weights={}, training_steps=100)


def batch_of(images):
    labels = torch.zeros(images.shape[0], *images.shape[2:], dtype=torch.long)
    condition = paint(labels, [Condition(modality="CT")] * len(images))
    return Batch(images, condition, labels)


class Told(nn.Module):
    """Answers by a function of what the network sees and keeps the times."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer
        self.times = []

    def forward(self, y, t, *condition):
        self.times.append(t)
        return self.answer(y, t)


def alpha_bars(t):
    steps = (t * SETTINGS.training_steps).round().long()
    return torch.from_numpy(SETTINGS.schedule.alpha_bars)[steps].float()[:, None, None, None]


def test_a_network_that_knows_the_noise_has_no_loss():
    x_1 = torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(1))

    def noise(y, t):
        a = alpha_bars(t)
        return (y - a.sqrt() * x_1) / (1 - a).sqrt()

    loss = epsilon(Told(noise), batch_of(x_1), SETTINGS, torch.Generator().manual_seed(2))
    assert float(loss) < 1e-8


def test_the_best_answer_for_a_gaussian_has_the_loss_that_theory_says():
    """E Var[n | y] = A c^2 / (A c^2 + 1 - A) for data N(0, c^2), averaged over the training steps."""
    c = 0.5
    generator = torch.Generator().manual_seed(3)
    network = Told(lambda y, t: y * (1 - alpha_bars(t)).sqrt() / (alpha_bars(t) * c**2 + 1 - alpha_bars(t)))
    losses = [
        float(
            epsilon(network, batch_of(c * torch.randn(64, 1, 8, 8, generator=generator)), SETTINGS, generator)
        )
        for _ in range(60)
    ]
    a = SETTINGS.schedule.alpha_bars
    assert np.mean(losses) == pytest.approx(np.mean(a * c**2 / (a * c**2 + 1 - a)), rel=0.03)


def test_training_steps_are_drawn_evenly_and_told_as_shares():
    network = Told(lambda y, t: y)
    images = torch.zeros(500, 1, 4, 4)
    epsilon(network, batch_of(images), SETTINGS, torch.Generator().manual_seed(4))
    (times,) = network.times
    steps = times * SETTINGS.training_steps
    assert torch.allclose(steps, steps.round(), atol=1e-4)
    assert float(times.min()) >= 0
    assert float(times.max()) < 1
    assert float(times.mean()) == pytest.approx(0.495, abs=0.03)


def test_terms_of_stage_1_are_refused():
    with pytest.raises(ValueError, match="epsilon has no such terms"):
        EpsilonSettings(weight_l2=1.0)


def test_a_recipe_asks_for_it_by_name():
    values = {"name": "a", "title": "a", "version": "1", "seed": 0, "steps": 1, "batch": 1, "phantoms": 1}
    recipe = recipe_from(values | {"image": {}, "modalities": ["CT"], "objective": {"name": "epsilon"}})
    assert recipe.objective.schedule.start == pytest.approx(
        0.0640, abs=1e-4
    )  # Stable Diffusion's (math.md 0)
