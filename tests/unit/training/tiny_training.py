"""Recipes, a model and phantoms with latents, small enough to train each of the five backbones in seconds."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from synthesis.checkpoints import load_model, save_model
from tests.factories_models import tiny_recipe
from tests.unit.synthesis.tiny_backbones import SIDE, network_of, tiny_pipeline
from training.latents import cache_latents
from training.prepare import prepare_set, write_shard
from training.recipe import Recipe, recipe_from

BACKBONES = ("stable_diffusion", "sdxl", "sd3", "pixart", "flux")


def tiny_base(name: str, folder: Path) -> Path:
    """A packed model of a family with random weights, as one that was installed; returns its folder."""
    recipe = tiny_recipe(SIDE, SIDE) | {"name": f"tiny-{name}", "calibration": {}}
    save_model(folder, network_of(name, tiny_pipeline(name)), recipe)
    return folder


def latent_recipe(family: str, base: Path | str, /, **more: Any) -> Recipe:
    """A few steps of whatever `more` says, from that base."""
    values: dict[str, Any] = {
        "name": f"trained-{family}",
        "title": "Trained for a test",
        "version": "1.0",
        "seed": 1,
        "steps": 4,
        "batch": 2,
        "phantoms": 8,
        "precision": "no",
        "refresh_every": 100,
        "checkpoint_every": 100,
        "ema_exponent": 0.0,
        "init_from": str(base),
        "image": tiny_recipe(SIDE, SIDE)["image"],
        "modalities": ["CT", "T1", "T2"],
        "backbone": {"name": family},
        "mask_dropout": {"prompt": 0.2},
        "objective": {"name": "flow", "loss_on": "native"},
        "optimiser": {"rate": 3e-3, "warmup": 1},
    }
    return recipe_from(values | more)


PEOPLE = [(63, "F", "C"), (41.5, "M", ""), ("", "", "C"), (70, "F", "C"), (28, "M", ""), (55, "F", "C")]


def write_people(folder: Path) -> Path:
    """Pictures of six patients without a mask, wider than high, and their manifest; two of the test split."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["image", "patient", "split", "modality", "age", "sex", "diagnosis"])
        for number, (age, sex, diagnosis) in enumerate(PEOPLE):
            Image.fromarray(rng.integers(0, 255, (24, 48), dtype=np.uint8)).save(folder / f"{number}.png")
            split = "test" if number > 3 else "train"
            table.writerow([f"{number}.png", f"p{number}", split, "T2", age, sex, diagnosis])
    return folder


def people_with_latents(recipe: Recipe, folder: Path) -> Path:
    """The train split of those pictures as shards, with the latents of the recipe's model."""
    folder.mkdir()
    (folder / "shards").mkdir()
    prepare_set(write_people(folder / "pictures"), recipe, folder / "shards", split="train")
    cache_latents(folder / "shards", load_model(Path(recipe.init_from)).network, recipe.normalisation)
    return folder / "shards"


def phantoms_with_latents(recipe: Recipe, folder: Path) -> Path:
    """Two shards of four phantoms of 32 x 32 pixels, with the latents of the recipe's model."""
    assert recipe.shape == (SIDE, SIDE)
    for number in range(2):
        write_shard(folder, number, "training", recipe, count=4)
    cache_latents(folder, load_model(Path(recipe.init_from)).network, recipe.normalisation)
    return folder
