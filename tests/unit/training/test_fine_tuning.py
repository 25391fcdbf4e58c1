"""Textual Inversion, DreamBooth, Custom Diffusion: what moves, what stays, and what comes of it is used."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import pairwise

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.control.patient_prompts import TEMPLATES
from synthesis.control.prompts import UNSTATED
from synthesis.drift import TrainedDrift
from synthesis.generate import generate
from synthesis.networks import Network, first_state
from synthesis.phantoms import labels as names
from synthesis.request import Condition, SamplerOptions, SynthesisRequest
from synthesis.samplers.ddim import ddim
from tests.unit.synthesis.tiny_backbones import SIDE, tiny_pipeline
from tests.unit.synthesis.tiny_pipelines import STABLE_DIFFUSION
from tests.unit.synthesis.tiny_text import END, LENGTH, START, UNKNOWN
from tests.unit.training.tiny_training import PEOPLE, latent_recipe, people_with_latents, tiny_base
from training import choose_drift
from training.backbones import starting_backbone
from training.choose_drift import estimates
from training.data import Batch, PhantomShards, batch_at, conditions_from
from training.ema import trained_weights
from training.export import export
from training.latents import encoder_key
from training.objectives.dreambooth import dreambooth
from training.objectives.flow import flow
from training.objectives.textual_inversion import textual_inversion
from training.prepare import prepare_set
from training.recipe import DreamBoothSettings, recipe_from
from training.run_state import RunState
from training.sources import UnusableSource, sources_of
from training.tokens import LEARNED_FILE, spoken
from training.train import CHECKPOINT, train

TOKEN = "<liver-1>"
PROMPTS = {"image": "MRI of the abdomen", "style": "diverse", "diagnoses": {"C": "severe liver cirrhosis"}}
NEW = {"prompts": PROMPTS | {"token": TOKEN, "token_from": "liver"}}
RARE = {"prompts": PROMPTS | {"token": "steatosis"}}  # a word that the tiny tokenizer knows
PRIOR = {"prior_images": 4, "prior_steps": 3}
INVERSION = {"name": "textual_inversion", "loss_on": "native"}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_base("stable_diffusion", tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def data(base, tmp_path_factory):
    """The train split as shards with latents."""
    return people_with_latents(recipe_of(base), tmp_path_factory.mktemp("set") / "people")


def recipe_of(base, **more):
    return latent_recipe("stable_diffusion", base, **{"prompts": PROMPTS, "steps": 3} | more)


def wish(**more):
    return SynthesisRequest(
        labels=np.zeros((SIDE, SIDE), np.uint8),
        spacing_mm=(8.0, 8.0),
        condition=Condition(**{"modality": "T2", "age": 63.0, "sex": "F", "diagnosis": "C"} | more),
        sampler=SamplerOptions(name="ddim", steps=3),
        seed=4,
    )


def moved(before, after):
    """The names of the tensors that differ, or that are new."""
    return {key for key, value in after.items() if key not in before or not torch.equal(value, before[key])}


# Data: images without masks, told in words.


def test_a_manifest_without_masks_becomes_shards_with_people(data, base):
    shards = PhantomShards(data, encoder_key(load_model(base).network, recipe_of(base).normalisation))
    assert len(shards) == 4  # the two of the test split are not there
    images, labels, _ = shards.take(np.arange(4))
    assert images.shape == (4, SIDE, SIDE)
    assert set(np.unique(labels)) == {names.BODY}
    assert shards.diagnoses(np.arange(4)) == ["C", "", "C", "C"]
    assert shards.column("age").tolist() == pytest.approx([63, 41.5, float("nan"), 70], nan_ok=True)
    assert shards.column("sex").tolist() == [0, 1, -1, 0]
    # shrunk evenly, the rest filled with the darkest: 24 x 48 becomes 16 x 32 in the middle
    assert (images[:, :8] == images.min((1, 2), keepdims=True)).all()
    assert images[:, 8:24].std() > images[:, :8].std()
    picture = np.asarray(Image.open(data.parent / "pictures" / "0.png"), np.float32)
    top = 1530.0 / np.percentile(picture, 99.5)
    assert images[0, 8:24].mean() == pytest.approx(picture.mean() * top, rel=0.02)


def test_a_diagnosis_that_the_recipe_has_no_words_for_costs_only_its_case(base, data, tmp_path, capsys):
    recipe = recipe_of(base, prompts=PROMPTS | {"diagnoses": {"D": "steatosis"}})
    prepare_set(data.parent / "pictures", recipe, tmp_path, split="train")
    said = capsys.readouterr().out
    assert "1 not: The diagnosis “C” is none of the recipe's: D." in said
    assert len(PhantomShards(tmp_path)) == 1


def test_a_mask_is_asked_for_where_no_prompts_are(data):
    pictures = data.parent / "pictures"
    with pytest.raises(UnusableSource, match="columns image and mask"):
        sources_of(pictures)
    assert len(sources_of(pictures, masks=False)) == 6


def test_a_batch_is_told_in_drawn_words_and_sometimes_nothing(data, base):
    recipe = recipe_of(base, mask_dropout={"prompt": 0.25, "attribute": 0.0})
    network = starting_backbone(recipe)
    shards = PhantomShards(data, encoder_key(network, recipe.normalisation))

    def draw(step, prompts=None):
        return batch_at(
            shards, recipe.normalisation, recipe.mask_dropout,
            size=64, seed=1, step=step, network=network, prompts=prompts,
        )  # fmt: skip

    batch = draw(0)
    assert batch.words == draw(0).words
    dropped = [word == UNSTATED for word in batch.words]
    assert 6 < sum(dropped) < 28
    said = {word for word in batch.words if word}
    wordings = {
        recipe.prompts.prompt(Condition(modality="T2", age=a or None, sex=s or None, diagnosis=d or None), n)
        for a, s, d in PEOPLE[:4]
        for n in range(len(TEMPLATES["diverse"]))
    }
    assert said <= wordings
    assert len(said) > 12
    assert torch.isnan(batch.condition.level).all()
    encoded = network.read(batch.words)
    assert torch.equal(batch.condition.tokens, encoded.tokens)
    other = draw(0, replace(recipe.prompts, style="generic"))
    assert {word for word in other.words if word} == {"An MRI of the abdomen."}
    assert torch.equal(other.images, batch.images)


# Textual Inversion.


@pytest.fixture(scope="module")
def inverted(base, data, tmp_path_factory):
    """A recipe, its run and its export, under a drift."""
    folder = tmp_path_factory.mktemp("inverted")
    recipe = recipe_of(base, **NEW, objective=INVERSION, drift={"delta": 0.1})
    train(recipe, data, folder / "run")
    export(recipe, folder / "run", data, folder / "out")
    return recipe, folder


def test_nothing_trains_but_the_new_words_embedding(base, inverted):
    recipe, folder = inverted
    network = starting_backbone(recipe)
    (name,) = trained_weights(network)
    assert name.endswith("token_embedding.rows")
    state = torch.load(folder / "run" / CHECKPOINT, weights_only=True)
    assert list(state["network"]) == [name]
    before, after = load_model(base), load_model(folder / "out")
    old, new = before.network.state_dict(), after.network.state_dict()
    (changed,) = moved(old, new)
    assert changed.endswith("token_embedding.weight")
    assert torch.equal(new[changed][:-1], old[changed])
    began = tuple(network.state_dict()[name][0])
    assert not torch.equal(new[changed][-1], torch.stack(began))
    assert torch.equal(new[changed][-1], state["ema"][name][0])
    knew = Tokenizer.from_str(before.network.tokenizers["tokenizer"])
    assert torch.equal(torch.stack(began), old[changed][knew.token_to_id("liver")])
    assert knew.token_to_id(TOKEN) is None
    knows = Tokenizer.from_str(after.network.tokenizers["tokenizer"])
    assert knows.token_to_id(TOKEN) == len(old[changed])
    assert TOKEN in knows.encode(f"An {TOKEN} MRI.").tokens
    assert after.recipe["prompts"] == recipe.prompts.to_json()
    assert after.recipe["drift"] == {"delta": 0.1, "scheme": "noise"}
    assert after.recipe["training"]["trained"] == "tokens"


def test_the_word_works_after_loading_and_gives_the_same_pixels_again(base, inverted):
    _, folder = inverted
    made = [generate(load_model(folder / "out"), wish()) for _ in range(2)]
    assert made[0].pixel_sha256 == made[1].pixel_sha256
    model = load_model(folder / "out")
    assert model.network.words([wish().condition]) == [
        f"A {TOKEN} MRI of the abdomen of a 63-year-old woman with severe liver cirrhosis."
    ]
    model.network.use_prompts(model.network.prompts.without_token())
    assert generate(model, wish()).pixel_sha256 != made[0].pixel_sha256
    older = generate(load_model(folder / "out"), wish(age=20.0))
    assert older.pixel_sha256 != made[0].pixel_sha256


def test_diffusers_reads_the_exported_parts_and_the_word_alone(base, inverted):
    _, folder = inverted
    model = load_model(folder / "out")
    network = model.network
    network.use_drift(None)  # its pipeline would be given shifted latents
    prompt = network.words([wish().condition])[0]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(network.tokenizers["tokenizer"]),
        bos_token=START, eos_token=END, pad_token=END, unk_token=UNKNOWN, model_max_length=LENGTH,
    )  # fmt: skip
    parts = {"unet": network.unet, "vae": network.vae, "text_encoder": network.text_encoder}
    pipe = tiny_pipeline("stable_diffusion", **parts, tokenizer=tokenizer)
    pipe.scheduler = diffusers.DDIMScheduler(
        **STABLE_DIFFUSION, clip_sample=False, timestep_spacing="trailing", set_alpha_to_one=True
    )
    asked = {
        "prompt": prompt, "height": SIDE, "width": SIDE, "num_inference_steps": 4, "guidance_scale": 1.0,
        "output_type": "latent",
    }  # fmt: skip
    theirs = pipe(**asked, generator=torch.Generator().manual_seed(5)).images
    told = network.condition(np.zeros((1, SIDE, SIDE), np.uint8), [wish().condition])
    noise = torch.randn((1, *network.state_shape(SIDE, SIDE)), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        ours = ddim(
            lambda x, t: network(x, t, *told),
            first_state(network, noise),
            network.schedule.grid(4, "trailing"),
        )
    torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=2e-4)

    # The small file beside it teaches an untouched pipeline the same word.
    other = tiny_pipeline("stable_diffusion")
    other.scheduler = pipe.scheduler
    other.load_textual_inversion(str(folder / "out"), weight_name=LEARNED_FILE)
    found = other(**asked, generator=torch.Generator().manual_seed(5)).images
    torch.testing.assert_close(found, theirs, rtol=2e-4, atol=2e-4)
    assert list(load_file(folder / "out" / LEARNED_FILE)) == [TOKEN]


def test_a_gradient_reaches_the_new_row_through_the_frozen_text_encoder(base, data):
    recipe = recipe_of(base, **NEW, objective=INVERSION)
    network = starting_backbone(recipe)
    shards = PhantomShards(data, encoder_key(network, recipe.normalisation))
    batch = batch_at(
        shards, recipe.normalisation, recipe.mask_dropout, size=4, seed=2, step=0, network=network
    )
    (row,) = trained_weights(network).values()
    textual_inversion(network, batch, recipe.objective, torch.Generator().manual_seed(1)).backward()
    assert row.grad.abs().max() > 0
    assert all(weight.grad is None for weight in network.parameters() if weight is not row)

    # the slope is that of the loss: a small step along it changes the loss by its square
    def loss(push):
        with torch.no_grad():
            row.add_(push * row.grad)
            found = float(
                textual_inversion(network, batch, recipe.objective, torch.Generator().manual_seed(1))
            )
            row.sub_(push * row.grad)
        return found

    push = 1e-2 / float(row.grad.norm())
    slope = (loss(push) - loss(-push)) / (2 * push)
    assert slope == pytest.approx(float((row.grad**2).sum()), rel=0.05)
    with pytest.raises(ValueError, match="one prompt per image"):
        textual_inversion(network, batch._replace(words=()), recipe.objective, torch.Generator())


def test_where_no_word_is_learned_the_batch_stays_as_it_is(base, data):
    recipe = recipe_of(base)
    network = starting_backbone(recipe)
    shards = PhantomShards(data, encoder_key(network, recipe.normalisation))
    batch = batch_at(
        shards, recipe.normalisation, recipe.mask_dropout, size=2, seed=2, step=0, network=network
    )
    assert spoken(network, batch) is batch


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


# What does not go together.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": INVERSION}, "learns a new word"),
        ({"objective": INVERSION, **RARE}, "learns a new word"),
        ({"objective": INVERSION, **NEW, "train": "all"}, "learns a new word"),
        ({"objective": INVERSION, **NEW, "adapter": {"rank": 2}}, "learns a new word"),
        ({**NEW}, "learns no new word"),
        ({"objective": {"name": "dreambooth"}}, "expects a token"),
        ({"objective": {"name": "dreambooth", "weight_prior": 0}, **RARE}, "weight_prior"),
        ({"objective": {"name": "custom_diffusion", "variant": "all"}, **NEW}, "variant"),
        ({"prompts": {"style": "rhymed"}}, "style"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        recipe_of("somewhere", **changes)


def test_the_network_on_images_reads_no_words():
    values = {"name": "a", "title": "a", "version": "1", "seed": 0, "steps": 1, "batch": 1, "phantoms": 1}
    values |= {"image": {}, "modalities": ["CT"]}
    with pytest.raises(ValueError, match="reads no words"):
        recipe_from(values | {"prompts": PROMPTS})
    with pytest.raises(ValueError, match="learns a new word"):
        recipe_from(values | {"objective": INVERSION})
    with pytest.raises(ValueError, match="own images dreambooth preserves"):
        recipe_from(values | {"objective": {"name": "dreambooth"}})


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ({"token": "liver", "token_from": "abdomen"}, "knows liver already"),
        ({"token": "<x>", "token_from": "zebra"}, "one token"),
    ],
)
def test_a_word_that_cannot_be_learned_is_named(base, prompts, words):
    with pytest.raises(ValueError, match=words):
        starting_backbone(recipe_of(base, prompts=PROMPTS | prompts, objective=INVERSION))
