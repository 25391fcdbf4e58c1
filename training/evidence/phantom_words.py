"""A small Stable Diffusion 1.x that reads words, trained on CT phantoms: what pix2pix-zero is measured on.

`python -m training.evidence.phantom_words --data FOLDER --out FOLDER`

The classes, the schedule and the prompts are the product's own, the sizes are not; it sees no mask. FOLDER
holds the phantom shards of `python -m training.prepare abdomen-2d`. A run that was stopped goes on. The
weights are not shipped.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from synthesis.checkpoints import save_model
from synthesis.control.captions import captions_of
from synthesis.control.text import read_tokenizer, token_numbers
from synthesis.imaging.intensity import Normalisation
from synthesis.phantoms import GRADES
from synthesis.phantoms.labels import LABEL_SET, LIVER
from synthesis.request import MODALITIES, SEXES, Condition
from training.data import COLUMNS, ENCLOSED_AIR
from training.evidence.drift_autoencoder import Autoencoder, encode, fit_autoencoder, scale_latents
from training.evidence.drift_sets import Pictures
from training.evidence.drift_source import (
    UNSTATED,
    WIDTH,
    Examples,
    even_steps,
    learn_words,
    new_network,
    new_tokenizer,
)

MODALITY = "CT"
SIDE, FACTOR, CHANNELS = 128, 2, 4
SCALE = Normalisation(units=(-1000.0, -150.0, 250.0, 1300.0), scaled=(-3.0, -2.0, 2.0, 3.0))
SHARDS = 24  # of 256 phantoms, half of them CT
AUTOENCODER_STEPS, STEPS = 2400, 3000
BATCH = 8
RATE = 6e-4
WHOLE = 0.1  # share of the steps that see whole pictures; the others see squares of CUT pixels around a liver
CUT = 64
LIVER_WEIGHT = 8.0  # of an error in the liver, where severity and steatosis show
LATE, LATE_STEPS = 0.5, 0.2  # share of a batch that is drawn from the schedule's first fifth: texture
DROPPED = 0.1  # share of the times that one attribute is not told
AUTOENCODER: dict[str, Any] = {
    "in_channels": 1,
    "out_channels": 1,
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "latent_channels": CHANNELS,
    "norm_num_groups": 8,
    "mid_block_add_attention": False,
    "sample_size": SIDE,
}
NETWORK: dict[str, Any] = {
    "sample_size": SIDE // FACTOR,
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (64, 96, 128),
    "layers_per_block": 1,
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 4,
    "norm_num_groups": 16,
}


@dataclass(frozen=True)
class Phantoms:
    """CT phantoms: pictures [n, H, W] as the network sees them, livers [n, H, W], and who they are."""

    pictures: Pictures
    livers: npt.NDArray[np.bool_]
    people: Sequence[Condition]

    def __len__(self) -> int:
        return len(self.pictures)

    def drawn(self, rng: np.random.Generator) -> list[tuple[int, slice, slice]]:
        """BATCH of them, whole or each cut to a square with a pixel of the liver in it, if there is one."""
        which = [int(i) for i in rng.integers(0, len(self), BATCH)]
        if rng.random() < WHOLE:
            return [(i, slice(0, SIDE), slice(0, SIDE)) for i in which]
        return [(i, *self._cut(i, rng)) for i in which]

    def _cut(self, index: int, rng: np.random.Generator) -> tuple[slice, slice]:
        pixels = np.argwhere(self.livers[index])
        centre = pixels[rng.integers(len(pixels))] if len(pixels) else rng.integers(0, SIDE, 2)
        first = np.clip(centre - rng.integers(0, CUT, 2), 0, SIDE - CUT) // FACTOR * FACTOR
        return slice(int(first[0]), int(first[0]) + CUT), slice(int(first[1]), int(first[1]) + CUT)


def read_phantoms(folder: Path, shards: int = SHARDS) -> Phantoms:
    """The CT phantoms of the first shards of a folder. Raises ValueError where there are none."""
    places = sorted(folder.glob("shard-*"))[:shards]
    if not places:
        raise ValueError(f"there are no shards under {folder}; write them with training.prepare")
    pictures, livers, people = [], [], []
    for place in places:
        rows = np.load(place / "attributes.npy")
        ours = np.flatnonzero(rows[:, COLUMNS.index("modality")] == MODALITIES.index(MODALITY))
        images = np.load(place / "images.npy", mmap_mode="r")[ours]
        labels = np.load(place / "labels.npy", mmap_mode="r")[ours]
        pictures.append(SCALE.forward(images.astype(np.float32)))
        livers.append((labels & np.uint8(~np.uint8(ENCLOSED_AIR))) == LIVER)
        people += [_person(dict(zip(COLUMNS, row, strict=True))) for row in rows[ours]]
    return Phantoms(np.concatenate(pictures), np.concatenate(livers), people)


def _person(row: dict[str, float]) -> Condition:
    return Condition(
        modality=MODALITY,
        severity=GRADES[int(row["severity_texture"])],
        steatosis=int(row["steatosis"]),
        age=float(row["age"]),
        sex=SEXES[int(row["sex"])],
    )


def corpus() -> list[str]:
    """Every word that the product's prompts and captions of a CT can hold."""
    told = itertools.product((*GRADES, None), (0, 1, 2, 3, None), (None, *range(18, 96)), (None, *SEXES))
    found: dict[str, None] = {}
    for severity, steatosis, age, sex in told:
        one = Condition(modality=MODALITY, severity=severity, steatosis=steatosis, age=age, sex=sex)
        found |= dict.fromkeys(captions_of(one))
    return list(found)


