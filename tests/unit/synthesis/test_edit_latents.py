"""Edits of a model that works in latents: real classes of Stable Diffusion at tiny size."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from synthesis.edit import edit, prepare
from synthesis.edit_request import CounterfactualRequest, EditOptions
from synthesis.errors import SynthesisError
from synthesis.metrics.psnr import psnr
from synthesis.phantoms import labels as L
from synthesis.request import Condition
from tests.unit.synthesis.tiny_backbones import SIDE, network_of, tiny_latent_model, tiny_pipeline


@pytest.fixture(scope="module", params=["stable_diffusion", "sd3"])
def model(request):
    """One that predicts noise and starts late, and one that is a flow."""
    return tiny_latent_model(request.param)


def asked(model, **options):
    labels = np.full((SIDE, SIDE), L.FAT, np.uint8)
    labels[8:24, 6:20] = L.LIVER
    rng = np.random.default_rng(3)
    return CounterfactualRequest(
        image=np.rint(rng.normal(60, 40, (SIDE, SIDE))).astype(np.float32),
        labels=labels,
        spacing_mm=(3.0, 3.0),
        before=Condition(modality="CT", severity="severe"),
        after=Condition(modality="CT", severity="none"),
        options=EditOptions(**{"strength": 0.5, "steps": 40} | options),
    )


def test_the_null_edit_is_as_near_as_the_autoencoder_to_within_a_decibel(model):
    one = asked(model)
    one = replace(one, after=one.before)
    work = prepare(model, [one.image], [one.labels], [one.labels], [one.before], [one.after])
    with torch.no_grad():
        seen = model.network.decode(work.x)[0, 0].numpy()
    reconstruction = psnr(model.denormalise(seen, "CT"), one.image, data_range=500)
    null = psnr(edit(model, one).images[0], one.image, data_range=500)
    assert null >= reconstruction - 1


def test_strength_0_is_the_image_and_not_its_reconstruction(model):
    one = asked(model, strength=0.0)
    assert np.array_equal(edit(model, one).images[0], one.image)


def test_the_region_is_weighed_on_the_grid_of_the_latents_and_the_network_starts_where_it_does(model):
    one = asked(model)
    work = prepare(model, [one.image], [one.labels], [one.labels], [one.before], [one.after])
    assert work.region.shape == (1, 1, *work.x.shape[2:])
    assert float(work.region.max()) <= 1
    assert work.start == model.network.start
    result = edit(model, one)
    assert np.abs(result.difference).max() > 0


def test_an_edit_goes_where_the_network_computes_and_not_where_its_first_weight_lies():
    """Weights that come to the device layer by layer lie elsewhere between calls."""
    network = network_of("sd3", tiny_pipeline("sd3"))
    network.register_parameter("elsewhere", torch.nn.Parameter(torch.empty(1, device="meta"), False))
    assert next(network.parameters()).device != network.device
    model = tiny_latent_model("sd3", network)
    result = edit(model, asked(model, steps=2))
    assert np.abs(result.difference).max() > 0
    assert result.recipe["numerics"]["device"] == "cpu"


def test_states_stay_in_float32_where_weights_have_16_bits():
    network = copy.deepcopy(network_of("sd3", tiny_pipeline("sd3"))).to(torch.bfloat16)
    given = []
    network.register_forward_pre_hook(lambda module, args: given.append(args[0].dtype))
    model = tiny_latent_model("sd3", network)
    result = edit(model, asked(model, steps=2))
    assert set(given) == {torch.float32}
    assert np.abs(result.difference).max() > 0
    assert result.recipe["numerics"]["dtype"] == "bfloat16"


@pytest.mark.parametrize("name", ["stable_diffusion", "sdxl"])
def test_a_model_that_is_told_words_is_edited_along_them_and_back(name):
    model = tiny_latent_model(name)
    one = asked(model, method="pix2pix_zero", strength=0.3, steps=3, undo=True)
    seen = []
    result = edit(model, one, on_step=seen.append)
    assert [step.step for step in seen] == list(range(1, 19))  # there, without a change, and back
    assert {step.steps for step in seen} == {18}
    assert 0 < sum(step.preview is not None for step in seen) <= 18
    there, back = result.numbers[0]["l1"], result.numbers[0]["undone"]["l1"]
    assert there > 0
    assert result.undone is not None
    used = result.recipe["options"]
    assert (used["attention"], used["guidance"], used["regularisation"]) == (0.1, 1.0, 0.0)
    with torch.no_grad():
        work = prepare(model, [one.image], [one.labels], [one.labels], [one.before], [one.after])
        seen_by_it = model.denormalise(model.network.decode(work.x)[0, 0].numpy(), "CT")
    assert back < 2 * np.abs(seen_by_it - one.image).mean() + there


def test_its_null_edit_is_as_near_as_the_autoencoder_to_within_a_decibel():
    model = tiny_latent_model("stable_diffusion")
    one = asked(model, method="pix2pix_zero", strength=0.5, steps=4)
    one = replace(one, after=one.before)
    work = prepare(model, [one.image], [one.labels], [one.labels], [one.before], [one.after])
    with torch.no_grad():
        seen = model.network.decode(work.x)[0, 0].numpy()
    reconstruction = psnr(model.denormalise(seen, "CT"), one.image, data_range=500)
    assert psnr(edit(model, one).images[0], one.image, data_range=500) >= reconstruction - 1


def test_a_model_that_mixes_words_and_image_in_another_way_offers_no_such_edit():
    model = tiny_latent_model("sd3")
    with pytest.raises(SynthesisError, match="cannot be edited by"):
        edit(model, asked(model, method="pix2pix_zero"))
