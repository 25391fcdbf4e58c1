"""How far to drift: three estimates from a recipe's data, one of them against a closed form."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.networks import Network
from tests.unit.training.tiny_words import recipe_of
from training import choose_drift
from training.choose_drift import estimates
from training.data import Batch, PhantomShards
from training.latents import encoder_key


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# How far to drift.


def test_three_ways_to_choose_delta_are_printed_for_a_recipes_data(base, data, capsys, monkeypatch):
    recipe = recipe_of(base, seed=4)
    found = {one.way: one for one in estimates(recipe, data, images=6, steps=12, grid=(-0.2, 0.0, 0.2))}
    network = load_model(base).network
    shards = PhantomShards(data, encoder_key(network, recipe.normalisation))
    chosen = [np.random.default_rng((4, step, 0)).integers(0, 4, 4) for step in range(2)]
    means = shards.take_latents(np.concatenate(chosen))[0].mean((0, 2, 3))
    assert found["terminal SNR"].delta == pytest.approx((0.06826 * means).tolist(), rel=1e-3)
    length = 16 * float(torch.tensor(found["terminal SNR"].delta).norm())  # of 4 x 16 x 16 numbers
    assert found["terminal SNR"].dc_sigma == pytest.approx(length, rel=1e-5)
    assert len(found["inversion"].delta) == 4
    assert found["grid"].delta[0] in (pytest.approx(-0.2), 0.0, pytest.approx(0.2))
    assert found["grid"].dc_sigma == pytest.approx(32 * abs(found["grid"].delta[0]), rel=1e-5)
    assert found["grid"].note.count(":") == 4
    monkeypatch.setattr(choose_drift, "load_recipe", lambda name: recipe)
    monkeypatch.setattr(
        sys, "argv", ["choose_drift", "sd-basic", "--data", str(data), "--images", "2", "--steps", "12"]
    )
    choose_drift.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if "delta [" in line]
    assert [line.partition(":")[0] for line in lines] == ["terminal SNR", "inversion", "grid"]
    assert all("standard deviations of the start's noise" in line for line in lines)
    monkeypatch.setattr(
        choose_drift, "load_recipe", lambda name: replace(recipe, family="unet", prompts=None, init_from="")
    )
    with pytest.raises(SystemExit, match="begins from nothing"):
        choose_drift.main()


def test_inversion_finds_the_drift_of_a_gaussian_target_exactly(
    small_recipe, phantom_folder, tmp_path, monkeypatch
):
    """A network of N(m, c^2) and targets of mean m': delta = (m' - m) / c (math.md section 4)."""
    m, c, target = -0.3, 0.5, 0.2

    class Gaussian(Network):
        name = "gaussian"

        def forward(self, x_t, t, *condition, source=None):
            t = t.reshape(-1, 1, 1, 1)
            s = (1 - t) ** 2 + (t * c) ** 2
            return m + (t * c**2 - (1 - t)) / s * (x_t - t * m)

    model = LoadedModel(Gaussian(), {"image": small_recipe.image}, "0" * 64, small_recipe.normalisation)
    flat = replace(small_recipe, init_from="gaussian")
    monkeypatch.setattr(choose_drift, "load_model", lambda path: model)
    images = target + c * torch.randn(4, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    images = images - images.mean() + target
    monkeypatch.setattr(
        choose_drift, "batch_at", lambda *args, **more: Batch(images, (), torch.zeros(4, 64, 64))
    )
    found = {one.way: one for one in estimates(flat, phantom_folder, images=4, steps=60)}
    assert found["inversion"].delta == (pytest.approx((target - m) / c, abs=0.04),)
    assert found["inversion"].dc_sigma == pytest.approx(64 * (target - m) / c, rel=0.04)
    assert found["terminal SNR"].delta == (0.0,)
    assert "pure noise" in found["terminal SNR"].note
    assert found["grid"].delta == (pytest.approx(0.2),)
