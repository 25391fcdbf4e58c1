"""Making the source of the evidence on drift, training its runs, and opening what they became."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from synthesis.backbones.stable_diffusion import StableDiffusion
from synthesis.checkpoints import load_model
from synthesis.drift import drift_dc_sigma
from synthesis.imaging.intensity import Normalisation
from synthesis.metrics.psnr import psnr
from synthesis.phantoms.labels import BODY
from synthesis.request import MODALITIES, SEXES
from training.data import COLUMNS, DIAGNOSES_FILE
from training.evidence.drift_autoencoder import Autoencoder, reconstructed, train_autoencoder
from training.evidence.drift_measures import brightness
from training.evidence.drift_plan import MODALITY, Run, Steps, recipe_of
from training.evidence.drift_sampling import draw, latents_of
from training.evidence.drift_sets import CLOTHES, TITLES, Pictures, Split, fashion
from training.evidence.drift_source import (
    MEDICAL,
    captions,
    new_network,
    new_tokenizer,
    save_source,
    train_source,
)
from training.export import export
from training.latents import cache_latents
from training.prepare import SHARD, write_shard
from training.recipe import load_recipe
from training.train import LOG, train

PHANTOM_SHARDS = 8  # of SHARD phantoms each, that the autoencoder sees
SOFT = 2.5  # of the phantoms' scale: soft tissue, which becomes -1..1
SHOWN = 128  # pictures that the source is described by


def phantoms(source: Path) -> Pictures:
    """CT and MR phantoms [n, H, W], soft tissue from -1 to 1; those that `source` has not are made there."""
    recipe = load_recipe("abdomen-2d")
    found = []
    for number in range(PHANTOM_SHARDS):
        path = write_shard(source, number, "training", recipe, count=SHARD)
        images, rows = np.load(path / "images.npy"), np.load(path / "attributes.npy")
        for image, row in zip(images, rows, strict=True):
            scaled = recipe.normalisation[MODALITIES[int(row[1])]].forward(image.astype(np.float32))
            found.append(np.clip(scaled / SOFT, -1, 1))
    return np.stack(found)


def make_source(data: Path, source: Path, folder: Path, steps: Steps) -> Path:
    """The packed source model below `folder`, trained unless it is there."""
    model = folder / "source" / "model"
    if (model / "model.safetensors").is_file():
        return model
    clothes, kinds = fashion(data)
    autoencoder = train_autoencoder(clothes, phantoms(source), steps.autoencoder, folder / "source")
    network = new_network(autoencoder, new_tokenizer([*captions(), *MEDICAL]))
    train_source(network, clothes, kinds.tolist(), steps.source, folder / "source")
    save_source(network, model)
    return model


def opened(model: Path) -> StableDiffusion:
    """A model's network, ready to draw."""
    return cast("StableDiffusion", load_model(model).network)


def describe_source(
    model: Path, data: Path, targets: dict[str, dict[str, Split]], steps: Steps, sampler_steps: int
) -> dict[str, Any]:
    """What bounds everything made from the source: reconstruction, latents, and its own brightness."""
    network = opened(model)
    vae: Autoencoder = network.get_submodule("vae")
    clothes, kinds = fashion(data)
    sets = {"clothes (source)": clothes[:SHOWN]}
    sets |= {TITLES[name]: splits["train"].pictures for name, splits in targets.items()}
    told = {}
    for name, pictures in sets.items():
        made = reconstructed(vae, pictures)
        told[name] = {
            "psnr": float(np.mean([psnr(a, b, data_range=2.0) for a, b in zip(made, pictures)])),
            "brightness": float(pictures.mean()),
            "latents": [float(v) for v in latents_of(network, pictures).mean((0, 2, 3))],
        }
    drawn = draw(network, [f"a photo of a {CLOTHES[k]}" for k in kinds[:SHOWN]], seed=0, steps=sampler_steps)
    shape = network.state_shape(*clothes.shape[1:])
    return {
        "sets": told,
        "weights": sum(p.numel() for p in network.get_submodule("unet").parameters()),
        "steps": {"source": steps.source, "autoencoder": steps.autoencoder},
        "terminal": float(network.schedule.alpha_bars[-1] ** 0.5),
        "shape": list(shape),
        "dc_sigma": drift_dc_sigma(0.1, torch.zeros(1, 1, *shape[1:])),
        "drawn": {"n": len(drawn), **brightness(drawn, clothes)},
    }


def write_set(folder: Path, split: Split, target: str, network: StableDiffusion) -> Path:
    """The pictures of a split as a shard that `training.train` reads, with their latents."""
    shard = folder / "shard-00000"
    if not shard.is_dir():
        part = folder / "part"
        part.mkdir(parents=True, exist_ok=True)
        count = len(split)
        rows = np.full((count, len(COLUMNS)), -1.0)
        rows[:, COLUMNS.index("seed")] = np.arange(count)
        rows[:, COLUMNS.index("modality")] = MODALITIES.index(MODALITY[target])
        rows[:, COLUMNS.index("age")] = [np.nan if one.age is None else one.age for one in split.people]
        rows[:, COLUMNS.index("sex")] = [SEXES.index(one.sex) if one.sex else -1 for one in split.people]
        rows[:, COLUMNS.index("spacing_mm")] = np.nan
        np.save(part / "images.npy", split.pictures.astype(np.float16))
        np.save(part / "labels.npy", np.full(split.pictures.shape, BODY, np.uint8))
        np.save(part / "attributes.npy", rows)
        told = json.dumps([one.group for one in split.people])
        (part / DIAGNOSES_FILE).write_text(told, encoding="utf-8")
        part.rename(shard)
    scale = Normalisation(units=(-1.0, 1.0), scaled=(-1.0, 1.0))
    cache_latents(folder, network, dict.fromkeys(MODALITIES, scale))
    return folder


def finish(run: Run, folder: Path, source: Path, steps: int) -> dict[str, Any]:
    """Train a run, or go on with it, and save its model; what is to be said of it is returned."""
    recipe = recipe_of(run, source, steps)
    place, data = folder / run.name, folder / f"shards-{run.target}"
    began = time.monotonic()
    train(recipe, data, place / "run")
    export(recipe, place / "run", data, place / "model")
    losses = [json.loads(line)["loss"] for line in (place / "run" / LOG).read_text("utf-8").splitlines()]
    shutil.rmtree(place / "run")
    seconds = round(time.monotonic() - began, 1)
    return {"steps": steps, "seconds": seconds, "seed": run.seed, "loss": losses[-1]}


def model_of(run: Run, folder: Path) -> Path:
    """Where a finished run's model lies."""
    return folder / run.name / "model"


def keep(path: Path, array: Any) -> None:
    """Write an array, its folder made; a kill while writing leaves none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.part.npy")
    np.save(part, array)
    os.replace(part, path)


def listed(splits: dict[str, Split]) -> dict[str, dict[str, int]]:
    """How many pictures of how many patients each split has."""
    return {
        name: {"pictures": len(split), "patients": len(set(split.patients))} for name, split in splits.items()
    }
