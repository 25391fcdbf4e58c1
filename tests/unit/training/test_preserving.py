"""DreamBooth and Custom Diffusion: what is learned anew, and what the network drew itself is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from synthesis.checkpoints import load_model
from synthesis.drift import TrainedDrift
from synthesis.generate import generate
from synthesis.networks import first_state
from tests.unit.synthesis.tiny_backbones import SIDE, tiny_pipeline
from tests.unit.training.tiny_words import NEW, PRIOR, RARE, moved, recipe_of, wish
from training.backbones import starting_backbone
from training.data import PhantomShards, batch_at, conditions_from
from training.export import export
from training.latents import encoder_key
from training.objectives.dreambooth import dreambooth
from training.objectives.flow import flow
from training.recipe import DreamBoothSettings
from training.run_state import RunState
from training.tokens import LEARNED_FILE
from training.train import train


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# DreamBooth.


def test_dreambooth_is_the_flow_of_the_new_and_so_much_of_the_flow_of_the_old(base, data):
    recipe = recipe_of(base, **RARE, objective={"name": "dreambooth", "weight_prior": 0.7, **PRIOR})
    network = starting_backbone(recipe)
    shards = PhantomShards(data, encoder_key(network, recipe.normalisation))
    new, old = (
        batch_at(shards, recipe.normalisation, recipe.mask_dropout, size=2, seed=n, step=0, network=network)
        for n in (1, 2)
    )
    with torch.no_grad():
        generator = torch.Generator().manual_seed(9)
        loss = dreambooth(network, new._replace(prior=old), recipe.objective, generator, RunState())
        generator = torch.Generator().manual_seed(9)
        parts = [flow(network, one, recipe.objective, generator, RunState()) for one in (new, old)]
    assert float(loss) == pytest.approx(float(parts[0]) + 0.7 * float(parts[1]), rel=1e-6)
    assert recipe_of(base, **RARE, objective={"name": "dreambooth"}).objective.weight_prior == 1
    with pytest.raises(ValueError, match="drew itself"):
        dreambooth(network, new, recipe.objective, generator, RunState())


def test_the_networks_own_images_are_drawn_once_and_kept(base, data, tmp_path):
    recipe = recipe_of(base, **RARE, objective={"name": "dreambooth", "loss_on": "native", **PRIOR})
    train(recipe, data, tmp_path / "run", stop_after=1)
    shard = tmp_path / "run" / "prior" / "shard-00000"
    stamps = {file.name: file.stat().st_mtime_ns for file in shard.iterdir()}
    assert {"images.npy", "mean.npy", "std.npy", "diagnoses.json"} <= set(stamps)
    kept = np.load(shard / "mean.npy")
    assert kept.shape[0] == 4
    assert not np.load(shard / "std.npy").any()
    train(recipe, data, tmp_path / "run")
    assert {file.name: file.stat().st_mtime_ns for file in shard.iterdir()} == stamps
    train(recipe, data, tmp_path / "again")
    assert np.array_equal(np.load(tmp_path / "again" / "prior" / "shard-00000" / "mean.npy"), kept)
    # they are the base's own: diffusers' DDIM draws the first two of them from the same noise and words
    model = load_model(base)
    rng = np.random.default_rng((recipe.seed, 0xD4EA))
    shards = PhantomShards(data, encoder_key(model.network, recipe.normalisation))
    chosen = rng.integers(0, len(shards), 4)
    people = conditions_from(shards.take(chosen)[2][:2], shards.diagnoses(chosen)[:2])
    words = [recipe.prompts.without_token().drawn(one, rng) for one in people]
    assert not any("steatosis" in one for one in words)
    noise = torch.randn(
        2, 4, SIDE // 2, SIDE // 2, generator=torch.Generator().manual_seed(int(rng.integers(2**31)))
    )
    pipe = tiny_pipeline("stable_diffusion")
    told = [pipe.encode_prompt(one, "cpu", 1, False)[0] for one in words]
    x, tokens = first_state(model.network, noise), torch.cat(told)
    times = model.times(3, "T2")
    with torch.no_grad():
        for a, b in pairwise(times):
            t = torch.full((2,), a)
            r = (a**2 + (1 - a) ** 2) ** 0.5
            noise_seen = pipe.unet(
                x / r, model.network.schedule.steps_at(t), encoder_hidden_states=tokens
            ).sample
            estimate = (x - (1 - a) * noise_seen) / a
            x = b * estimate + (1 - b) * noise_seen
    torch.testing.assert_close(torch.from_numpy(kept[:2]).float(), x, rtol=5e-3, atol=5e-3)


def test_dreambooth_trains_all_of_the_network_and_draws_by_a_rare_word(base, data, tmp_path):
    recipe = recipe_of(base, **RARE, objective={"name": "dreambooth", **PRIOR}, drift={"delta": 0.1})
    train(recipe, data, tmp_path / "run")
    export(recipe, tmp_path / "run", data, tmp_path / "out")
    made = load_model(tmp_path / "out")
    changed = moved(load_model(base).network.state_dict(), made.network.state_dict())
    assert {name.split(".")[0] for name in changed} <= {"unet", "ordinal"}
    assert sum(name.startswith("unet.") for name in changed) > 50
    assert "A steatosis MRI" in made.network.words([wish().condition])[0]
    assert made.network.drift == TrainedDrift(delta=0.1)
    assert not (tmp_path / "out" / LEARNED_FILE).exists()
    generate(made, wish())


def test_the_network_on_images_keeps_what_it_drew_of_phantoms(small_recipe, phantom_folder, tmp_path):
    """Prior preservation without words: the masks of phantoms, as the network drew them before."""
    train(replace(small_recipe, steps=1), phantom_folder, tmp_path / "run")
    export(replace(small_recipe, steps=1), tmp_path / "run", phantom_folder, tmp_path / "base")
    settings = DreamBoothSettings(**PRIOR, region_weights={})
    recipe = replace(small_recipe, steps=2, init_from=str(tmp_path / "base"), objective=settings)
    train(recipe, phantom_folder, tmp_path / "tuned")
    prior = PhantomShards(tmp_path / "tuned" / "prior")
    assert len(prior) == 4
    images, labels, rows = prior.take(np.arange(4))
    assert images.shape == (4, 64, 64)
    assert len(np.unique(labels)) > 5
    assert [int(row[1]) for row in rows] == [0, 1, 2, 0]
    assert len(json.loads((tmp_path / "tuned" / "log.jsonl").read_text().splitlines()[-1])) > 3


# Custom Diffusion.


@pytest.mark.parametrize(
    ("variant", "layers"),
    [("crossattn_kv", {"to_k", "to_v"}), ("crossattn", {"to_q", "to_k", "to_v", "to_out"})],
)
def test_custom_diffusion_moves_what_the_image_reads_of_words_and_the_word(
    base, data, tmp_path, variant, layers
):
    weight = 0.5 if variant == "crossattn" else 0.0
    objective = {"name": "custom_diffusion", "variant": variant, "weight_prior": weight, **PRIOR}
    recipe = recipe_of(base, **NEW, objective=objective, drift={"delta": [0.1, 0, 0, 0], "scheme": "prior"})
    train(recipe, data, tmp_path / "run")
    assert (tmp_path / "run" / "prior").exists() == (weight > 0)
    export(recipe, tmp_path / "run", data, tmp_path / "out")
    before, after = load_model(base).network.state_dict(), load_model(tmp_path / "out").network.state_dict()
    changed = moved(before, after)
    (row,) = [name for name in changed if name.startswith("text_encoder")]
    assert torch.equal(after[row][:-1], before[row])
    trained = {name for name in changed if name != row}
    expected = {
        name
        for name in before
        if name.startswith("unet.") and ".attn2." in name and name.split(".attn2.")[1].split(".")[0] in layers
    }
    assert trained == expected
    assert generate(load_model(tmp_path / "out"), wish()).images.shape == (1, SIDE, SIDE)
