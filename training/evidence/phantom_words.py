"""A small Stable Diffusion 1.x that reads words, trained on CT phantoms: what pix2pix-zero is measured on.

`python -m training.evidence.phantom_words --data FOLDER --out FOLDER`

The classes, the schedule and the prompts are the product's own, the sizes are not; it sees no mask. Its
latents are the pixels: autoencoders of a few thousand steps smooth away the texture that severity is. The
folder of `--data` holds the phantom shards of `python -m training.prepare abdomen-2d`. A run that was stopped
goes on. The weights are not shipped.
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
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from synthesis.backbones.stable_diffusion import StableDiffusion
from synthesis.checkpoints import save_model
from synthesis.control.captions import captions_of
from synthesis.control.text import read_tokenizer, token_numbers
from synthesis.imaging.intensity import Normalisation
from synthesis.phantoms import GRADES
from synthesis.phantoms.labels import LABEL_SET, LIVER
from synthesis.request import MODALITIES, SEXES, Condition
from training.data import COLUMNS, ENCLOSED_AIR
from training.evidence.drift_autoencoder import Autoencoder, learn, scale_latents
from training.evidence.drift_sets import Pictures
from training.evidence.drift_source import (
    END,
    UNSTATED,
    WIDTH,
    Examples,
    learn_words,
    new_network,
    new_tokenizer,
)

MODALITY = "CT"
SIDE = 128
SCALE = Normalisation(units=(-1000.0, -150.0, 250.0, 1300.0), scaled=(-1.2, -0.2, 3.8, 4.8))
SHARDS = 32  # of 256 phantoms, half of them CT
STEPS = 660
RATE = 8e-4
CUTS = ((SIDE, 4, 0.2), (64, 8, 0.2), (32, 32, 0.6))  # pixels of a side, how many at once, share of the steps
LIVER_WEIGHT = 8.0  # of an error in the liver, where severity and steatosis show
TOLD = ((0.6, 0.06, 0.4), (0.2, 0.8, 1.0), (0.2, 0.0, 1.0))  # share of a batch, and from where to where of
# the schedule it is drawn: where words say what the noisy picture does not, of texture and of mean values
DROPPED = 0.1  # share of the times that one attribute is not told
AUTOENCODER: dict[str, Any] = {
    "in_channels": 1,
    "out_channels": 1,
    "down_block_types": ("DownEncoderBlock2D",),
    "up_block_types": ("UpDecoderBlock2D",),
    "block_out_channels": (4,),
    "layers_per_block": 1,
    "latent_channels": 1,
    "norm_num_groups": 1,
    "mid_block_add_attention": False,
    "sample_size": SIDE,
}
GREAT = 300.0  # a constant beside the picture that leaves group normalisation nothing else to divide by
SURE = -20.0  # logarithm of the variance of a latent
MEANINGS = 11  # numbers that a prompt states
READING_STEPS, READ_AT_ONCE, READING_RATE = 800, 64, 2e-3
NETWORK: dict[str, Any] = {
    "sample_size": SIDE,
    "in_channels": 1,
    "out_channels": 1,
    "down_block_types": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    "block_out_channels": (32, 64, 96, 128),
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
        """A batch of them, each cut to a square with a pixel of the liver in it, if there is one."""
        side, count, _ = CUTS[int(rng.choice(len(CUTS), p=[share for *_, share in CUTS]))]
        return [(int(i), *self._cut(int(i), side, rng)) for i in rng.integers(0, len(self), count)]

    def _cut(self, index: int, side: int, rng: np.random.Generator) -> tuple[slice, slice]:
        pixels = np.argwhere(self.livers[index])
        centre = pixels[rng.integers(len(pixels))] if len(pixels) else rng.integers(0, SIDE, 2)
        first = np.clip(centre - rng.integers(0, side, 2), 0, SIDE - side)
        return slice(int(first[0]), int(first[0]) + side), slice(int(first[1]), int(first[1]) + side)


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
    told: Any = itertools.product((*GRADES, None), (0, 1, 2, 3, None), (None, *range(18, 96)), (None, *SEXES))
    found: dict[str, None] = {}
    for severity, steatosis, age, sex in told:
        one = Condition(modality=MODALITY, severity=severity, steatosis=steatosis, age=age, sex=sex)
        found |= dict.fromkeys(captions_of(one))
    return list(found)


def code_of(person: Condition) -> list[float]:
    """What a prompt states as MEANINGS numbers: one of four severities, of four grades, of two sexes; age."""
    age = [0.0 if person.age is None else (person.age - 55) / 20]
    stated = ((GRADES, person.severity), (range(4), person.steatosis), (SEXES, person.sex))
    return [float(one == known) for all_known, one in stated for known in all_known] + age


def learn_to_read(network: StableDiffusion, checkpoint: Path, steps: int = READING_STEPS) -> None:
    """The text encoder learns to say the same of a person in whatever wording, as CLIP's did from pictures.

    E |O t - 2 c|^2 over the tokens t that end and fill a prompt, which have seen all of it; c: `code_of`, O:
    fixed orthonormal rows.
    """
    encoder: Any = network.get_submodule("text_encoder")
    words = read_tokenizer("tokenizer", network.tokenizers["tokenizer"])
    end = words.token_to_id(END)
    drawn = torch.Generator().manual_seed(0)
    rows = torch.linalg.qr(torch.randn(WIDTH, MEANINGS, generator=drawn)).Q
    encoder.requires_grad_(True)
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=READING_RATE, weight_decay=0.01)

    def loss_at(step: int) -> Tensor:
        rng = np.random.default_rng((0, step))
        people = [person_drawn(rng) for _ in range(READ_AT_ONCE)]
        prompts = [str(rng.choice(captions_of(one))) for one in people]
        numbers = token_numbers(words, prompts)[0]
        said = encoder(numbers)[0] @ rows - 2 * torch.tensor([code_of(one) for one in people])[:, None]
        return said.square().mean(-1)[numbers == end].mean()

    learn(encoder, optimiser, loss_at, steps, checkpoint, rate=READING_RATE)
    network.use_tokenizers(network.tokenizers)  # forgets what it read before
    encoder.eval().requires_grad_(False)


def person_drawn(rng: np.random.Generator) -> Condition:
    """Anyone, each attribute now and then not told."""
    told: dict[str, Any] = {
        "severity": str(rng.choice(GRADES)),
        "steatosis": int(rng.integers(4)),
        "age": float(rng.uniform(18, 95)),
        "sex": SEXES[int(rng.integers(2))],
    }
    told |= dict.fromkeys(name for name in told if rng.random() < DROPPED)
    return Condition(modality=MODALITY, **told)


def prompt_drawn(person: Condition, rng: np.random.Generator) -> str:
    """One of the wordings of a person, now and then with an attribute left out, or nothing at all."""
    names = ("severity", "steatosis", "age", "sex")
    left_out: dict[str, Any] = dict.fromkeys(name for name in names if rng.random() < DROPPED)
    wordings = captions_of(replace(person, **left_out))
    chosen = wordings[int(rng.integers(len(wordings)))]
    return "" if rng.random() < UNSTATED else chosen


def where_words_tell(generator: torch.Generator, count: int, of: int) -> Tensor:
    """Steps of the schedule [count], drawn from the stretches of TOLD by their shares."""
    shares, low, high = torch.tensor(TOLD).T
    which = torch.multinomial(shares, count, replacement=True, generator=generator)
    u = torch.rand(count, generator=generator)
    return ((low[which] + u * (high - low)[which]) * of).long().clamp(max=of - 1)


@torch.no_grad()
def pixels_as_latents() -> Autoencoder:
    """An autoencoder whose latents are the pixels, by construction.

    Four channels hold x, -x, GREAT and -GREAT, so that group normalisation divides by the same for every
    picture, to a share of x^2 / (2 GREAT^2); its layers add nothing to them, and silu(x) - silu(-x) = x.
    """
    network: Autoencoder = AutoencoderKL(**AUTOENCODER)
    for part in (network.encoder, network.decoder):
        for block in part.modules():
            if isinstance(block, ResnetBlock2D):
                for conv in (block.conv1, block.conv2):
                    _taps(conv, [[0.0] * 4] * 4, [0.0] * 4)
        _taps(part.conv_in, [[1.0], [-1.0], [0.0], [0.0]], [0.0, 0.0, GREAT, -GREAT])
        nn.init.constant_(part.conv_norm_out.weight, GREAT / 2**0.5)
        nn.init.zeros_(part.conv_norm_out.bias)
    _taps(network.encoder.conv_out, [[1.0, -1.0, 0.0, 0.0], [0.0] * 4], [0.0, SURE])
    _taps(network.decoder.conv_out, [[1.0, -1.0, 0.0, 0.0]], [0.0])
    _taps(network.quant_conv, [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0])
    _taps(network.post_quant_conv, [[1.0]], [0.0])
    return network.eval().requires_grad_(False)


def _taps(conv: nn.Conv2d, weights: Sequence[Sequence[float]], bias: Sequence[float]) -> None:
    """A convolution that sees the middle pixel alone: weights [out, in]."""
    nn.init.zeros_(conv.weight)
    middle = conv.kernel_size[0] // 2
    conv.weight[:, :, middle, middle] = torch.tensor(weights)
    if conv.bias is not None:
        conv.bias.copy_(torch.tensor(bias))


def train(
    data: Path, out: Path, *, steps: int = STEPS, shards: int = SHARDS, begin: Path | None = None
) -> str:
    """Train the network and pack it in out/model; the digest is returned.

    As in Stable Diffusion the text encoder has learned before and stays as it is. begin: a checkpoint whose
    averaged U-Net is begun with.
    """
    phantoms = read_phantoms(data, shards)
    vae = pixels_as_latents()
    scale_latents(vae, phantoms.pictures[:512])
    network = new_network(vae, new_tokenizer(corpus()), NETWORK)
    weights = sum(one.numel() for one in network.get_submodule("unet").parameters())
    print(f"{len(phantoms)} CT phantoms, {weights / 1e6:.1f} M weights", flush=True)
    words = read_tokenizer("tokenizer", network.tokenizers["tokenizer"])
    learn_to_read(network, out / "text.pt")
    latents = torch.from_numpy(phantoms.pictures)[:, None] * float(vae.config["scaling_factor"])

    def examples_at(rng: np.random.Generator) -> Examples:
        places = phantoms.drawn(rng)
        prompts = [prompt_drawn(phantoms.people[place[0]], rng) for place in places]
        x = torch.stack([latents[i, :, rows, columns] for i, rows, columns in places])
        livers = torch.from_numpy(np.stack([phantoms.livers[place] for place in places]))
        return Examples(x, token_numbers(words, prompts)[0], 1 + (LIVER_WEIGHT - 1) * livers[:, None].float())

    if begin is not None:
        kept = torch.load(begin, map_location="cpu", weights_only=True)["ema"]
        own = {name: one for name, one in kept.items() if name.startswith("unet.")}
        network.load_state_dict(network.state_dict() | own)
    learn_words(
        network,
        examples_at,
        steps,
        out / "network.pt",
        rate=RATE,
        steps_at=where_words_tell,
        text_learns=False,
    )
    return save_model(out / "model", network, recipe(steps, len(phantoms)))


def recipe(steps: int, phantoms: int) -> dict[str, Any]:
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
        "training": {"steps": steps, "phantoms": phantoms},
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("var/training/abdomen-2d/phantoms"))
    parser.add_argument("--out", type=Path, default=Path("var/training/abdomen-words"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--begin", type=Path, help="a checkpoint whose U-Net is begun with")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(train(options.data, options.out, steps=options.steps, begin=options.begin))


if __name__ == "__main__":
    main()
