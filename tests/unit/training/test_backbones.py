"""The five backbones in training: what moves, what stays, and what other programs make of the result."""

from __future__ import annotations

import copy
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import PeftModel

from synthesis.adapters import chosen, load_adapter, save_adapter
from synthesis.checkpoints import load_model, save_model
from tests.unit.synthesis.tiny_backbones import FAMILIES, tiny_pipeline
from tests.unit.synthesis.tiny_pipelines import FLOWS, draw
from tests.unit.training.tiny_training import BACKBONES, latent_recipe, phantoms_with_latents, tiny_base
from training.backbones import starting_backbone, trained_parts
from training.data import PhantomShards, batch_at
from training.ema import trained_weights
from training.export import export
from training.flow_path import plain
from training.latents import KEY_FILE, encoder_key, key_of
from training.prepare import prepare_latents
from training.train import CHECKPOINT, train

ADAPTER = {"rank": 4, "alpha": 8.0}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=BACKBONES)
def setting(request, tmp_path_factory):
    """Family, folder of its tiny model, folder of phantoms with its latents."""
    folder = tmp_path_factory.mktemp(request.param)
    base = tiny_base(request.param, folder / "base")
    return request.param, base, phantoms_with_latents(latent_recipe(request.param, base), folder / "data")


def question(network, recipe, data):
    """One batch as that network is told it."""
    shards = PhantomShards(data, encoder_key(network, recipe.normalisation))
    return batch_at(
        shards, recipe.normalisation, recipe.mask_dropout, size=2, seed=3, step=0, network=network
    )


def answer(network, batch):
    with torch.no_grad():
        return network(batch.images, torch.tensor([0.3, 0.7]), *batch.condition)


def test_a_fresh_adapter_leaves_every_answer_and_trains_with_the_level_alone(setting):
    name, base, data = setting
    recipe = latent_recipe(name, base, adapter=ADAPTER)
    network, untouched = starting_backbone(recipe), load_model(base).network
    batch = question(untouched, recipe, data)
    torch.testing.assert_close(answer(network, batch), answer(untouched, batch), rtol=0, atol=1e-6)
    trained = trained_weights(network)
    assert all("lora_" in key or "ordinal" in key for key in trained)
    assert any("lora_" in key for key in trained)
    assert any("ordinal" in key for key in trained)
    if name in FLOWS:
        for layer in ("add_q_proj", "add_k_proj", "add_v_proj", "to_q", "to_k", "to_v", "to_out.0"):
            assert any(f".{layer}.lora_" in key for key in trained), layer
    assert not any(".vae." in key or ".text_encoder" in key for key in trained)


def test_an_adapter_is_trained_exported_put_on_and_taken_off(setting, tmp_path):
    name, base, data = setting
    recipe = latent_recipe(name, base, adapter=ADAPTER)
    train(recipe, data, tmp_path / "run")
    export(recipe, tmp_path / "run", data, tmp_path / "out")
    average = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["ema"]
    trained = starting_backbone(recipe).eval()
    trained.load_state_dict(average, strict=False)
    model = load_model(base)
    batch = question(model.network, recipe, data)
    before = answer(model.network, batch)
    wanted = answer(trained, batch)
    assert not torch.allclose(wanted, before, atol=1e-3)
    load_adapter(model, tmp_path / "out", "one")
    assert torch.equal(answer(model.network, batch), before)
    with chosen(model, "one"):
        torch.testing.assert_close(answer(model.network, batch), wanted, rtol=0, atol=1e-5)
    assert torch.equal(answer(model.network, batch), before)
    about = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert about["component"] == model.network.trunk
    assert about["training"]["trained"] == "adapter"
    assert (tmp_path / "out" / "conditioning.safetensors").is_file()

    # peft itself reads the same folder, onto the denoiser alone.
    alone = load_model(base).network
    read = PeftModel.from_pretrained(getattr(alone, alone.trunk), str(tmp_path / "out"))
    told = batch._replace(condition=batch.condition._replace(level=torch.full((2,), float("nan"))))
    setattr(alone, alone.trunk, read.get_base_model())
    with chosen(model, "one"):
        torch.testing.assert_close(answer(alone, told), answer(model.network, told), rtol=0, atol=1e-5)


