"""Uncertainty maps of every network on the shelf: through its decoder, after it has drawn."""

import copy

import numpy as np
import pytest
import torch

from synthesis.catalog import BACKBONES
from synthesis.generate import generate
from synthesis.imaging.uncertainty import Options
from synthesis.phantoms import labels as L
from synthesis.request import Condition, SamplerOptions, SynthesisRequest
from synthesis.uncertainty import uncertainty_map
from tests.unit.synthesis.tiny_backbones import SIDE, network_of, tiny_latent_model, tiny_pipeline
from tests.unit.synthesis.tiny_model import tiny_model

CONDITION = Condition(modality="CT", severity="mild")


@pytest.mark.parametrize("name", BACKBONES)
def test_a_drawn_image_has_a_map_on_its_own_grid(name):
    model = tiny_model() if name == "unet" else tiny_latent_model(name)
    mask = np.full((SIDE, SIDE), L.FAT, np.uint8)
    mask[8:24, 6:20] = L.LIVER
    if name == "unet":
        side = int(model.recipe["image"]["rows"])
        mask = np.kron(mask, np.ones((side // SIDE, side // SIDE), np.uint8))
    request = SynthesisRequest(
        labels=mask, spacing_mm=(2.5, 2.5), condition=CONDITION, seed=1,
        sampler=SamplerOptions(name="euler", steps=1),
    )  # fmt: skip
    drawn = generate(model, request)
    made = uncertainty_map(
        model, drawn.images[0], mask, CONDITION, seed=1, options=Options(rounds=2, spacing=2)
    )
    assert made.std.shape == mask.shape
    assert np.isfinite(made.std).all()
    assert made.std.max() > 0


def test_gradients_go_through_a_decoder_that_is_widened_for_its_call():
    """SDXL's decoder overflows in float16, so it computes in float32 there and back."""
    narrow = copy.deepcopy(network_of("sdxl", tiny_pipeline("sdxl"))).to(torch.float16)
    wide = copy.deepcopy(network_of("sdxl", tiny_pipeline("sdxl"))).to(torch.float16).to(torch.float32)
    assert narrow.vae_config["force_upcast"]
    found = []
    for network in (narrow, wide):
        states = torch.zeros((1, *network.state_shape(SIDE, SIDE)), requires_grad=True)
        found += torch.autograd.grad(network.decode(states).sum(), states)
    assert torch.equal(*found)
    with torch.no_grad():
        assert torch.equal(narrow.decode(states), wide.decode(states))


def test_a_widened_decoder_is_narrowed_again_where_nothing_goes_back():
    network = copy.deepcopy(network_of("sdxl", tiny_pipeline("sdxl"))).to(torch.float16)
    with torch.no_grad():
        network.decode(torch.zeros((1, *network.state_shape(SIDE, SIDE))))
    assert network.get_submodule("vae").dtype == torch.float16
