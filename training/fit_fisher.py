"""Find which weights of a model matter: `python -m training.fit_fisher abdomen-2d --out FILE`.

The label-free Fisher information (training/fisher.py) over training phantoms, as the objective
`ewc` reads it. Prints the tensors by rank, most important first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from synthesis.checkpoints import load_model
from synthesis.paths import interpolate
from training.data import PhantomShards, batch_at
from training.evaluate import find_model
from training.fisher import fisher_label_free, ranked, save_fisher
from training.flow_path import draw_times, start_of
from training.recipe import Recipe, load_recipe

BATCH = 8


def outputs(
    network: nn.Module, recipe: Recipe, shards: PhantomShards, samples: int, seed: int
) -> Iterator[Callable[[], Tensor]]:
    """The network's velocities at random times of random training phantoms, a batch at a time."""
    generator = torch.Generator().manual_seed(seed)
    for step in range(-(-samples // BATCH)):
        batch = batch_at(shards, recipe.normalisation, recipe.mask_dropout, size=BATCH, seed=seed, step=step)
        n = torch.randn(batch.images.shape, generator=generator)
        t = draw_times(len(batch.images), recipe.objective, generator, start_of(network))
        x_t = interpolate(n, batch.images, t)
        yield lambda x_t=x_t, t=t, batch=batch: network(x_t, t, *batch.condition)  # type: ignore[misc]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="name under weights/, or a folder")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--phantoms", type=Path, help="folder of shards (default: the recipe's)")
    options = parser.parse_args()
    folder = find_model(options.model)
    recipe = load_recipe(folder.name)
    network = load_model(folder).network.float().requires_grad_(True)
    shards = PhantomShards(options.phantoms or recipe.data_folder)
    fisher = fisher_label_free(
        network,
        outputs(network, recipe, shards, options.samples, options.seed),
        torch.Generator().manual_seed(options.seed),
    )
    save_fisher(options.out, fisher)
    for name in ranked(fisher):
        print(f"{float(fisher[name].mean()):.3e}  {name}")


if __name__ == "__main__":
    main()