def test_diffusers_pipelines_draw_with_our_adapter(setting, tmp_path):
    """load_lora_weights of an unmodified pipeline: its pixels change, by as much as through peft."""
    name, base, _ = setting
    if name == "pixart":
        pytest.skip("diffusers has no LoRA loader for PixArt")
    recipe = latent_recipe(name, base, adapter=ADAPTER)
    network = starting_backbone(recipe)
    with torch.no_grad():
        for key, weight in network.named_parameters():
            if "lora_B" in key:
                weight.normal_(0, 0.2, generator=torch.Generator().manual_seed(len(key)))
    save_adapter(tmp_path / "out", network, {"name": "a"}, load_model(base))
    pipe, short = tiny_pipeline(name), FAMILIES[name]
    trunk = load_model(base).network.trunk
    setattr(pipe, trunk, copy.deepcopy(getattr(pipe, trunk)))  # the tests share it
    plain_picture = draw(pipe, short)
    pipe.load_lora_weights(str(tmp_path / "out"), weight_name="pytorch_lora_weights.safetensors")
    theirs = draw(pipe, short)
    assert not torch.allclose(theirs, plain_picture, atol=1e-3)
    pipe.unload_lora_weights()
    read = PeftModel.from_pretrained(getattr(pipe, trunk), str(tmp_path / "out"))
    setattr(pipe, trunk, read.get_base_model())
    torch.testing.assert_close(draw(pipe, short), theirs, rtol=0, atol=1e-5)


# Latents.


