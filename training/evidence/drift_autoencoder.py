"""The autoencoder of the evidence on drift: Stable Diffusion's class, small, learned from no patient.

It sees clothes and phantoms, never a target, as Stable Diffusion's was not made for medical images either.
Brightness and contrast are varied and half of the pictures are negatives, so that it takes any grey picture.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from training.ema import PowerEma
from training.evidence.drift_sets import SIDE, Pictures

Autoencoder = Any  # of AutoencoderKL, whose methods diffusers adds without types
CHANNELS = 4  # of a latent, as in Stable Diffusion
FACTOR = 4  # pixels to a side of one latent
BATCH = 8
RATE = 2e-3
WARMUP, DECAY = 50, 0.3
KL = 1e-6  # of the latents' law against N(0, I), as in Rombach et al. 2022
KEEP_EVERY = 200
CONFIG: dict[str, Any] = {
    "in_channels": 1,
    "out_channels": 1,
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "block_out_channels": (16, 32, 64),
    "layers_per_block": 1,
    "latent_channels": CHANNELS,
    "norm_num_groups": 8,
    "mid_block_add_attention": False,
    "sample_size": SIDE,
}


def train_autoencoder(
    clothes: Pictures, phantoms: Pictures, steps: int, folder: Path, *, seed: int = 0
) -> Autoencoder:
    """Mean |error| + KL of its latents, on half clothes and half phantoms [n, H, W]; goes on where it was.

    `phantoms` may be larger than SIDE: they are cut to it at random, or made smaller.
    """
    place = folder / "autoencoder.pt"
    network = fit_autoencoder(CONFIG, lambda rng: batch(clothes, phantoms, rng), steps, place, seed=seed)
    scale_latents(network, clothes[:512])
    return network


def fit_autoencoder(
    config: dict[str, Any],
    batch_at: Callable[[np.random.Generator], Pictures],
    steps: int,
    checkpoint: Path,
    *,
    seed: int = 0,
) -> Autoencoder:
    """Mean |error| + KL of the latents, on the pictures [B, H, W] that a step's generator draws."""
    torch.manual_seed(seed)
    network: Autoencoder = AutoencoderKL(**config)
    network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=1e-4)

    def loss_at(step: int) -> Tensor:
        rng = np.random.default_rng((seed, step))
        pictures = torch.from_numpy(batch_at(rng))[:, None]
        noise = torch.Generator().manual_seed(seed * 1_000_003 + step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            law = network.encode(pictures).latent_dist
            made = network.decode(law.sample(generator=noise)).sample
        return (made.float() - pictures).abs().mean() + KL * law.kl().float().mean()

    learn(network, optimiser, loss_at, steps, checkpoint, rate=RATE)
    network.eval().requires_grad_(False)
    return network


def scale_latents(network: Autoencoder, pictures: Pictures) -> None:
    """The factor that gives the latents of pictures a variance of 1 (Rombach et al. 2022, appendix G)."""
    network.register_to_config(scaling_factor=1 / float(encode(network, pictures).std()))


def batch(clothes: Pictures, phantoms: Pictures, rng: np.random.Generator) -> Pictures:
    """Half of BATCH of each: [BATCH, SIDE, SIDE], with brightness, contrast, sign and sides varied."""
    some = [clothes[i] for i in rng.integers(0, len(clothes), BATCH // 2)]
    for i in rng.integers(0, len(phantoms), BATCH - BATCH // 2):
        some.append(_cut(phantoms[i], rng))
    found = np.stack(some)
    gain = rng.uniform(0.4, 1.0, (BATCH, 1, 1)) * rng.choice([-1, 1], (BATCH, 1, 1))
    move = rng.uniform(-1, 1, (BATCH, 1, 1)) * (1 - np.abs(gain))
    flipped = np.where(rng.random((BATCH, 1, 1)) < 0.5, found[:, :, ::-1], found)
    return np.asarray(gain * flipped + move, np.float32)


def _cut(picture: Pictures, rng: np.random.Generator) -> Pictures:
    """SIDE x SIDE of a larger square picture: a window of it, or the whole at a lower resolution."""
    side = picture.shape[0]
    factor = side // SIDE
    if factor > 1 and rng.random() < 0.5:
        return np.asarray(picture.reshape(SIDE, factor, SIDE, factor).mean((1, 3)), np.float32)
    top, left = rng.integers(0, side - SIDE + 1, 2)
    return picture[top : top + SIDE, left : left + SIDE]


def learn(
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    loss_at: Callable[[int], Tensor],
    steps: int,
    checkpoint: Path,
    *,
    rate: float,
    ema: PowerEma | None = None,
) -> None:
    """Steps of an optimiser with warm-up and a straight fall to nothing; goes on from `checkpoint`."""
    first = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        first = int(state["step"])
        if ema is not None:
            ema.load_state_dict(state["ema"])
    network.train()
    began, losses = time.monotonic(), []
    for step in range(first, steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / WARMUP, (steps - step) / max(1, DECAY * steps))
        loss = loss_at(step)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        if ema is not None:
            ema.update(network, step + 1)
        if (step + 1) % KEEP_EVERY == 0 or step + 1 == steps:
            each = (time.monotonic() - began) / len(losses)
            left = each * (steps - step - 1) / 60
            print(f"step {step + 1}/{steps}  loss {np.mean(losses):.4f}  {left:.1f} min left", flush=True)
            began, losses = time.monotonic(), []
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            part = checkpoint.with_suffix(".part")
            torch.save(state | ({"ema": ema.state_dict()} if ema is not None else {}), part)
            os.replace(part, checkpoint)


@torch.no_grad()
def encode(network: Autoencoder, pictures: Pictures) -> Tensor:
    """Means of the latents [n, CHANNELS, h, w] of pictures [n, H, W], not scaled."""
    parts = [
        network.encode(torch.from_numpy(pictures[i : i + 64])[:, None]).latent_dist.mean
        for i in range(0, len(pictures), 64)
    ]
    return torch.cat(parts)


@torch.no_grad()
def reconstructed(network: Autoencoder, pictures: Pictures) -> Pictures:
    """What comes back of pictures [n, H, W]: the bound of every picture made from latents."""
    latents = encode(network, pictures)
    parts = [network.decode(latents[i : i + 64]).sample for i in range(0, len(latents), 64)]
    return torch.cat(parts)[:, 0].clamp(-1, 1).numpy()
