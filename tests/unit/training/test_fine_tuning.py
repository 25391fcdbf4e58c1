"""Fine-tuning in words and Textual Inversion: what moves, what stays, and what comes of it is used."""

from __future__ import annotations

from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from synthesis.checkpoints import load_model
from synthesis.control.patient_prompts import TEMPLATES
from synthesis.control.prompts import UNSTATED
from synthesis.generate import generate
from synthesis.imaging.fitting import fit
from synthesis.imaging.labelmaps import label_map
from synthesis.imaging.preflight import preflight_mask, preflight_settings
from synthesis.networks import first_state
from synthesis.phantoms import abdomen
from synthesis.phantoms import labels as names
from synthesis.request import Condition
from synthesis.samplers.ddim import ddim
from tests.unit.synthesis.tiny_backbones import SIDE, tiny_pipeline
from tests.unit.synthesis.tiny_pipelines import STABLE_DIFFUSION
from tests.unit.synthesis.tiny_text import END, LENGTH, START, UNKNOWN
from tests.unit.training.tiny_training import PEOPLE
from tests.unit.training.tiny_words import INVERSION, NEW, PROMPTS, RARE, TOKEN, moved, recipe_of, wish
from training.backbones import starting_backbone
from training.data import PhantomShards, batch_at
from training.ema import trained_weights
from training.export import card_of, export
from training.latents import encoder_key
from training.objectives.textual_inversion import textual_inversion
from training.prepare import prepare_set
from training.recipe import recipe_from
from training.sources import UnusableSource, sources_of
from training.tokens import LEARNED_FILE, spoken
from training.train import CHECKPOINT, train


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


def test_what_is_not_said_of_the_data_is_not_made_up(base, data, tmp_path):
    """The pictures do not say how large their pixels are, and the recipe leaves the diagnoses to the data."""
    recipe = recipe_of(base, prompts=PROMPTS | {"diagnoses": {}}, steps=1)
    train(recipe, data, tmp_path / "run")
    export(recipe, tmp_path / "run", data, tmp_path / "out")
    model = load_model(tmp_path / "out")
    assert model.recipe["prompts"]["diagnoses"] == {"C": "C"}
    assert model.recipe["field"] == {}
    assert preflight_settings(wish().condition, wish().sampler, model.recipe) == []
    (refused,) = preflight_settings(wish(diagnosis="D").condition, wish().sampler, model.recipe)
    assert refused.message == "This model is told a diagnosis as C."
    assert model.network.words([wish().condition]) == ["An MRI of the abdomen of a 63-year-old woman with C."]
    generate(model, wish())
    # a mask is brought onto its grid by the body alone, whatever the pixels' size
    labels = abdomen(4, shape=(64, 64)).labels
    own = label_map([{"value": one.value, "name": one.name} for one in names.LABEL_SET])
    for spacing in (0.1, 6.0):
        fitted = fit(mask=labels, names=own, recipe=model.recipe, spacing_mm=(spacing, spacing))
        assert fitted.labels.shape == (SIDE, SIDE)
        assert preflight_mask(fitted.labels, fitted.spacing_mm, model.recipe) == []
    silent = recipe_of(base, prompts={"style": "generic"})
    assert card_of(silent, PhantomShards(data), 1)["prompts"]["diagnoses"] == {}


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
