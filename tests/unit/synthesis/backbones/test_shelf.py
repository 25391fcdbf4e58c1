"""What every network on the shelf keeps, whatever it is: the contract of synthesis/networks.py."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from synthesis.catalog import BACKBONES, SAMPLERS
from synthesis.checkpoints import LoadedModel, build_network, load_model, save_model
from synthesis.components import ENCODERS
from synthesis.errors import SynthesisError
from synthesis.generate import generate
from synthesis.imaging.intensity import normalisations
from synthesis.networks import Network, first_state
from synthesis.phantoms import labels as L
from synthesis.reporting import PREVIEWS
from synthesis.request import Condition, SamplerOptions, SynthesisRequest
from tests.unit.synthesis.tiny_backbones import SIDE, network_of, stir, tiny_latent_model, tiny_pipeline
from tests.unit.synthesis.tiny_model import tiny_model

LATENT = tuple(name for name in BACKBONES if name != "unet")
CONDITION = Condition(modality="CT", severity="mild", steatosis=2, sex="M", age=63.0)
OWN_PARTS = {"ordinal", "mask_embedding"}


def model_of(name: str) -> LoadedModel:
    return tiny_model() if name == "unet" else tiny_latent_model(name)


def fresh(name):
    """A network of its own, to be changed."""
    return network_of(name, tiny_pipeline(name))


def labels(count=1):
    mask = np.full((count, SIDE, SIDE), L.FAT, np.uint8)
    mask[:, 8:24, 6:20] = L.LIVER
    return mask


def state(network, count=1, seed=0):
    shape = (count, *network.state_shape(SIDE, SIDE))
    return first_state(network, torch.randn(shape, generator=torch.Generator().manual_seed(seed)))


@torch.no_grad()
def answer(network, condition=CONDITION, t=0.6, mask=None, **changes):
    """The velocity of one state under a condition."""
    told = network.condition(labels() if mask is None else mask, [replace(condition, **changes)])
    return network(state(network), torch.tensor(t), *told)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_catalog_and_the_network_agree_on_its_name(name):
    kind = BACKBONES[name].load()
    assert issubclass(kind, Network)
    assert kind.name == name
    assert BACKBONES[name].load_options()


@pytest.mark.parametrize("name", BACKBONES)
def test_a_velocity_has_the_shape_of_its_state_and_comes_out_the_same_twice(name):
    network = model_of(name).network
    first, second = answer(network), answer(network)
    assert first.shape == (1, *network.state_shape(SIDE, SIDE))
    assert first.dtype == torch.float32
    assert torch.isfinite(first).all()
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_item_of_a_batch_has_its_own_time_and_condition(name):
    network = model_of(name).network
    conditions = [CONDITION, replace(CONDITION, modality="T2", severity="severe", sex=None)]
    told = network.condition(labels(2), conditions)
    x, t = state(network, 2), torch.tensor([0.3, 0.8])
    with torch.no_grad():
        together = network(x, t, *told)
        for i in range(2):
            one = slice(i, i + 1)
            alone = network(x[one], t[one], *told.select(one))
            torch.testing.assert_close(together[one], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", BACKBONES)
def test_images_become_states_and_states_images(name):
    network = model_of(name).network
    images = torch.randn(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)
    with torch.no_grad():
        mean, std = network.encode(images)
        back = network.decode(mean)
    assert mean.shape == std.shape == (2, *network.state_shape(SIDE, SIDE))
    assert (std >= 0).all()
    assert back.shape == images.shape
    assert back.dtype == torch.float32
    if not network.in_latents:
        assert torch.equal(back, images)


@pytest.mark.parametrize("name", LATENT)
def test_states_are_scaled_as_the_autoencoders_config_says(name):
    network = model_of(name).network
    images = torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)
    with torch.no_grad():
        mean, std = network.encode(images)
        law = network.vae.encode(images.expand(-1, 3, -1, -1)).latent_dist
        picture = network.vae.decode(law.mean).sample
        shift, scaling = network.vae.config.shift_factor or 0.0, network.vae.config.scaling_factor
        torch.testing.assert_close(mean, (law.mean - shift) * scaling)
        torch.testing.assert_close(std, law.std * scaling)
        torch.testing.assert_close(network.decode(mean), picture.mean(1, keepdim=True), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", LATENT)
def test_fresh_mask_control_changes_no_bit_and_trained_control_sees_the_mask(name):
    plain = fresh(name)
    network = plain.with_control().eval()
    assert network.options.control == "planes"
    before = answer(plain)
    assert torch.equal(answer(network), before)
    for part in OWN_PARTS | {"controlnet"}:
        if part in dict(network.named_children()) and part != "ordinal":
            stir(network.get_submodule(part))
    changed = answer(network)
    assert (changed - before).abs().max() > 1e-4
    other = labels()
    other[:, 12:14, 10:12] = L.LESION
    assert (answer(network, mask=other) - changed).abs().max() > 1e-6
    assert torch.equal(answer(plain), before)  # whose weights it shares
    with pytest.raises(ValueError, match="already"):
        network.with_control()


@pytest.mark.parametrize("name", LATENT)
def test_a_fresh_ordinal_embedding_changes_no_bit_and_a_trained_one_tells_levels_apart(name):
    network = fresh(name)
    told = network.condition(labels(), [CONDITION])
    assert told.level.tolist() == [2.0]
    unstated = told._replace(level=torch.tensor([float("nan")]))
    x, t = state(network), torch.tensor(0.6)
    with torch.no_grad():
        assert torch.equal(network(x, t, *told), network(x, t, *unstated))
        plain = network(x, t, *unstated)
        stir(network.ordinal)
        assert torch.equal(network(x, t, *unstated), plain)
        levels = [answer(network, severity_level=level) for level in (1.6, 2.0, 2.4)]
    for a, b in itertools.combinations(levels, 2):  # one prompt, "mild", for all of them
        assert (a - b).abs().max() > 1e-6


@pytest.mark.parametrize("name", LATENT)
def test_words_matter_and_the_unconditional_says_none(name):
    network = model_of(name).network
    assert (answer(network) - answer(network, severity="severe")).abs().max() > 1e-6
    told = network.condition(labels(), [CONDITION])
    without = network.unconditional(told)
    other = network.unconditional(
        network.condition(labels(), [replace(CONDITION, severity="none", age=20.0)])
    )
    assert torch.isnan(without.level).all()
    for a, b in zip(without, other, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(without.tokens, told.tokens)


@pytest.mark.parametrize("name", BACKBONES)
def test_options_go_to_json_and_back(name):
    network = model_of(name).network
    recipe = json.loads(json.dumps({"backbone": network.recipe()}))
    again = build_network(recipe)
    assert again.options == network.options
    shapes = [{k: v.shape for k, v in one.state_dict().items()} for one in (network, again)]
    assert shapes[0] == shapes[1]
    with pytest.raises(SynthesisError, match="flavour"):
        build_network({"backbone": recipe["backbone"] | {"flavour": 1}})


@pytest.mark.parametrize("name", LATENT)
def test_weights_are_named_by_component(name):
    network = fresh(name).with_control()
    parts = {key.split(".")[0] for key in network.state_dict()}
    assert parts == set(network.options.components) | (OWN_PARTS & set(dict(network.named_children())))
    trunk = network.get_submodule(network.trunk).state_dict()
    assert all(f"{network.trunk}.{key}" in network.state_dict() for key in trunk)


@pytest.mark.parametrize("control", [False, True])
@pytest.mark.parametrize("name", LATENT)
def test_a_saved_network_comes_back_with_its_tokenizers_and_makes_the_same_pixels(name, control, tmp_path):
    network = fresh(name)
    if control:
        network = network.with_control().eval()
    stir(network)
    network.requires_grad_(False)
    model = tiny_latent_model(name, network)
    save_model(tmp_path, network, model.recipe)
    back = load_model(tmp_path)
    assert back.network.tokenizers == network.tokenizers
    assert back.network.options == network.options
    asked = request(guidance=2.0)
    assert generate(back, asked).pixel_sha256 == generate(model, asked).pixel_sha256


@pytest.mark.parametrize("settings", [{"components": {}}, {"control": "magic"}, {"components": {"unet": {}}}])
@pytest.mark.parametrize("name", LATENT)
def test_recipes_that_describe_no_network_are_refused(name, settings):
    values = model_of(name).network.recipe() | settings
    with pytest.raises(SynthesisError, match=r"components|control"):
        build_network({"backbone": values})


def test_networks_that_take_more_than_latents_are_refused():
    values = model_of("stable_diffusion").network.recipe()
    values["components"]["unet"]["in_channels"] = 9
    with pytest.raises(SynthesisError, match="9 channels where 4"):
        build_network({"backbone": values})


def test_a_controlnet_of_several_modes_is_refused():
    network = fresh("flux").with_control()
    values = network.recipe()
    values["components"]["controlnet"]["num_mode"] = 7
    with pytest.raises(SynthesisError, match="several modes"):
        build_network({"backbone": values})


def request(count=1, steps=3, name="euler", **more):
    return SynthesisRequest(
        labels=labels()[0],
        spacing_mm=(3.0, 3.0),
        condition=CONDITION,
        sampler=SamplerOptions(name=name, steps=steps, **more),
        seed=5,
        count=count,
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", BACKBONES)
def test_every_sampler_draws_with_every_network_and_the_seed_decides(name, sampler):
    model = model_of(name)
    asked = request(name=sampler, steps=SAMPLERS[sampler].steps or 3, count=2)
    first, again = generate(model, asked), generate(model, asked)
    assert first.images.shape == (2, SIDE, SIDE)
    assert np.isfinite(first.images).all()
    assert first.pixel_sha256 == again.pixel_sha256
    assert len(set(first.pixel_sha256)) == 2


@pytest.mark.parametrize("name", BACKBONES)
def test_guidance_is_heard_and_sampling_begins_where_the_network_does(name):
    model = model_of(name)
    plain, strong = generate(model, request()), generate(model, request(guidance=3.0))
    assert plain.pixel_sha256 != strong.pixel_sha256
    times = plain.recipe["sampler"]["times"]
    assert times[0] == model.network.start
    assert times[-1] == 1.0
    assert all(a < b for a, b in itertools.pairwise(times))


@pytest.mark.parametrize("name", LATENT)
def test_a_prompt_is_read_once_whatever_the_number_of_steps(name, monkeypatch):
    network = fresh(name)
    model = tiny_latent_model(name, network)
    read = []
    inner = network.encode_prompts
    monkeypatch.setattr(network, "encode_prompts", lambda prompts: read.extend(prompts) or inner(prompts))
    generate(model, request(count=3, steps=4, guidance=2.0))
    assert sorted(read) == sorted({"", read[0], read[-1]})
    network.load_state_dict(network.state_dict())  # other weights may read it otherwise
    generate(model, request())
    assert len(read) == 3


@pytest.mark.parametrize("name", LATENT)
def test_a_prompt_is_read_the_same_to_the_bit_in_any_company(name):
    network = fresh(name)
    conditions = [replace(CONDITION, severity=one) for one in ("none", "low", "mild", "severe")]
    together = network.condition(labels(4), conditions)
    for i in (2, 0):
        network.load_state_dict(network.state_dict())  # nothing is remembered
        alone = network.condition(labels(), [conditions[i]])
        assert torch.equal(alone.tokens[0], together.tokens[i])
        assert torch.equal(alone.pooled[0], together.pooled[i])


@pytest.mark.parametrize("name", LATENT)
def test_a_prompt_that_was_read_while_drawing_can_be_trained_with(name):
    network = fresh(name)
    with torch.inference_mode():
        network.condition(labels(), [CONDITION])
    told = network.condition(labels(), [CONDITION])
    network.ordinal.requires_grad_(True)
    network(state(network), torch.tensor([0.5]), *told).square().mean().backward()
    assert network.ordinal.leave.weight.grad.abs().max() > 0


@pytest.mark.parametrize("name", LATENT)
def test_half_precision_draws_nearly_the_same(name, tmp_path):
    network = fresh(name)
    save_model(tmp_path, network, tiny_latent_model(name).recipe)
    full, half = load_model(tmp_path), load_model(tmp_path, dtype=torch.bfloat16)
    assert half.network.dtype == torch.bfloat16
    exact, near = (generate(one, request(guidance=2.0)) for one in (full, half))
    error = np.abs(exact.images - near.images).mean() / exact.images.std()
    assert 0 < error < 0.1
    assert near.recipe["numerics"]["dtype"] != exact.recipe["numerics"]["dtype"]


@pytest.mark.parametrize("name", LATENT)
def test_a_long_drawing_shows_a_few_previews(name):
    told = []
    generate(model_of(name), request(steps=12), on_step=told.append)
    shown = [one.step for one in told if one.preview is not None]
    assert len(told) == 12
    assert 1 < len(shown) <= PREVIEWS
    assert shown[-1] == 12


@pytest.mark.parametrize("name", LATENT)
def test_frozen_parts_stay_in_evaluation_mode_while_the_network_trains(name):
    network = fresh(name).train()
    assert network.get_submodule(network.trunk).training
    for part in ("vae", *ENCODERS):
        if part in network.options.components:
            assert not network.get_submodule(part).training


@pytest.mark.parametrize("name", LATENT)
def test_what_does_not_fit_is_said(name):
    network = fresh(name)
    with pytest.raises(SynthesisError, match="multiples"):
        network.state_shape(SIDE + 1, SIDE)
    told = network.condition(labels(), [CONDITION])
    with pytest.raises(ValueError, match="condition"):
        network(state(network), torch.tensor(0.5), *told, torch.tensor(0.1))
    with pytest.raises(ValueError, match="tokenizers"):
        network.use_tokenizers({})
    text = json.loads(next(iter(network.tokenizers.values()))) | {"padding": None}
    with pytest.raises(ValueError, match="one length"):
        network.use_tokenizers(dict.fromkeys(network.tokenizers, json.dumps(text)))
    network._texts = {}
    with pytest.raises(SynthesisError, match="tokenizer"):
        network.condition(labels(), [replace(CONDITION, age=99.0)])


@pytest.mark.parametrize("name", ["stable_diffusion", "sdxl", "pixart"])
def test_a_network_that_was_fine_tuned_to_a_flow_begins_at_pure_noise(name):
    pipe = tiny_pipeline(name)
    noisy, flow = network_of(name, pipe), network_of(name, pipe, prediction="flow")
    assert noisy.start > flow.start == 0.0
    told = flow.condition(labels(), [CONDITION])
    x = state(flow)
    with torch.no_grad():
        v = flow(x, torch.tensor(0.25), *told)
        output = -flow.predict(x, torch.tensor([750.0]), told, told.tokens)
    assert torch.equal(v, output)


def test_the_normalisation_of_a_model_is_that_of_its_recipe():
    model = tiny_latent_model("sd3")
    assert model.normalisation == normalisations(model.recipe)
