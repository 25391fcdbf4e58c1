"""Learning from pairs: what is drawn, what is left out, and what comes of it on both kinds of networks."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from synthesis.backbones.unet import UNet
from synthesis.catalog import COUNTERFACTUALS
from synthesis.checkpoints import load_model
from synthesis.drift import TrainedDrift
from synthesis.edit import edit
from synthesis.edit_request import CounterfactualRequest, EditOptions, takes_image
from synthesis.paths import interpolate
from synthesis.phantoms import phantom_seed
from synthesis.request import Condition
from tests.factories_models import TINY
from tests.unit.training.tiny_training import latent_recipe, tiny_base
from training.data import COLUMNS
from training.export import export
from training.flow_path import draw_times
from training.latents import cache_latents, encoder_key
from training.objectives.instruct_pix2pix import instruct_pix2pix
from training.pairs import KINDS, STATED, PairShards, pair_batch_at, pair_of
from training.prepare import write_pair_shard
from training.recipe import InstructPix2PixSettings, recipe_from
from training.run_state import RunState
from training.train import CHECKPOINT, begin_from, starting_network, train

SETTINGS = InstructPix2PixSettings(region_weights={})


@pytest.fixture(scope="module")
def recipe(small_recipe):
    return replace(
        small_recipe,
        name="tiny-edit",
        steps=6,
        backbone=replace(TINY, takes_image=True),
        objective=InstructPix2PixSettings(),
    )


@pytest.fixture(scope="module")
def pairs(recipe, tmp_path_factory):
    """Two shards of four pairs."""
    folder = tmp_path_factory.mktemp("pairs")
    for number in range(2):
        write_pair_shard(folder, number, "training", recipe, count=4)
    return folder


def batch(recipe, pairs, step=0, size=64, **dropout):
    quiet = replace(recipe.mask_dropout, **{"attribute": 0.0} | dropout)
    return pair_batch_at(PairShards(pairs), recipe.normalisation, quiet, size=size, seed=3, step=step)


def test_a_pair_is_one_person_with_one_thing_changed():
    for index in range(6):
        before, after = pair_of("training", index, (64, 64), "CT")
        assert before.seed == after.seed == phantom_seed("training", 0) + before.seed % 10_000_000
        assert before.seed < 10_000_000  # never of the validation or test split
        changed = {
            name
            for name in vars(before.attributes)
            if getattr(before.attributes, name) != getattr(after.attributes, name)
        }
        assert any(changed <= set(names) for names, _ in KINDS.values())
        assert changed
        same = before.clean == after.clean
        assert np.array_equal(before.image[same], after.image[same])
    assert sum(share for _, share in KINDS.values()) == pytest.approx(1)


def test_the_two_folders_stay_in_step_while_they_grow(recipe, tmp_path):
    write_pair_shard(tmp_path, 1, "training", recipe, count=2)
    shards = PairShards(tmp_path)
    assert len(shards) == 2
    write_pair_shard(tmp_path, 0, "training", recipe, count=2)
    (tmp_path / "before" / "shard-00000").rename(tmp_path / "away")
    shards.refresh()
    assert len(shards) == 2
    (tmp_path / "away").rename(tmp_path / "before" / "shard-00000")
    shards.refresh()
    assert len(shards) == 4
    seeds = [part.column("seed") for part in (shards.before, shards.after)]
    assert np.array_equal(*seeds)
    assert len(set(seeds[0])) == 4


def test_pairs_are_learned_both_ways_and_sometimes_as_they_are(recipe, pairs):
    shards = PairShards(pairs)
    ends = [part.take(np.arange(8))[0] for part in (shards.before, shards.after)]
    drawn = batch(recipe, pairs, size=256)
    modality = shards.column("modality")

    def places(states):
        """Which of the 16 images each state is: 0..7 before, 8..15 after."""
        known = np.concatenate(ends)
        scaled = np.stack(
            [
                recipe.normalisation[("CT", "T1", "T2")[int(modality[i % 8])]].forward(image)
                for i, image in enumerate(known)
            ]
        )
        away = np.abs(states.numpy()[:, None, 0] - scaled[None]).max((2, 3))
        assert away.min(1).max() == 0
        return away.argmin(1)

    target, source = places(drawn.images), places(drawn.source)
    assert np.array_equal(target % 8, source % 8)
    forth, back = (target >= 8) & (source < 8), (target < 8) & (source >= 8)
    assert abs(forth.mean() - 0.45) < 0.08
    assert abs(back.mean() - 0.45) < 0.08
    assert 0.03 < (target == source).mean() < 0.2


def test_what_a_pair_changes_is_always_stated(recipe, pairs):
    shards = PairShards(pairs)
    ends = [part.take(np.arange(8))[2][:, STATED] for part in (shards.before, shards.after)]
    changed = (ends[0] != ends[1]).any(0)
    assert changed.any()
    drawn = batch(
        recipe, pairs, size=64, attribute=1.0, whole=1.0, random_labels=0, seldom_labelled=0, liver_alone=0
    )
    stated = drawn.condition.planes[:, 20:24].amax((1, 2, 3)) > 0
    differs = (drawn.images != drawn.source).flatten(1).any(1)
    assert not stated[~differs].any()
    if changed[0]:
        assert stated.any()
    assert COLUMNS.index("severity_texture") == STATED[0]


class Spy(nn.Module):
    """Answers zero and keeps what it was asked."""

    takes_image = True

    def __init__(self):
        super().__init__()
        self.asked = []

    def shown(self, x_1):
        return x_1

    def unconditional(self, condition):
        return type(condition)(*(torch.zeros_like(part) for part in condition))

    def forward(self, x_t, t, *condition, source=None):
        self.asked.append((x_t, t, condition, source))
        return torch.zeros_like(x_t)


def items(count, delta=None):
    generator = torch.Generator().manual_seed(1)
    images, source = (1 + torch.rand(count, 1, 4, 4, generator=generator) for _ in range(2))
    told = _Told(torch.ones(count, 3, 4, 4), torch.ones(count, 2))
    labels = torch.zeros(count, 4, 4, dtype=torch.long)
    return SimpleNamespace(images=images, source=source, condition=told, labels=labels)


class _Told(tuple):
    def __new__(cls, *parts):
        return super().__new__(cls, parts)


def test_condition_and_image_are_left_out_as_often_as_published():
    """Text for 2 p, image for 2 p, both for p: diffusers, examples/instruct_pix2pix."""
    spy, count, p = Spy(), 20_000, 0.05
    given = items(count)
    instruct_pix2pix(spy, given, SETTINGS, torch.Generator().manual_seed(5))
    _, _, condition, source = spy.asked[0]
    untold = ~condition[1].bool().any(1)
    unseen = ~source.flatten(1).bool().any(1)
    assert torch.equal(untold, ~condition[0].flatten(1).bool().any(1))
    assert torch.equal(source[~unseen], given.source[~unseen])
    for share, expected in (
        (untold & ~unseen, p),
        (untold & unseen, p),
        (~untold & unseen, p),
        (~untold & ~unseen, 1 - 3 * p),
    ):
        assert float(share.float().mean()) == pytest.approx(expected, abs=0.006)


def test_the_loss_is_the_velocitys_error_to_the_image_after_under_the_runs_drift():
    spy, given = Spy(), items(6)
    generator = torch.Generator().manual_seed(5)
    state = RunState(drift=TrainedDrift(delta=0.4))
    loss = instruct_pix2pix(spy, given, SETTINGS, generator, state)
    again = torch.Generator().manual_seed(5)
    n = torch.randn(given.images.shape, generator=again) + 0.4
    t = draw_times(6, SETTINGS, again)
    torch.testing.assert_close(spy.asked[0][0], interpolate(n, given.images, t))
    torch.testing.assert_close(loss, ((given.images - n) ** 2).mean())


def test_single_images_are_refused():
    given = items(2)
    given.source = None
    with pytest.raises(ValueError, match="expected pairs"):
        instruct_pix2pix(Spy(), given, SETTINGS, torch.Generator())


def asked(side, **options):
    rng = np.random.default_rng(3)
    labels = np.full((side, side), 1, np.uint8)
    labels[side // 4 : side // 2, side // 4 : side // 2] = 6
    return CounterfactualRequest(
        image=np.rint(rng.normal(60, 40, (side, side))).astype(np.float32),
        labels=labels,
        spacing_mm=(3.0, 3.0),
        before=Condition(modality="CT", severity="severe"),
        after=Condition(modality="CT", severity="none"),
        options=EditOptions(method="instruct_pix2pix", steps=2, **options),
    )


def test_a_network_on_images_begins_as_its_origin_learns_to_see_and_edits(recipe, pairs, tmp_path):
    from tests.factories_models import tiny_model

    base = tiny_model(tmp_path / "base")
    ready = replace(recipe, init_from=str(base))
    fresh = starting_network(ready)
    asked_of = batch(recipe, pairs, size=2)
    t = torch.tensor([0.2, 0.8])
    origin = load_model(base).network.to(memory_format=torch.channels_last)
    with torch.no_grad():
        assert torch.equal(
            fresh(asked_of.images, t, *asked_of.condition, source=asked_of.source),
            origin(asked_of.images, t, *asked_of.condition),
        )
    train(ready, pairs, tmp_path / "run")
    learned = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["network"]
    assert learned["image_in.weight"].abs().max() > 1e-4
    export(ready, tmp_path / "run", pairs, tmp_path / "out")
    model = load_model(tmp_path / "out")
    assert takes_image(model.recipe)
    assert model.recipe["training"]["objective"]["dropout"] == 0.05
    assert model.recipe["training"]["phantoms"] == 8
    once = edit(model, asked(64))
    assert np.array_equal(once.images, edit(load_model(tmp_path / "out"), asked(64)).images)


def test_stable_diffusion_learns_to_see_an_image_and_edits(tmp_path):
    base = tiny_base("stable_diffusion", tmp_path / "base")
    recipe = latent_recipe(
        "stable_diffusion",
        base,
        objective={"name": "instruct_pix2pix", "loss_on": "native"},
        mask_dropout={"prompt": 0.0},
        drift={"delta": 0.1},
    )
    for number in range(2):
        write_pair_shard(tmp_path / "pairs", number, "training", recipe, count=2)
    network = load_model(base).network
    key = encoder_key(network, recipe.normalisation)
    assert len(PairShards(tmp_path / "pairs", key)) == 0
    for end in ("before", "after"):
        cache_latents(tmp_path / "pairs" / end, network, recipe.normalisation)
    shards = PairShards(tmp_path / "pairs", key)
    assert len(shards) == 4
    drawn = pair_batch_at(
        shards, recipe.normalisation, recipe.mask_dropout, size=8, seed=1, step=0, network=network
    )
    assert drawn.images.shape == drawn.source.shape == (8, 4, 16, 16)
    train(recipe, tmp_path / "pairs", tmp_path / "run")
    export(recipe, tmp_path / "run", tmp_path / "pairs", tmp_path / "out")
    model = load_model(tmp_path / "out")
    assert takes_image(model.recipe)
    assert model.recipe["drift"] == {"delta": 0.1, "scheme": "noise"}
    assert model.network.unet.conv_in.weight[:, 4:].abs().max() > 1e-4
    assert not torch.equal(model.network.unet.conv_in.weight[:, :4], network.unet.conv_in.weight)
    first, again = (edit(one, asked(32)).images for one in (model, load_model(tmp_path / "out")))
    assert np.array_equal(first, again)
    assert "instruct_pix2pix" in COUNTERFACTUALS


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"backbone": {"channels": [8, 16], "blocks": [1, 1]}}, "set takes_image"),
        ({"backbone": {"name": "sdxl"}, "init_from": "x"}, "unet or a stable_diffusion"),
        ({"objective": {"name": "instruct_pix2pix", "dropout": 0.5}}, "dropout"),
        (
            {"backbone": {"name": "stable_diffusion"}, "init_from": "x", "adapter": {"rank": 4}},
            "trains all of",
        ),
    ],
)
def test_recipes_that_make_no_sense_are_refused(changed, words):
    values = {
        "name": "x",
        "title": "x",
        "version": "1",
        "seed": 1,
        "steps": 1,
        "batch": 1,
        "phantoms": 1,
        "image": {"rows": 64, "columns": 64},
        "modalities": ["CT"],
        "backbone": {"takes_image": True},
        "objective": {"name": "instruct_pix2pix"},
    }
    recipe_from(values)
    with pytest.raises(ValueError, match=words):
        recipe_from(values | changed)


def test_a_checkpoint_that_lacks_more_than_the_eye_is_refused(tmp_path):
    from tests.factories_models import tiny_model

    base = tiny_model(tmp_path / "base")
    with pytest.raises(ValueError, match="does not fit"):
        begin_from(UNet(replace(TINY, takes_image=True, blocks=(2, 1))), base)