def prompt_drawn(person: Condition, rng: np.random.Generator) -> str:
    """One of the wordings of a person, now and then with an attribute left out, or nothing at all."""
    names = ("severity", "steatosis", "age", "sex")
    left_out = dict.fromkeys((name for name in names if rng.random() < DROPPED), None)
    wordings = captions_of(replace(person, **left_out))
    chosen = wordings[int(rng.integers(len(wordings)))]
    return "" if rng.random() < UNSTATED else chosen


def often_late(generator: torch.Generator, count: int, of: int) -> Tensor:
    """Steps of the schedule: a share LATE of them among its first, where there is little noise."""
    k = even_steps(generator, count, of)
    late = torch.rand(count, generator=generator) < LATE
    return torch.where(late, (k * LATE_STEPS).long(), k)


def train(data: Path, out: Path, *, steps: int = STEPS, autoencoder_steps: int = AUTOENCODER_STEPS) -> str:
    """Train autoencoder, then network, and pack them in out/model; the digest is returned."""
    phantoms = read_phantoms(data)
    print(f"{len(phantoms)} CT phantoms", flush=True)
    vae = fit_autoencoder(
        AUTOENCODER,
        lambda rng: np.stack([phantoms.pictures[one] for one in phantoms.drawn(rng)]),
        autoencoder_steps,
        out / "autoencoder.pt",
    )
    scale_latents(vae, phantoms.pictures[:512])
    network = new_network(vae, new_tokenizer(corpus()), NETWORK)
    print(f"{sum(p.numel() for p in network.get_submodule('unet').parameters()) / 1e6:.1f} M", flush=True)
    words = read_tokenizer("tokenizer", network.tokenizers["tokenizer"])
    latents, weights = latents_of(vae, phantoms.pictures), liver_weights(phantoms.livers)

    def examples_at(rng: np.random.Generator) -> Examples:
        places = [
            (i, ..., *(slice(s.start // FACTOR, s.stop // FACTOR) for s in cut))
            for i, *cut in phantoms.drawn(rng)
        ]
        prompts = [prompt_drawn(phantoms.people[place[0]], rng) for place in places]
        x, weight = (torch.stack([one[place] for place in places]).float() for one in (latents, weights))
        return Examples(x, token_numbers(words, prompts)[0], weight)

    learn_words(network, examples_at, steps, out / "network.pt", rate=RATE, steps_at=often_late)
    return save_model(out / "model", network, recipe(steps, autoencoder_steps, len(phantoms)))


def latents_of(vae: Autoencoder, pictures: Pictures) -> Tensor:
    """Means of the latents [n, C, h, w] of pictures, scaled, in half precision."""
    parts = [encode(vae, pictures[i : i + 64]) for i in range(0, len(pictures), 64)]
    return (torch.cat(parts) * float(vae.config["scaling_factor"])).half()


def liver_weights(livers: npt.NDArray[np.bool_]) -> Tensor:
    """How much an error counts at every latent [n, 1, h, w], in half precision."""
    share = F.avg_pool2d(torch.from_numpy(livers)[:, None].half().float(), FACTOR)
    return (1 + (LIVER_WEIGHT - 1) * share).half()


def recipe(steps: int, autoencoder_steps: int, phantoms: int) -> dict[str, Any]:
    """What the packed model says of itself."""
    return {
        "name": "abdomen-words",
        "title": "Stable Diffusion's classes at a small size, told of CT phantoms in words",
        "version": "1.0",
        "modalities": [MODALITY],
        "image": {
            "rows": SIDE,
            "columns": SIDE,
            "normalisation": {MODALITY: {"units": SCALE.units, "scaled": SCALE.scaled}},
        },
        "labels": {str(label.value): label.name for label in LABEL_SET},
        "calibration": {},
        "training": {"steps": steps, "autoencoder_steps": autoencoder_steps, "phantoms": phantoms},
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("var/training/abdomen-2d/phantoms"))
    parser.add_argument("--out", type=Path, default=Path("var/training/abdomen-words"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--autoencoder-steps", type=int, default=AUTOENCODER_STEPS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(train(options.data, options.out, steps=options.steps, autoencoder_steps=options.autoencoder_steps))


if __name__ == "__main__":
    main()
