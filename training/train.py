"""Train one model from its recipe: `accelerate launch -m training.train RECIPE` or plain `python -m`.

One CPU, one GPU or many: accelerate places the network and averages gradients. Every random draw
of a step follows from (recipe seed, step, process), so a run that was killed and started again
ends with the same weights as one that was not (given the same shards and number of threads).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import nn

from synthesis.adapters import with_adapter
from synthesis.backbones.unet import UNet
from synthesis.checkpoints import load_model
from synthesis.networks import Network
from training.backbones import starting_backbone
from training.data import Batch, PhantomShards, batch_at
from training.ema import PowerEma, trained_weights
from training.fisher import load_fisher, selected, train_only
from training.flow_path import plain
from training.latents import encoder_key
from training.objectives import OBJECTIVES
from training.pairs import PairShards, pair_batch_at
from training.prior import prior_shards
from training.recipe import EwcSettings, OptimiserSettings, Recipe, ShortcutSettings, load_recipe
from training.run_state import RunState

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
LOG_EVERY = 25
PRIOR_SEED = 7919  # keeps the draws from the prior apart from those of the step's own batch


def train(recipe: Recipe, data: Path, run: Path, *, stop_after: int | None = None) -> Path:
    """Train until recipe.steps, or `stop_after` steps in this call; returns the checkpoint's path."""
    accelerator = accelerator_for(recipe)
    torch.manual_seed(recipe.seed)
    network = starting_network(recipe)
    ema = PowerEma(network, recipe.ema_exponent, trained_only=recipe.family != "unet")
    settings = recipe.optimiser
    optimiser = torch.optim.AdamW(
        [parameter for parameter in network.parameters() if parameter.requires_grad],
        lr=settings.rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    run.mkdir(parents=True, exist_ok=True)
    first = resume(run / CHECKPOINT, network, ema, optimiser)
    network, optimiser = accelerator.prepare(network, optimiser)
    ema.to(accelerator.device)
    state = starting_state(recipe, ema, accelerator)
    reader = cast("Network", plain(network)) if recipe.family != "unet" else None
    shards = shards_for(recipe, data, reader)
    prior = None
    if recipe.preserves_prior and isinstance(shards, PhantomShards):
        prior = prior_of(recipe, shards, run, accelerator)
    objective = OBJECTIVES[recipe.objective.name]
    last = recipe.steps if stop_after is None else min(recipe.steps, first + stop_after)
    losses: list[float] = []
    began = time.monotonic()
    for step in range(first, last):
        if step % recipe.refresh_every == 0:
            shards.refresh()
        rank = accelerator.process_index
        batch = (pair_batch_at if isinstance(shards, PairShards) else batch_at)(
            shards, recipe.normalisation, recipe.mask_dropout,
            size=recipe.batch, seed=recipe.seed, step=step, rank=rank, network=reader, latents=recipe.latents,
        )  # fmt: skip
        if prior is not None:
            batch = batch._replace(prior=prior_batch_at(recipe, prior, reader, step, rank))
        generator = torch.Generator().manual_seed(hash_seed(recipe.seed, step, rank))
        batch = batch.to(accelerator.device)
        state = replace(state, progress=step / recipe.steps)
        loss = objective(network, batch, recipe.objective, generator, state)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(network.parameters(), settings.clip)
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, recipe.steps, settings)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        ema.update(accelerator.unwrap_model(network), step + 1)

        losses.append(float(loss.detach()))
        if accelerator.is_main_process:
            if (step + 1) % LOG_EVERY == 0 or step + 1 == last:
                seconds = (time.monotonic() - began) / len(losses)
                images = recipe.batch * accelerator.num_processes
                report(run / LOG, step + 1, recipe, sum(losses) / len(losses), seconds, images, len(shards))
                losses, began = [], time.monotonic()
            if (step + 1) % recipe.checkpoint_every == 0 or step + 1 == last:
                save_checkpoint(run / CHECKPOINT, accelerator.unwrap_model(network), ema, optimiser, step + 1)
    accelerator.wait_for_everyone()
    return run / CHECKPOINT


def shards_for(recipe: Recipe, data: Path, reader: Network | None) -> Any:
    """What the recipe learns from: pairs or single images, with latents for a network that is on those."""
    key = encoder_key(reader, recipe.normalisation) if reader else ""
    return PairShards(data, key) if recipe.is_paired else PhantomShards(data, key)


def prior_of(recipe: Recipe, shards: PhantomShards, run: Path, accelerator: Accelerator) -> PhantomShards:
    """What the network of `init_from` draws itself: made by the main process, read by all."""
    if accelerator.is_main_process:
        prior_shards(recipe, shards, run, accelerator.device)
    accelerator.wait_for_everyone()
    return prior_shards(recipe, shards, run, accelerator.device)


def prior_batch_at(
    recipe: Recipe, prior: PhantomShards, reader: Network | None, step: int, rank: int
) -> Batch:
    """As many of those images as the batch has new ones, told without the token."""
    return batch_at(
        prior, recipe.normalisation, recipe.mask_dropout, size=recipe.batch, seed=recipe.seed + PRIOR_SEED,
        step=step, rank=rank, network=reader, latents=recipe.latents,
        prompts=recipe.prompts.without_token() if recipe.prompts else None,
    )  # fmt: skip


