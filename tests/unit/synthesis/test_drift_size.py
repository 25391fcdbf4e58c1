"""How far a drift moves the start, from the recipe alone, against the same of a real network's states."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from synthesis.drift import drift_dc_sigma
from synthesis.drift_size import drift_dc_sigma_of, state_shape_of
from tests.unit.synthesis.tiny_backbones import tiny_network
from tests.unit.synthesis.tiny_model import tiny_model


def test_a_tenth_over_64_by_64_pixels_is_six_point_four_standard_deviations():
    recipe = {"image": {"rows": 64, "columns": 64}, "backbone": {"name": "unet"}}
    assert state_shape_of(recipe) == (1, 64, 64)
    assert drift_dc_sigma_of(-0.1, recipe) == pytest.approx(6.4)


@pytest.mark.parametrize("name", ["stable_diffusion", "sdxl", "sd3"])
def test_latents_have_the_shape_that_the_network_says(name):
    network = tiny_network(name)
    recipe = {"image": {"rows": 64, "columns": 32}, "backbone": {"components": {"vae": network.vae_config}}}
    shape = network.state_shape(64, 32)
    assert state_shape_of(recipe) == shape
    assert drift_dc_sigma_of(0.3, recipe) == pytest.approx(drift_dc_sigma(0.3, torch.zeros(1, *shape)))


def test_the_shipped_kind_of_model_tells_it():
    recipe = tiny_model().recipe
    rows, columns = recipe["image"]["rows"], recipe["image"]["columns"]
    assert state_shape_of(recipe) == tiny_model().network.state_shape(rows, columns)


@pytest.mark.parametrize(
    "recipe", [{}, {"image": {"rows": 8, "columns": 8}}, {"image": None, "backbone": {}},
               {"image": {"rows": 8, "columns": 8}, "backbone": {"components": {"vae": {}}}}]
)  # fmt: skip
def test_a_recipe_that_does_not_tell_gives_nothing(recipe):
    assert drift_dc_sigma_of(0.1, recipe) is None


def test_it_is_free_of_torch():
    code = "import sys; sys.modules['torch'] = None; import synthesis.drift_size"
    subprocess.run([sys.executable, "-c", code], check=True)
