"""Training the runs of the evidence on ViCTr, and opening what they became."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthesis.adapters import choose, load_adapter, share_of, with_adapter
from synthesis.backbones.unet import UNet
from synthesis.checkpoints import LoadedModel, load_model
from synthesis.networks import Network
from synthesis.request import MODALITIES
from synthesis.variance_preserving import NoiseSchedule
from training.data import PhantomShards
from training.evidence.victr_plan import Run, placed
from training.export import export
from training.fisher import save_fisher
from training.fit_fisher import fitted
from training.prepare import SHARD, write_shard
from training.recipe import EpsilonSettings, EwcSettings, Recipe
from training.train import train

SETS = {"ct": ("CT",), "mr": ("T1", "T2")}  # what each set holds


class NoisePredictor(Network):
    """A network that predicts noise on a VP schedule, as the velocity of a flow (math.md section 0)."""

    name = "noise predictor"

    def __init__(self, inner: Network, schedule: NoiseSchedule) -> None:
        super().__init__()
        self.inner = inner
        self.options = inner.options
        self.schedule = schedule

    @property
    def start(self) -> float:
        return self.schedule.start

    def forward(  # type: ignore[override]  # it is shown no image
        self, x_t: Tensor, t: Tensor, *condition: Tensor
    ) -> Tensor:
        """The velocity at x_t [B, 1, H, W] and one time for all."""
        count = len(self.schedule.alpha_bars)

        def predict(y: Tensor, step: Tensor) -> Tensor:
            noise: Tensor = self.inner(y, step / count, *condition)
            return noise

        return self.schedule.velocity(predict, "epsilon")(x_t, t)


@dataclass(frozen=True)
class PlainDiffusion(LoadedModel):
    """A noise predictor on the grid it is usually run on: training steps, evenly spaced from the last."""

    def times(self, steps: int, modality: str | None = None, sampler: str = "") -> list[float]:
        """Trailing training steps (Lin et al. 2024)."""
        if not isinstance(self.network, NoisePredictor):
            raise ValueError("network: expected a NoisePredictor")
        return self.network.schedule.grid(steps, "trailing")


def gather(source: Path, folder: Path, recipe: Recipe, name: str) -> Path:
    """The first recipe.phantoms training phantoms of one of SETS, as shards below `folder`.

    `source` holds the shards of abdomen-2d; those that are missing are made.
    """
    final = folder / f"phantoms-{name}"
    part = folder / f"part-{name}"
    if (final / "shard-00000").is_dir():
        return final
    part.mkdir(parents=True, exist_ok=True)
    codes = [MODALITIES.index(modality) for modality in SETS[name]]
    kept: list[tuple[Any, ...]] = []
    for number in range(-(-2 * recipe.phantoms // SHARD)):  # half of them are CT
        path = write_shard(source, number, "training", recipe, count=SHARD)
        images, labels, rows = (np.load(path / f"{what}.npy") for what in ("images", "labels", "attributes"))
        members = np.isin(rows[:, 1], codes)
        kept.append((images[members], labels[members], rows[members]))
    shard = part / "shard-00000"
    shard.mkdir(exist_ok=True)
    for what, arrays in zip(("images", "labels", "attributes"), zip(*kept, strict=True), strict=True):
        np.save(shard / f"{what}.npy", np.concatenate(arrays)[: recipe.phantoms])
    part.rename(final)
    return final


def finish(run: Run, folder: Path, sets: dict[str, Path]) -> dict[str, Any]:
    """Train a run, or go on with it, and save its model; what is to be said of it is returned."""
    recipe, data = placed(run, folder), sets[run.data]
    if isinstance(recipe.objective, EwcSettings) and not Path(recipe.objective.fisher).is_file():
        fisher = fitted(folder / run.after / "model", recipe, phantoms=sets["ct"], seed=recipe.seed)
        save_fisher(Path(recipe.objective.fisher), fisher)
    began = time.monotonic()
    train(recipe, data, folder / run.name / "run")
    seconds = time.monotonic() - began
    model = folder / run.name / "model"
    export(recipe, folder / run.name / "run", data, model)
    return {
        "steps": recipe.steps,
        "batch": recipe.batch,
        "images": recipe.steps * recipe.batch,
        "phantoms": len(PhantomShards(data)),
        "seconds": round(seconds, 1),
        "seed": recipe.seed,
        **sizes(recipe),
    }


def sizes(recipe: Recipe) -> dict[str, Any]:
    """Weights of the network, and the adapter's share of them where there is one."""
    network = UNet(recipe.backbone)
    found: dict[str, Any] = {"weights": sum(p.numel() for p in network.parameters())}
    if recipe.adapter:
        found |= {
            "rank": recipe.adapter.rank,
            "share": round(share_of(with_adapter(network, recipe.adapter)), 4),
        }
    return found


def opened(run: Run, folder: Path) -> LoadedModel:
    """The model of a finished run, with its adapter on where it has one."""
    place = folder / run.name / "model"
    if run.recipe.adapter:
        model = load_model(folder / run.after / "model")
        load_adapter(model, place, run.name)
        choose(model, run.name)
    else:
        model = load_model(place)
    model.network.to(memory_format=torch.channels_last)
    if isinstance(run.recipe.objective, EpsilonSettings):
        network = NoisePredictor(model.network, run.recipe.objective.schedule)
        return PlainDiffusion(network, model.recipe, model.weights_sha256, model.normalisation)
    return model


def with_kappa(model: LoadedModel, kappas: dict[str, dict[str, float]]) -> LoadedModel:
    """The model with rft's strength per modality and number of calls; the grid stays even."""
    return replace(model, recipe=model.recipe | {"calibration": {"kappa": kappas, "shift": {}}})
