"""Train the judges on training phantoms: `python -m training.fit_judges abdomen-2d [--only severity]`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthesis.metrics.judges import KINDS, liver_crop, save_judge
from synthesis.phantoms.labels import BODY
from synthesis.request import MODALITIES
from training.data import ENCLOSED_AIR, PhantomShards
from training.recipe import Recipe, load_recipe

STEPS = {"segmenter": 1200, "severity": 1200, "features": 1200}
SEED = {"segmenter": 3, "severity": 3, "features": 4}
BATCH = {"segmenter": 16, "severity": 32, "features": 16}
HELD_BACK = 256  # the last training phantoms, kept for the scores stated in judges.json


def fit(name: str, recipe: Recipe, shards: PhantomShards, steps: int) -> tuple[nn.Module, float]:
    """Train one judge; returns it with its score on the phantoms held back (pixel or grade accuracy)."""
    torch.manual_seed(SEED[name])
    network = KINDS[name]().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps, pct_start=0.1)
    rng = np.random.default_rng(SEED[name])
    network.train()
    began, running = time.monotonic(), 0.0
    for step in range(steps):
        if step % 200 == 0:
            shards.refresh()
        chosen = rng.integers(0, len(shards) - HELD_BACK, BATCH[name])
        with torch.autocast("cpu", torch.bfloat16):
            loss, score = _loss(name, network, *_load(recipe, shards, chosen))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        running += score
        if (step + 1) % 100 == 0:
            spent = time.monotonic() - began
            print(
                f"{name} {step + 1}/{steps}  loss {float(loss.detach()):.3f}  "
                f"score {running / 100:.3f}  {spent:.0f} s",
                flush=True,
            )
            running = 0.0
    network.eval()
    with torch.no_grad():
        held = np.arange(len(shards) - HELD_BACK, len(shards))
        scores = [
            _loss(name, network, *_load(recipe, shards, part))[1]
            for part in np.array_split(held, -(-HELD_BACK // 16))
        ]
    return network, float(np.mean(scores))


def _load(recipe: Recipe, shards: PhantomShards, chosen: np.ndarray) -> tuple[Tensor, np.ndarray, Tensor]:
    images, stored, rows = shards.take(chosen)
    maps = recipe.normalisation
    scaled = np.stack([maps[MODALITIES[int(r[1])]].forward(i) for i, r in zip(images, rows, strict=True)])
    return torch.from_numpy(scaled)[:, None], stored & ~np.uint8(ENCLOSED_AIR), torch.from_numpy(rows).float()


def _loss(
    name: str, network: nn.Module, images: Tensor, labels: np.ndarray, rows: Tensor
) -> tuple[Tensor, float]:
    """Loss of one batch, and the share of pixels or texture grades that are right."""
    modality = F.one_hot(rows[:, 1].long(), 3).float()
    if name != "severity":
        truth = torch.from_numpy(labels).long()
        logits = network(images, modality).float()
        right = (logits.argmax(1) == truth)[truth > BODY].float().mean()
        return F.cross_entropy(logits, truth), float(right)
    grade = rows[:, 2].long()
    crops = torch.stack([liver_crop(i[0], m) for i, m in zip(images, labels, strict=True)])
    seen = crops[:, 1].sum((1, 2)) > 0
    logits = network(crops, modality).float()
    right = (logits.argmax(1) == grade)[seen].float().mean()
    return F.cross_entropy(logits[seen], grade[seen]), float(right)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("weights/judges"))
    parser.add_argument("--only", choices=sorted(KINDS))
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    shards = PhantomShards(options.data or recipe.data_folder)
    torch.set_num_threads(1)
    for name in [options.only] if options.only else list(KINDS):
        steps = options.steps or STEPS[name]
        network, score = fit(name, recipe, shards, steps)
        about = {
            "steps": steps,
            "batch": BATCH[name],
            "phantoms": len(shards) - HELD_BACK,
            "score_held_back": round(score, 4),
        }
        save_judge(options.out, name, network, about)
        print(name, about, flush=True)


if __name__ == "__main__":
    main()
