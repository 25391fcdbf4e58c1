"""How far to drift: three estimates of delta for a recipe's data, `python -m training.choose_drift RECIPE`.

terminal SNR and inversion need no search and say delta for each channel (synthesis/drift_choice.py); the grid
is the paper's, one number from -0.2 to 0.2. All ask the network of `init_from` as it is, before any training,
about the shards (with their latents, for a network in latents) that the recipe would train on. Put one into
the recipe as `drift: {delta: ...}`; what is best after training only training shows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.drift import Drift, drift_dc_sigma
from synthesis.drift_choice import PAPER_GRID, channel_means, grid_search, terminal_snr
from synthesis.errors import SynthesisError
from synthesis.inversion import drifted_start, inverted_path
from synthesis.latents import NoiseNetwork
from synthesis.networks import Network, first_state
from synthesis.samplers.ddim import ddim
from synthesis.stepping import Velocity, noise_like
from synthesis.variance_preserving import scale
from training.data import MaskDropout, PhantomShards, batch_at
from training.latents import encoder_key
from training.recipe import Recipe, load_recipe

IMAGES, STEPS, BATCH = 16, 20, 4
TOLERANCE = 2e-3  # of each step back, root mean square on the states' scale
WHOLE = MaskDropout(whole=1.0, random_labels=0.0, seldom_labelled=0.0, liver_alone=0.0, attribute=0.0)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One way's answer: delta for each channel [C] (one number for the grid), and its size in sigma."""

    way: str
    delta: tuple[float, ...]
    dc_sigma: float
    note: str = ""


def estimates(
    recipe: Recipe,
    data: Path,
    *,
    images: int = IMAGES,
    steps: int = STEPS,
    grid: Sequence[float] = PAPER_GRID,
) -> list[Estimate]:
    """All three, for `images` images of the data; `steps` are those of the way back and of each drawing."""
    model = load_model(Path(recipe.init_from))
    network = model.network
    network.use_drift(None)  # a training draws its own noise, whatever this one learned from
    network.use_prompts(recipe.prompts and recipe.prompts.without_token())
    key = encoder_key(network, recipe.normalisation) if network.in_latents else ""
    batches = [
        batch_at(
            PhantomShards(data, key), recipe.normalisation, WHOLE,
            size=BATCH, seed=recipe.seed, step=step, network=network,
        )
        for step in range(-(-images // BATCH))
    ]  # fmt: skip
    x_1 = torch.cat([batch.images for batch in batches])
    times = model.times(steps)
    velocities = [_under(network, batch.condition) for batch in batches]
    return [
        _by_terminal_snr(network, x_1),
        _by_inversion(network, velocities, x_1, times),
        _by_grid(model, velocities, x_1, times, grid),
    ]


def _by_terminal_snr(network: Network, x_1: Tensor) -> Estimate:
    if not network.preserves_variance:
        note = "a rectified flow begins from pure noise: its start leaves nothing out"
        return _estimate("terminal SNR", torch.zeros(x_1.shape[1]), x_1, note)
    alpha_bar = float(cast("NoiseNetwork", network).schedule.alpha_bars[-1])
    return _estimate("terminal SNR", terminal_snr(x_1, alpha_bar), x_1)


@torch.no_grad()
def _by_inversion(
    network: Network, velocities: Sequence[Velocity], x_1: Tensor, times: Sequence[float]
) -> Estimate:
    pairs = zip(velocities, x_1.split(BATCH), strict=True)
    begun = torch.cat([inverted_path(v, part, times, tolerance=TOLERANCE)[0][1] for v, part in pairs])
    return _estimate("inversion", channel_means(begun) / scale(network.start), x_1)


@torch.no_grad()
def _by_grid(
    model: LoadedModel,
    velocities: Sequence[Velocity],
    x_1: Tensor,
    times: Sequence[float],
    grid: Sequence[float],
) -> Estimate:
    network = model.network
    real = network.decode(x_1)

    def make(delta: float) -> Tensor:
        drift = Drift(delta=delta, scheme="init_only")
        made = []
        for number, (velocity, part) in enumerate(zip(velocities, x_1.split(BATCH), strict=True)):
            noise = noise_like(part, torch.Generator().manual_seed(number))
            start = drifted_start(first_state(network, noise), network.start, drift)
            made.append(network.decode(ddim(velocity, start, times)))
        return torch.cat(made)

    found = grid_search(make, real, grid=grid)
    listed = ", ".join(f"{delta:g}: {distance:.3f}" for delta, distance in found.distances.items())
    return _estimate("grid", torch.tensor([found.best]), x_1, f"L1 of the distributions of grey: {listed}")


def _under(network: Network, condition: Any) -> Velocity:
    tensors = tuple(condition)
    return lambda x, t: network(x, t.expand(len(x)), *tensors).float()


def _estimate(way: str, delta: Tensor, x_1: Tensor, note: str = "") -> Estimate:
    whole = delta if len(delta) == x_1.shape[1] else delta.expand(x_1.shape[1])
    return Estimate(
        way=way,
        delta=tuple(float(one) for one in delta),
        dc_sigma=drift_dc_sigma(whole, x_1),
        note=note,
    )


def printed(found: Sequence[Estimate], say: Callable[[str], None] = print) -> None:
    """One line for each way, and what its numbers are."""
    for one in found:
        delta = ", ".join(f"{value:+.4f}" for value in one.delta)
        say(f"{one.way}: delta [{delta}], {one.dc_sigma:.2f} standard deviations of the start's noise")
        if one.note:
            say(f"  {one.note}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", help="a YAML file, or the name of one in training/recipes")
    parser.add_argument("--data", type=Path, help="folder of shards (default: the recipe's)")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--steps", type=int, default=STEPS, help="of the way back, and of each drawing")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    if not recipe.init_from:
        raise SystemExit("This recipe begins from nothing; a drift is chosen for a network that exists.")
    try:
        found = estimates(
            recipe, options.data or recipe.data_folder, images=options.images, steps=options.steps
        )
    except (ValueError, SynthesisError) as problem:
        raise SystemExit(str(problem)) from problem
    printed(found)


if __name__ == "__main__":
    main()