def test_cached_latents_are_what_the_encoder_makes_of_the_images(setting):
    name, base, data = setting
    recipe, network = latent_recipe(name, base), load_model(base).network
    shards = PhantomShards(data, encoder_key(network, recipe.normalisation))
    assert len(shards) == 8
    images, _, rows = shards.take(np.arange(8))
    modalities = [recipe.modalities[int(row[1])] for row in rows]
    scaled = [recipe.normalisation[m].forward(one) for m, one in zip(modalities, images, strict=True)]
    mean, std = network.encode(torch.from_numpy(np.stack(scaled))[:, None])
    kept_mean, kept_std = shards.take_latents(np.arange(8))
    torch.testing.assert_close(kept_mean, mean, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(kept_std, std, rtol=2e-3, atol=2e-3)
    assert kept_mean.shape[1:] == network.state_shape(*recipe.shape)


def test_a_batch_has_the_means_or_draws_around_them(setting):
    name, base, data = setting
    recipe, network = latent_recipe(name, base), load_model(base).network
    shards = PhantomShards(data, encoder_key(network, recipe.normalisation))

    def states(latents, step):
        return batch_at(
            shards, recipe.normalisation, recipe.mask_dropout,
            size=64, seed=0, step=step, network=network, latents=latents,
        )  # fmt: skip

    mean, drawn = states("mean", 1), states("sample", 1)
    assert torch.equal(mean.labels, drawn.labels)
    for one, other in zip(mean.condition, drawn.condition, strict=True):
        assert torch.equal(one.nan_to_num(-1), other.nan_to_num(-1))
    indices = np.random.default_rng((0, 1, 0)).integers(0, 8, 64)
    away = (drawn.images - mean.images) / shards.take_latents(indices)[1]
    assert away.mean().abs() < 0.05
    assert away.std() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(states("sample", 1).images, drawn.images)


def test_latents_of_another_encoder_are_not_taken_and_then_replaced(setting, tmp_path, capsys):
    name, base, data = setting
    recipe = latent_recipe(name, base)
    shard = tmp_path / "shard-00000"
    shutil.copytree(data / "shard-00000", shard)
    model = load_model(base)
    with torch.no_grad():
        next(model.network.get_submodule("vae").parameters()).mul_(1.5)
    key = encoder_key(model.network, recipe.normalisation)
    assert key_of(shard) != key
    with pytest.raises(ValueError, match=r"latents .* --latents MODEL"):
        question(model.network, recipe, tmp_path)
    prepare_latents(tmp_path, model, recipe)
    assert key_of(shard) == key
    share = float(re.search(r"([\d.]+) % of the variance", capsys.readouterr().out)[1]) / 100
    mean, std = (np.load(shard / f"{part}.npy").astype(np.float64) for part in ("mean", "std"))
    assert share == pytest.approx((std**2).mean() / ((std**2).mean() + mean.var()), abs=1e-3)
    stamp = (shard / KEY_FILE).stat().st_mtime_ns
    prepare_latents(tmp_path, model, recipe)
    assert (shard / KEY_FILE).stat().st_mtime_ns == stamp


# The mask, and everything.


def test_a_fresh_control_changes_nothing_and_once_trained_the_mask_matters(setting, tmp_path):
    name, base, data = setting
    recipe = latent_recipe(name, base, train="controlnet")
    network, untouched = starting_backbone(recipe).eval(), load_model(base).network
    batch = question(untouched, recipe, data)
    assert torch.equal(answer(network, batch), answer(untouched, batch))
    trained = trained_weights(network)
    assert {key.split(".")[0] for key in trained} == set(trained_parts(plain(network), "controlnet"))
    assert {"unet", "transformer", "vae"}.isdisjoint(key.split(".")[0] for key in trained)

    train(recipe, data, tmp_path / "run")
    export(recipe, tmp_path / "run", data, tmp_path / "out")
    made = load_model(tmp_path / "out")
    assert made.recipe["mask_trained"] is True
    assert made.recipe["base"]["weights_sha256"] == load_model(base).weights_sha256
    other = batch._replace(condition=batch.condition._replace(planes=batch.condition.planes.flip(-1)))
    assert not torch.allclose(answer(made.network, batch), answer(made.network, other), atol=1e-5)
    for key, weight in untouched.state_dict().items():
        if not key.startswith("ordinal."):
            assert torch.equal(made.network.state_dict()[key], weight), key
    again = latent_recipe(name, tmp_path / "out", train="controlnet")
    assert torch.equal(answer(starting_backbone(again).eval(), batch), answer(made.network, batch))


@pytest.mark.parametrize("name", ["stable_diffusion", "sd3"])
def test_a_controlnet_begins_with_the_weights_of_its_network(name, tmp_path):
    network = starting_backbone(latent_recipe(name, tiny_base(name, tmp_path), train="controlnet"))
    control, trunk = network.controlnet.state_dict(), network.get_submodule(network.trunk).state_dict()
    shared = [key for key in control if key in trunk and control[key].shape == trunk[key].shape]
    assert len(shared) > len(control) / 2
    assert all(torch.equal(control[key], trunk[key]) for key in shared)


def test_the_whole_network_trains_but_for_its_encoders(setting, tmp_path):
    name, base, data = setting
    recipe = latent_recipe(name, base, steps=2, gradient_checkpointing=True, latents="sample")
    train(recipe, data, tmp_path / "run")
    export(recipe, tmp_path / "run", data, tmp_path / "out")
    before, after = load_model(base).network.state_dict(), load_model(tmp_path / "out").network.state_dict()
    moved = {key.split(".")[0] for key in after if not torch.equal(after[key], before[key])}
    assert moved == {load_model(base).network.trunk, "ordinal"}


# How it is computed.


def test_a_stopped_run_ends_as_one_that_was_not(tmp_path):
    base = tiny_base("sd3", tmp_path / "base")
    recipe = latent_recipe("sd3", base, adapter=ADAPTER)
    data = phantoms_with_latents(recipe, tmp_path / "data")
    train(recipe, data, tmp_path / "whole")
    train(recipe, data, tmp_path / "parts", stop_after=1)
    train(recipe, data, tmp_path / "parts")
    whole, parts = (torch.load(tmp_path / run / CHECKPOINT, weights_only=True) for run in ("whole", "parts"))
    for part in ("network", "ema"):
        assert set(whole[part]) == set(parts[part])
        apart = {k: (w - parts[part][k]).abs().max().item() for k, w in whole[part].items()}
        assert {key: far for key, far in apart.items() if far} == {}, part
    assert not any(".vae." in key for key in whole["network"])  # nothing that does not train is kept
    with pytest.raises(ValueError, match="another recipe"):
        train(replace(recipe, adapter=None, train="controlnet"), data, tmp_path / "parts")


@pytest.mark.parametrize("name", ["stable_diffusion", "flux"])
def test_gradient_checkpointing_changes_no_gradient(name, tmp_path):
    base = tiny_base(name, tmp_path / "base")
    recipe = latent_recipe(name, base)
    data = phantoms_with_latents(recipe, tmp_path / "data")
    found = []
    for checkpointing in (False, True):
        network = starting_backbone(replace(recipe, gradient_checkpointing=checkpointing))
        batch = question(network, recipe, data)
        network(batch.images, torch.tensor([0.3, 0.7]), *batch.condition).square().mean().backward()
        found.append({key: w.grad for key, w in network.named_parameters() if w.grad is not None})
    assert set(found[0]) == set(found[1])
    for key in found[0]:
        torch.testing.assert_close(found[0][key], found[1][key], rtol=1e-4, atol=1e-6)


def test_frozen_weights_may_be_held_in_less_and_training_ones_are_not(setting, tmp_path, other_precision):
    name, base, data = setting
    recipe = latent_recipe(name, base, adapter=ADAPTER, frozen="bfloat16", precision="bf16", steps=2)
    network = starting_backbone(recipe)
    kept = {"vae": torch.float32, plain(network).trunk: torch.bfloat16}
    for key, weight in network.named_parameters():
        part = next((one for one in kept if f".{one}." in f".{key}"), "")
        wanted = torch.float32 if weight.requires_grad else kept.get(part, torch.bfloat16)
        assert weight.dtype == wanted, key
    train(recipe, data, tmp_path / "run")
    export(recipe, tmp_path / "run", data, tmp_path / "out")
    load_adapter(load_model(base), tmp_path / "out", "one")
    masked = replace(recipe, adapter=None, train="controlnet")
    train(masked, data, tmp_path / "masked")
    assert torch.isfinite(torch.tensor(json.loads((tmp_path / "masked" / "log.jsonl").read_text())["loss"]))


def test_what_is_exported_has_the_type_of_the_file_that_it_began_from(tmp_path):
    """A network in half precision stays one; the average that was trained is not cut before that."""
    base = tiny_base("stable_diffusion", tmp_path / "base")
    halved = load_model(base)
    halved.network.half()
    save_model(tmp_path / "half", halved.network, halved.recipe)
    recipe = latent_recipe("stable_diffusion", tmp_path / "half", train="controlnet", steps=2)
    data = phantoms_with_latents(recipe, tmp_path / "data")
    train(recipe, data, tmp_path / "run")
    export(recipe, tmp_path / "run", data, tmp_path / "out")
    made = load_model(tmp_path / "out", dtype=None).network
    types = {key.split(".")[0]: weight.dtype for key, weight in made.named_parameters()}
    assert types == {
        "unet": torch.float16, "vae": torch.float16, "text_encoder": torch.float16,
        "controlnet": torch.float16, "ordinal": torch.float32,
    }  # fmt: skip
    average = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["ema"]
    assert {weight.dtype for weight in average.values()} == {torch.float32}
    for key, weight in average.items():
        assert torch.equal(made.state_dict()[key].float(), weight.to(made.state_dict()[key].dtype).float())


def test_the_losses_of_stage_two_work_on_every_backbone(setting, tmp_path):
    name, base, data = setting
    layer = "unet.mid_block" if name in ("stable_diffusion", "sdxl") else "transformer.transformer_blocks.0"
    objective = {"name": "consistency", "layers": [layer], "weight_spatial": 0.5}
    recipe = latent_recipe(name, base, adapter=ADAPTER, objective=objective, steps=2)
    train(recipe, data, tmp_path / "run")
    (line,) = [json.loads(one) for one in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert np.isfinite(line["loss"])


def test_what_does_not_go_together_is_refused():
    base = {"init_from": "weights/x"}
    for changes, words in (
        ({"backbone": {"name": "gan"}}, "family"),
        ({"backbone": {"name": "sd3", "layers": 3}, **base}, "only the name"),
        ({"backbone": {"name": "sd3"}, "init_from": ""}, "expected the installed sd3"),
        ({"backbone": {"name": "sd3"}, "train": "adapter", **base}, "do not go together"),
        ({"backbone": {"name": "unet"}, "train": "controlnet", **base}, "networks in latents"),
        ({"backbone": {"name": "sd3"}, "latents": "mode", **base}, "latents"),
        ({"backbone": {"name": "sd3"}, "frozen": "float16", **base}, "expected a precision"),
        (
            {"backbone": {"name": "sd3"}, "objective": {"name": "shortcut"}, **base},
            "for the network on images",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            latent_recipe("sd3", "", **changes)


def test_a_base_of_another_family_is_named(tmp_path):
    base = tiny_base("sd3", tmp_path)
    with pytest.raises(ValueError, match=r"expected a flux, .* holds a sd3"):
        starting_backbone(latent_recipe("flux", base))
