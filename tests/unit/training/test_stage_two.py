"""Stage 2: an adapter trained on a frozen model with the consistency losses, exported and put on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from synthesis.adapters import AdapterOptions, chosen, load_adapter
from synthesis.checkpoints import load_model
from tests.factories_models import tiny_model
from training.data import PhantomShards, batch_at
from training.export import export
from training.recipe import ConsistencySettings, recipe_from
from training.train import train


@pytest.fixture
def recipe(small_recipe, tmp_path):
    """Ten steps of stage 2 on a tiny model."""
    base = tiny_model(tmp_path / "base")
    return replace(
        small_recipe,
        name="adapter",
        steps=10,
        init_from=str(base),
        adapter=AdapterOptions(rank=4, alpha=4),
        objective=ConsistencySettings(layers=("middle.blocks.1",)),
    )


def answer(model, shards, recipe):
    """The velocity for one batch."""
    batch = batch_at(shards, recipe.normalisation, recipe.mask_dropout, size=2, seed=5, step=0)
    with torch.no_grad():
        return model.network(batch.images, torch.tensor(0.6), *batch.condition)


def test_an_adapter_is_trained_exported_and_put_on_and_the_model_stays(
    recipe, phantom_folder, tmp_path
) -> None:
    train(recipe, phantom_folder, tmp_path / "run")
    export(recipe, tmp_path / "run", phantom_folder, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "recipe.json",
    ]
    model, shards = load_model(tmp_path / "base"), PhantomShards(phantom_folder)
    before = answer(model, shards, recipe)
    about = load_adapter(model, tmp_path / "out", "mine")
    assert torch.equal(answer(model, shards, recipe), before)
    with chosen(model, "mine"):
        assert not torch.allclose(answer(model, shards, recipe), before, atol=1e-5)
    assert torch.equal(answer(model, shards, recipe), before)
    assert about["training"]["adapter"]["rank"] == 4
    assert 0 < about["training"]["share_of_network"] < 1


def test_a_run_that_was_stopped_ends_with_the_same_adapter(recipe, phantom_folder, tmp_path) -> None:
    for stops in ((None,), (4, None)):
        run = tmp_path / f"run-{len(stops)}"
        for stop in stops:
            train(recipe, phantom_folder, run, stop_after=stop)
        export(recipe, run, phantom_folder, tmp_path / f"out-{len(stops)}")
    files = [(tmp_path / f"out-{n}" / "adapter_model.safetensors").read_bytes() for n in (1, 2)]
    assert files[0] == files[1]


def test_an_adapter_needs_a_model_to_adapt() -> None:
    with pytest.raises(ValueError, match="adapter: expected init_from"):
        recipe_from(
            {
                "name": "a", "title": "a", "version": "1", "seed": 0, "steps": 1, "batch": 1, "phantoms": 1,
                "image": {}, "modalities": ["CT"], "adapter": {"rank": 8},
            }
        )  # fmt: skip


def test_without_an_adapter_the_activations_of_the_model_begun_from_are_kept(
    recipe, phantom_folder, tmp_path
) -> None:
    """A thousand times the weight holds what the whole network answers nearer to where it began."""
    shards = PhantomShards(phantom_folder)
    before = answer(load_model(tmp_path / "base"), shards, recipe)
    apart = []
    for weight in (0.0, 1000.0):
        objective = ConsistencySettings(
            layers=("middle.blocks.1",), weight_consistency=weight, from_origin=True
        )
        whole = replace(recipe, adapter=None, objective=objective)
        train(whole, phantom_folder, tmp_path / f"run-{weight}")
        export(whole, tmp_path / f"run-{weight}", phantom_folder, tmp_path / f"out-{weight}")
        after = answer(load_model(tmp_path / f"out-{weight}"), shards, recipe)
        apart.append(float((after - before).abs().mean()))
    assert 0 < apart[1] < apart[0]
