"""Find which weights of a model matter: `python -m training.fit_fisher abdomen-2d --out FILE`.

The label-free Fisher information (training/fisher.py) over training phantoms, as the objective
`ewc` reads it. Prints the tensors by rank, most important first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from synthesis.checkpoints import load_model
from synthesis.latents import LatentNetwork
from synthesis.networks import Network
from synthesis.paths import interpolate
from training.backbones import trained_parts
from training.data import PhantomShards, batch_at
from training.fisher import fisher_label_free, ranked, save_fisher
from training.flow_path import draw_times, plain, start_of
from training.latents import encoder_key
from training.recipe import Recipe, find_model, load_recipe

BATCH = 8
SAMPLES = 256


def outputs(
    network: nn.Module, recipe: Recipe, shards: PhantomShards, samples: int, seed: int
) -> Iterator[Callable[[], Tensor]]:
    """The network's velocities at random times of random training phantoms, a batch at a time.

    Of shards with latents the network reads the condition itself.
    """
    reader = cast("Network", plain(network)) if shards.latents else None
    generator = torch.Generator().manual_seed(seed)
    for step in range(-(-samples // BATCH)):
        batch = batch_at(
            shards, recipe.normalisation, recipe.mask_dropout,
            size=BATCH, seed=seed, step=step, network=reader, latents=recipe.latents,
        )  # fmt: skip
        n = torch.randn(batch.images.shape, generator=generator)
        t = draw_times(len(batch.images), recipe.objective, generator, start_of(network))
        x_t = interpolate(n, batch.images, t)
        yield lambda x_t=x_t, t=t, batch=batch: network(x_t, t, *batch.condition)  # type: ignore[misc]


def fitted(
    model: Path, recipe: Recipe, *, phantoms: Path, samples: int = SAMPLES, seed: int = 0
) -> dict[str, Tensor]:
    """The label-free Fisher information of a model's trained weights over a folder of shards, by name."""
    network = load_model(model).network.float()
    trains = trained_parts(network, "all") if isinstance(network, LatentNetwork) else [""]
    for name in trains:
        network.get_submodule(name).requires_grad_(True)
    key = encoder_key(network, recipe.normalisation) if network.in_latents else ""
    read = outputs(network, recipe, PhantomShards(phantoms, key), samples, seed)
    return fisher_label_free(network, read, torch.Generator().manual_seed(seed))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="name under weights/, or a folder")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--recipe", help="whose phantoms, times and masks (default: of the model's name)")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--phantoms", type=Path, help="folder of shards (default: the recipe's)")
    options = parser.parse_args()
    folder = find_model(options.model)
    recipe = load_recipe(options.recipe or folder.name)
    fisher = fitted(
        folder,
        recipe,
        phantoms=options.phantoms or recipe.data_folder,
        samples=options.samples,
        seed=options.seed,
    )
    save_fisher(options.out, fisher)
    for name in ranked(fisher):
        print(f"{float(fisher[name].mean()):.3e}  {name}")


if __name__ == "__main__":
    main()
