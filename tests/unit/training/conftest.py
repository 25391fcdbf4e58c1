"""Recipes, a few phantoms and a few people, small enough to train on in seconds."""

from dataclasses import replace
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from tests.factories_models import TINY
from tests.unit.training.tiny_training import people_with_latents, tiny_base
from tests.unit.training.tiny_words import recipe_of
from training.prepare import write_shard
from training.recipe import FlowSettings, OptimiserSettings, Recipe, load_recipe


@pytest.fixture(scope="session")
def small_recipe() -> Recipe:
    """The shipped recipe at 64 x 64 with a tiny network."""
    shipped = load_recipe("abdomen-2d")
    return replace(
        shipped,
        steps=20,
        batch=4,
        phantoms=16,
        precision="no",
        refresh_every=5,
        checkpoint_every=5,
        ema_exponent=2.0,
        image=dict(shipped.image) | {"rows": 64, "columns": 64},
        backbone=TINY,
        objective=FlowSettings(),
        optimiser=OptimiserSettings(rate=3e-3, warmup=2),
    )


@pytest.fixture(scope="session")
def phantom_folder(small_recipe, tmp_path_factory) -> Path:
    """Two shards of eight phantoms."""
    folder = tmp_path_factory.mktemp("phantoms")
    for number in range(2):
        write_shard(folder, number, "training", small_recipe, count=8)
    return folder


@pytest.fixture
def other_precision():
    """accelerate takes one precision per process; a test may use another, if it says so."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """A tiny Stable Diffusion that was packed."""
    return tiny_base("stable_diffusion", tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def data(base, tmp_path_factory) -> Path:
    """The train split of a few people as shards with latents."""
    return people_with_latents(recipe_of(base), tmp_path_factory.mktemp("set") / "people")
