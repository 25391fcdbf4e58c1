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
from synthesis.uncertainty import estimate_at, posterior_variance, uncertainty_map
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


@pytest.mark.parametrize("name", BACKBONES)
def test_near_the_data_only_the_decoders_own_spread_is_left(name):
    """t -> 1: x1_hat -> x_t, so diag(G J G^T) (1-t)^2 / t -> diag(G G^T) (1-t)^2 / t, G = d decoder.

    The right side is read off gradients of single pixels; pixels on one lattice scatter the left one,
    so means over pixels are compared. Without a decoder G = 1, and each pixel must be right.
    """
    model = tiny_model() if name == "unet" else tiny_latent_model(name)
    network, t = model.network, 0.999
    side = int(model.recipe["image"]["rows"]) if name == "unet" else SIDE
    mask = np.full((side, side), L.FAT, np.uint8)
    image = torch.randn((1, 1, side, side), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = network.encode(image)[0]
    estimate = estimate_at(model, network.condition(mask[None], [CONDITION]), t)
    decode = network.decode if network.in_latents else None
    generator = torch.Generator().manual_seed(1)
    found = posterior_variance(estimate, x, t, spacing=4, generator=generator, decode=decode)[0, 0]
    if decode is None:
        torch.testing.assert_close(found, torch.full_like(found, (1 - t) ** 2 / t), rtol=0.02, atol=0)
        return
    with torch.no_grad():
        state = estimate(x)
    state.requires_grad_(True)
    drawn = decode(state)[0, 0]
    places = [(row, column) for row in range(3, side, 8) for column in range(2, side, 8)]
    exact = [
        torch.autograd.grad(drawn[place], state, retain_graph=True)[0].square().sum() for place in places
    ]
    expected = torch.stack(exact).mean() * (1 - t) ** 2 / t
    assert float(torch.stack([found[place] for place in places]).mean() / expected) == pytest.approx(
        1, abs=0.25
    )