def accelerator_for(recipe: Recipe) -> Accelerator:
    """What places network and gradients on one CPU, one GPU or many."""
    return Accelerator(
        mixed_precision=recipe.precision,
        cpu=not torch.cuda.is_available(),
        step_scheduler_with_optimizer=False,
        # SD3's ControlNet has layers whose answer nobody asks for; several devices must know of that.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=recipe.family != "unet")],
    )


def starting_network(recipe: Recipe) -> nn.Module:
    """A fresh network or that of `init_from`, with the recipe's adapter or the tensors that shall train."""
    if recipe.family != "unet":
        network = starting_backbone(recipe)
    else:
        network = UNet(recipe.backbone).to(memory_format=torch.channels_last)
        if recipe.init_from:
            begin_from(network, Path(recipe.init_from))
    objective = recipe.objective
    if isinstance(objective, EwcSettings) and objective.selection:
        fisher = load_fisher(Path(objective.fisher))
        train_only(network, selected(fisher, objective.selection, objective.share))
    return with_adapter(network, recipe.adapter) if recipe.adapter and recipe.family == "unet" else network


def starting_state(recipe: Recipe, ema: PowerEma, accelerator: Accelerator) -> RunState:
    """What objectives may ask for: the averaged network and, where they want it, the one begun from."""
    state = RunState(drift=recipe.drift or None)
    if ema.network is not None:
        state = replace(state, average=accelerator.prepare_model(ema.network, evaluation_mode=True))
    if getattr(recipe.objective, "from_origin", False):
        origin = load_model(Path(recipe.init_from)).network.to(memory_format=torch.channels_last)
        if isinstance(recipe.objective, ShortcutSettings) and origin.drift != (recipe.drift or None):
            raise ValueError("drift: a shortcut learns from init_from, which was trained with another drift")
        origin.use_drift(None)  # it is shown the run's own states
        state = replace(state, origin=accelerator.prepare_model(origin, evaluation_mode=True))
    return state


def begin_from(network: nn.Module, folder: Path) -> None:
    """Start from the weights of a saved model; only an embedding of spans, or what sees an image, may be new.

    Raises ValueError that names the weights which do not fit.
    """
    found = network.load_state_dict(load_model(folder).network.state_dict(), strict=False)
    strange = [
        name for name in found.missing_keys if not name.startswith(("embed_span.", "image_in.", "image_out."))
    ]
    if strange or found.unexpected_keys:
        raise ValueError(f"{folder} does not fit: {', '.join([*strange, *found.unexpected_keys])}")


def rate_at(step: int, steps: int, settings: OptimiserSettings) -> float:
    """Warm-up, constant, then a straight line to zero: the learning rate of a step counted from 0."""
    rise = min(1.0, (step + 1) / max(1, settings.warmup))
    fall = min(1.0, (steps - step) / max(1.0, settings.decay * steps))
    return settings.rate * min(rise, fall)


def hash_seed(seed: int, step: int, rank: int) -> int:
    """A different noise stream for every step and process."""
    return ((seed * 1_000_003 + step) * 1_000_003 + rank) % 2**63


def save_checkpoint(
    path: Path, network: nn.Module, ema: PowerEma, optimiser: torch.optim.Optimizer, step: int
) -> None:
    """Write all that is needed to go on; a kill while writing leaves the checkpoint before."""
    state = {
        "network": network.state_dict() if ema.network is not None else trained_weights(network),
        "ema": ema.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
    }
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def resume(path: Path, network: nn.Module, ema: PowerEma, optimiser: torch.optim.Optimizer) -> int:
    """Load a checkpoint of our own, if there is one; returns the step to go on with."""
    if not path.is_file():
        return 0
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    found = network.load_state_dict(state["network"], strict=ema.network is not None)
    if found.unexpected_keys or (
        ema.network is None and set(trained_weights(network)) != set(state["network"])
    ):
        raise ValueError(f"the checkpoint at {path} belongs to another recipe")
    ema.load_state_dict(state["ema"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def report(
    log: Path, step: int, recipe: Recipe, loss: float, seconds: float, images: int, phantoms: int
) -> None:
    """One line on the screen and in the log; `seconds` and `images` are those of one step."""
    left = (recipe.steps - step) * seconds / 60
    print(
        f"step {step}/{recipe.steps}  loss {loss:.4f}  {images / seconds:.1f} images/s  "
        f"{phantoms} phantoms  {left:.0f} min left",
        flush=True,
    )
    line = {
        "step": step,
        "loss": loss,
        "images_per_second": images / seconds,
        "phantoms": phantoms,
        "at": time.time(),
    }
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", help="a YAML file, or the name of one in training/recipes")
    parser.add_argument("--data", type=Path, help="folder of phantom shards (default: the recipe's)")
    parser.add_argument("--run", type=Path, help="folder for checkpoint and log (default: the recipe's)")
    parser.add_argument("--steps", type=int, help="another number of steps than the recipe's")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    if options.steps:
        recipe = replace(recipe, steps=options.steps)
    print(train(recipe, options.data or recipe.data_folder, options.run or recipe.run_folder))


if __name__ == "__main__":
    main()
