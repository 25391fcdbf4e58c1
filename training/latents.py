"""Latents of an encoder beside the images of a shard: mean and spread, never a single draw of them.

Stored as mu + sigma e with a fresh e at encoding, latents would carry that noise for good: a velocity
could not get below `noise_floor`, however long it learned (math.md section 6).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import pi, sqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.integrate import quad

from synthesis.imaging.intensity import Normalisation
from synthesis.networks import Network
from synthesis.request import MODALITIES

MEAN_FILE, STD_FILE, KEY_FILE = "mean.npy", "std.npy", "latents.json"
BATCH = 8


@dataclass(frozen=True)
class Spread:
    """How latents vary: `of_means` is the variance of mu, `inside` the mean of sigma^2, per number."""

    of_means: float
    inside: float

    @property
    def noise_share(self) -> float:
        """q: the share of the encoder's own noise in the variance of a drawn latent."""
        return self.inside / (self.inside + self.of_means)


def noise_floor(share: float, shift: float = 1.0) -> float:
    """Least mean |error| of a velocity on latents mu + sigma e of variance 1, a share q of which is noise.

    E_t sqrt(2 / pi Var[v]) with Var[v] = q / (t^2 q + (1 - t)^2) (math.md section 6); sigma = 1 - t is
    uniform, then shifted. 0.7056 at q = 0.275; without a shift it is
    sqrt(2 q / pi) (asinh sqrt(q) + asinh 1 / sqrt(q)) / sqrt(1 + q).
    """
    if not 0 <= share <= 1 or shift <= 0:
        raise ValueError(f"expected a share in 0..1 and a shift above 0, got {share} and {shift}")
    if share == 0:
        return 0.0

    def error(u: float) -> float:
        sigma = shift * u / (1 + (shift - 1) * u)
        return sqrt(2 / pi * share / ((1 - sigma) ** 2 * share + sigma**2))

    return float(quad(error, 0.0, 1.0)[0])


def encoder_key(network: Network, normalisation: Mapping[str, Normalisation]) -> str:
    """A digest of all that latents depend on: the encoder's weights and settings, and the intensity maps.

    Networks that share an autoencoder share their latents. Raises ValueError for a network on images.
    """
    vae = getattr(network, "vae", None)
    if not network.in_latents or vae is None:
        raise ValueError(f"{network.name} draws on the image itself: it has no latents to keep")
    about = {
        "config": {k: v for k, v in dict(vae.config).items() if not k.startswith("_")},
        "normalisation": {name: asdict(one) for name, one in sorted(normalisation.items())},
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for name, tensor in sorted(vae.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def cache_latents(folder: Path, network: Network, normalisation: Mapping[str, Normalisation]) -> Spread:
    """Write the latents of every shard below `folder` that has none of this encoder; returns their spread.

    A shard gets mean.npy and std.npy [n, C, h, w], in half precision where it can hold them, and last
    latents.json with the encoder's key. Latents of another encoder are replaced. Raises ValueError where
    there are no shards.
    """
    key = encoder_key(network, normalisation)
    shards = sorted(shard for shard in folder.glob("shard-*") if shard.is_dir())
    if not shards:
        raise ValueError(f"there are no shards under {folder}; write those first")
    for shard in shards:
        if key_of(shard) != key:
            _write(shard, network, normalisation, key)
    return spread_of(shards)


def key_of(shard: Path) -> str:
    """The key of the encoder whose latents a shard has; empty where it has none."""
    file = shard / KEY_FILE
    return str(json.loads(file.read_text(encoding="utf-8"))["encoder"]) if file.is_file() else ""


def spread_of(shards: list[Path]) -> Spread:
    """Variance of the means and mean variance of the cached latents of these shards."""
    count, total, square, inside = 0, 0.0, 0.0, 0.0
    for shard in shards:
        mean = np.load(shard / MEAN_FILE, mmap_mode="r")
        count += mean.size
        total += float(np.sum(mean, dtype=np.float64))
        square += float(np.sum(np.square(mean, dtype=np.float64)))
        inside += float(np.sum(np.square(np.load(shard / STD_FILE, mmap_mode="r"), dtype=np.float64)))
    return Spread(of_means=square / count - (total / count) ** 2, inside=inside / count)


def _write(shard: Path, network: Network, normalisation: Mapping[str, Normalisation], key: str) -> None:
    images = np.load(shard / "images.npy", mmap_mode="r")
    modalities = [MODALITIES[int(row[1])] for row in np.load(shard / "attributes.npy")]
    means, stds = [], []
    for first in range(0, len(images), BATCH):
        scaled = [
            normalisation[modality].forward(np.asarray(image, np.float32))
            for image, modality in zip(images[first : first + BATCH], modalities[first : first + BATCH])
        ]
        mean, std = encoded(network, np.stack(scaled))
        means.append(mean)
        stds.append(std)
    (shard / KEY_FILE).unlink(missing_ok=True)
    np.save(shard / MEAN_FILE, _half(np.concatenate(means)))
    np.save(shard / STD_FILE, _half(np.concatenate(stds)))
    (shard / KEY_FILE).write_text(json.dumps({"encoder": key, "network": network.name}), encoding="utf-8")


@torch.inference_mode()
def encoded(
    network: Network, images: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and standard deviation [B, C, h, w] of the latents of images [B, H, W] on the network's scale."""
    weight = next(network.parameters())
    mean, std = network.encode(torch.from_numpy(images)[:, None].to(weight.device, weight.dtype))
    return mean.float().cpu().numpy(), std.float().cpu().numpy()


def _half(values: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
    """The values in half precision; as they are where that cannot hold the largest."""
    return values if np.abs(values).max() > np.finfo(np.float16).max else values.astype(np.float16)
