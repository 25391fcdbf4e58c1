"""Batches: exact repetition, partial masks that tell no lie, shards that grow."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthesis.backbones.unet import UNet
from synthesis.control.painting import LABEL_COUNT, SEVERITY_PLANES
from synthesis.phantoms import abdomen
from synthesis.phantoms import labels as names
from training.data import (
    ENCLOSED_AIR,
    MaskDropout,
    PhantomShards,
    batch_at,
    drop_labels,
    mark_enclosed_air,
    only_liver,
)
from training.prepare import modality_of, write_shard

PHANTOM = abdomen(3, shape=(64, 64))
STORED = mark_enclosed_air(PHANTOM.labels)


def test_air_inside_is_marked_and_air_outside_is_not():
    labels = np.zeros((8, 8), np.uint8)
    labels[2:7, 2:7] = names.BOWEL
    labels[4, 4] = names.AIR
    marked = mark_enclosed_air(labels)
    assert marked[4, 4] == ENCLOSED_AIR
    assert marked[0, 0] == names.AIR
    assert np.array_equal(marked & 127, labels)


@given(st.integers(0, 2**32 - 1))
def test_a_partial_mask_never_contradicts_the_truth(seed):
    """Whatever is dropped becomes "unknown inside the body", or stays what it is; outside stays outside."""
    given_mask = drop_labels(STORED, np.random.default_rng(seed), MaskDropout())
    changed = given_mask != PHANTOM.labels
    assert np.all(given_mask[changed] == names.BODY)
    assert np.all(given_mask[STORED == names.AIR] == names.AIR)


@given(st.integers(0, 2**32 - 1))
def test_lesions_are_shown_wherever_their_liver_is(seed):
    """A liver label without its lesions would teach the model to invent lesions in a healthy liver."""
    given_mask = drop_labels(STORED, np.random.default_rng(seed), MaskDropout())
    if (given_mask == names.LIVER).any():
        assert np.array_equal(given_mask == names.LESION, PHANTOM.labels == names.LESION)


def test_all_regimes_occur():
    rng = np.random.default_rng(0)
    seen = [drop_labels(STORED, rng, MaskDropout()) for _ in range(300)]
    whole = np.mean([np.array_equal(s, PHANTOM.labels) for s in seen])
    alone = np.mean([np.array_equal(s, only_liver(STORED)) for s in seen])
    assert whole == pytest.approx(0.5, abs=0.1)
    assert alone == pytest.approx(0.15, abs=0.08)


def test_regimes_must_add_up():
    with pytest.raises(ValueError, match="add up"):
        MaskDropout(whole=0.9)


def test_a_step_can_be_repeated_exactly(small_recipe, phantom_folder):
    shards = PhantomShards(phantom_folder)

    def batch(**changes):
        settings = {"size": 4, "seed": 1, "step": 7, "rank": 0} | changes
        return batch_at(shards, small_recipe.normalisation, small_recipe.mask_dropout, **settings)

    first, again = batch(), batch()
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.condition.planes, again.condition.planes)
    for other in (batch(step=8), batch(rank=1), batch(seed=2)):
        assert not torch.equal(first.images, other.images)


def test_a_batch_is_on_the_networks_scale_and_painted(small_recipe, phantom_folder):
    batch = batch_at(
        PhantomShards(phantom_folder),
        small_recipe.normalisation,
        small_recipe.mask_dropout,
        size=16,
        seed=0,
        step=0,
    )
    assert batch.images.shape == (16, 1, 64, 64)
    assert 0.5 < batch.images.abs().mean() < 4
    assert torch.all(batch.condition.planes[:, :LABEL_COUNT].sum(1) == 1)
    assert batch.condition.planes[:, SEVERITY_PLANES].sum() > 0
    assert batch.labels.max() < LABEL_COUNT


def test_growing_shards_are_taken_in_and_finished_ones_left_alone(small_recipe, tmp_path):
    first = write_shard(tmp_path, 0, "training", small_recipe, count=4)
    stamp = (first / "images.npy").stat().st_mtime_ns
    shards = PhantomShards(tmp_path)
    (tmp_path / "part-00001").mkdir()  # unfinished: not to be read
    shards.refresh()
    assert len(shards) == 4
    write_shard(tmp_path, 1, "training", small_recipe, count=4)
    write_shard(tmp_path, 0, "training", small_recipe, count=4)
    shards.refresh()
    assert len(shards) == 8
    assert (first / "images.npy").stat().st_mtime_ns == stamp
    assert shards.column("seed").tolist() == list(range(8))


def test_shards_hold_the_phantoms_they_name(small_recipe, tmp_path):
    write_shard(tmp_path, 2, "training", small_recipe, count=2)
    images, stored, rows = PhantomShards(tmp_path).take(np.array([1]))
    phantom = abdomen(int(rows[0, 0]), shape=(64, 64), modality=modality_of(5))
    assert rows[0, 0] == 5
    assert images[0] == pytest.approx(phantom.image, rel=1e-3, abs=0.1)
    assert np.array_equal(stored[0] & 127, phantom.labels)


def test_an_empty_folder_is_said_plainly(small_recipe, tmp_path):
    with pytest.raises(ValueError, match=r"training\.prepare"):
        batch_at(PhantomShards(tmp_path), small_recipe.normalisation, MaskDropout(), size=1, seed=0, step=0)


def test_a_network_reads_the_condition_from_words_as_it_is_painted_from_numbers(small_recipe, phantom_folder):
    shards, network = PhantomShards(phantom_folder), UNet(small_recipe.backbone)
    settings = {"size": 16, "seed": 1, "step": 7}
    painted = batch_at(shards, small_recipe.normalisation, MaskDropout(), **settings)
    read = batch_at(shards, small_recipe.normalisation, MaskDropout(), network=network, **settings)
    assert torch.equal(painted.images, read.images)
    for one, other in zip(painted.condition, read.condition, strict=True):
        assert torch.equal(one, other)


def test_some_items_say_nothing_for_guidance_to_start_from(small_recipe, phantom_folder):
    shards, network = PhantomShards(phantom_folder), UNet(small_recipe.backbone)

    def severity(prompt):
        dropout = MaskDropout(whole=1, random_labels=0, seldom_labelled=0, liver_alone=0, prompt=prompt)
        batch = batch_at(
            shards, small_recipe.normalisation, dropout, size=64, seed=1, step=0, network=network
        )
        return batch.condition.planes[:, SEVERITY_PLANES].flatten(1).sum(1) > 0

    always, half = severity(0.0), severity(0.5)
    assert not severity(1.0).any()
    assert not (half & ~always).any()
    assert half.sum() / always.sum() == pytest.approx(0.5, abs=0.2)
    with pytest.raises(ValueError, match="prompt"):
        MaskDropout(prompt=1.5)
