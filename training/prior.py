"""Images that a network draws of what it knows before it learns something new, so that it keeps drawing them.

They are drawn once, before a run's first step, and lie in the run's folder as a shard like any other.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.control.painting import paint
from synthesis.guidance import guided
from synthesis.networks import ConditionBatch, first_state
from synthesis.request import MODALITIES
from synthesis.samplers.ddim import ddim
from synthesis.stepping import Velocity, noise_like
from training.data import DIAGNOSES_FILE, ENCLOSED_AIR, PhantomShards, conditions_from
from training.latents import KEY_FILE, MEAN_FILE, STD_FILE
from training.prepare import phantom_row
from training.recipe import PriorSettings, Recipe

FOLDER = "prior"
STREAM = 0xD4EA  # keeps what is drawn here apart from the draws of the run's steps


def prior_shards(recipe: Recipe, data: PhantomShards, run: Path, device: torch.device) -> PhantomShards:
    """The images that the network of `init_from` draws itself: those of this run, made now if they are not.

    Of a network that reads prompts they are of the people of `data`, in the recipe's words without the
    token; of one on images, of the phantoms of the training split, so that it keeps knowing masks.
    """
    folder = run / FOLDER
    if not any(folder.glob("shard-*")):
        draw_prior(recipe, data, folder, device)
    return PhantomShards(folder, data.latents)


def draw_prior(recipe: Recipe, data: PhantomShards, folder: Path, device: torch.device) -> None:
    """Write one shard of `prior_images` images to `folder`; half a shard is never left there."""
    settings = recipe.objective
    if not isinstance(settings, PriorSettings):
        raise ValueError(f"objective: {settings.name} preserves no prior")
    rng = np.random.default_rng((recipe.seed, STREAM))
    model = load_model(Path(recipe.init_from), device)
    labels, rows, diagnoses = _people(recipe, data, settings.prior_images, rng)
    images, states = [], []
    for first in range(0, len(rows), recipe.batch):
        part = slice(first, first + recipe.batch)
        x_1 = _drawn(model, recipe, settings, labels[part], rows[part], diagnoses[part], rng)
        states.append(x_1.float().cpu().numpy())
        with torch.no_grad():
            shown = model.network.decode(x_1)[:, 0].float().cpu().numpy()
        images += [
            recipe.normalisation[MODALITIES[int(row[1])]].inverse(one)
            for row, one in zip(rows[part], shown, strict=True)
        ]
    part_folder = folder / "part"
    shutil.rmtree(part_folder, ignore_errors=True)
    part_folder.mkdir(parents=True)
    np.save(part_folder / "images.npy", np.stack(images).astype(np.float16))
    np.save(part_folder / "labels.npy", labels)
    np.save(part_folder / "attributes.npy", rows)
    if any(diagnoses):
        (part_folder / DIAGNOSES_FILE).write_text(json.dumps(diagnoses), encoding="utf-8")
    if data.latents:
        mean = np.concatenate(states)
        np.save(part_folder / MEAN_FILE, mean)
        np.save(part_folder / STD_FILE, np.zeros_like(mean))
        about = {"encoder": data.latents, "network": model.network.name}
        (part_folder / KEY_FILE).write_text(json.dumps(about), encoding="utf-8")
    part_folder.rename(folder / "shard-00000")


def _people(
    recipe: Recipe, data: PhantomShards, count: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray, list[str]]:
    """Labels [n, H, W], attributes [n, columns] and diagnoses of what shall be drawn."""
    if recipe.prompts is None:
        kinds = recipe.modalities
        made = [
            phantom_row("training", index, recipe, modality=kinds[index % len(kinds)])
            for index in range(count)
        ]
        return np.stack([one[1] for one in made]), np.array([one[2] for one in made]), [""] * count
    indices = rng.integers(0, len(data), count)
    _, labels, rows = data.take(indices)
    return labels, rows, data.diagnoses(indices)


@torch.no_grad()
def _drawn(
    model: LoadedModel,
    recipe: Recipe,
    settings: PriorSettings,
    labels: npt.NDArray[np.uint8],
    rows: npt.NDArray,
    diagnoses: list[str],
    rng: np.random.Generator,
) -> Tensor:
    """States [B, C, h, w] at t = 1 that the network draws under these masks or prompts."""
    network: Any = model.network
    device = network.device
    conditions = conditions_from(rows, diagnoses)
    plain = labels & ~np.uint8(ENCLOSED_AIR)
    told: ConditionBatch
    if recipe.prompts is None:
        told = network.condition(plain, conditions)
    else:
        words = network.words(conditions, rng, recipe.prompts.without_token())
        told = network.told(paint(plain, conditions), torch.full((len(rows),), float("nan")), words)

    def under(condition: ConditionBatch) -> Velocity:
        tensors = tuple(condition.to(device, network.dtype))
        return lambda x, t: network(x, t.expand(len(x)), *tensors).float()

    velocity = under(told)
    if settings.prior_guidance != 1:
        velocity = guided(velocity, under(network.unconditional(told)), settings.prior_guidance)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    blank = torch.empty((len(rows), *network.state_shape(*recipe.shape)), device=device)
    modality = MODALITIES[int(rows[0][1])]
    times = model.times(settings.prior_steps, modality)
    return ddim(velocity, first_state(network, noise_like(blank, generator)), times)
