"""Pairs of images to learn a change from: two folders of shards in step, `before` and `after`.

Both hold shards as `training.prepare` writes them; the n-th image of a shard `before` is the same person and
slice as the n-th of the shard of that name `after`, with one thing different, or several.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthesis.imaging.intensity import Normalisation
from synthesis.networks import Network
from synthesis.phantoms import Attributes, Phantom, abdomen, phantom_seed
from synthesis.phantoms.attributes import MAX_LESIONS
from synthesis.phantoms.labels import LIVER
from synthesis.phantoms.streams import stream
from training.data import (
    COLUMNS,
    ENCLOSED_AIR,
    Batch,
    MaskDropout,
    PhantomShards,
    scaled,
    told,
    told_in_words,
)

BEFORE, AFTER = "before", "after"
STATED = [COLUMNS.index(name) for name in ("severity_texture", "steatosis", "age", "sex")]
APART = 100_000  # phantoms
LEAST_LIVER = 150 / 128**2  # of an image's pixels
UNCHANGED = 0.1  # share of a batch that is shown the very image that it shall draw

# What is changed between the two phantoms of a pair, and how often.
KINDS: Mapping[str, tuple[tuple[str, ...], float]] = {
    "severity": (("severity_texture",), 0.44),
    "steatosis": (("steatosis",), 0.14),
    "lesions": (("lesions",), 0.14),
    "age": (("age",), 0.08),
    "sex": (("sex",), 0.04),
    "shape": (("severity_shape",), 0.04),
    "several": (("severity_texture", "steatosis", "lesions"), 0.12),
}


class _After(PhantomShards):
    """The shards of one folder that are ready in the other one too."""

    def __init__(self, folder: Path, latents: str) -> None:
        self.other = folder.parent / BEFORE
        super().__init__(folder, latents)

    def _is_ready(self, shard: Path) -> bool:
        other = self.other / shard.name
        return super()._is_ready(shard) and other.is_dir() and super()._is_ready(other)


class _Before(PhantomShards):
    """The shards that have been taken from the other folder, in the same order."""

    def __init__(self, folder: Path, latents: str, after: PhantomShards) -> None:
        self.after = after
        super().__init__(folder, latents)

    def _is_ready(self, shard: Path) -> bool:
        return shard.name in self.after.names


class PairShards:
    """The pairs under a folder with the shards `before` and `after`, which may still be growing."""

    def __init__(self, folder: Path, latents: str = "") -> None:
        self.folder, self.latents = folder, latents
        self.after = _After(folder / AFTER, latents)
        self.before = _Before(folder / BEFORE, latents, self.after)

    def refresh(self) -> None:
        """Take in the pairs that were finished since the last look."""
        self.after.refresh()
        self.before.refresh()

    def __len__(self) -> int:
        return len(self.before)

    def column(self, name: str) -> npt.NDArray:
        """One attribute of every image after, by its name in COLUMNS."""
        return self.after.column(name)

    def known_diagnoses(self) -> list[str]:
        """Every diagnosis that is said of an image before or after, sorted."""
        return sorted({*self.before.known_diagnoses(), *self.after.known_diagnoses()})


def pair_batch_at(
    shards: PairShards,
    normalisation: Mapping[str, Normalisation],
    dropout: MaskDropout,
    *,
    size: int,
    seed: int,
    step: int,
    rank: int = 0,
    network: Network | None = None,
    latents: str = "mean",
) -> Batch:
    """The batch of one step, as `training.data.batch_at`, with the images before as its source.

    Every pair is learned both ways, and a share UNCHANGED of a batch is shown what it shall draw. What a
    pair changes is always stated; what it does not change may be left out, and so comes to mean "as it
    is". A network that is told patients in words is told those of the image after, with the diagnosis among
    what a pair may change. The latents of a source are their means, never draws.
    """
    if len(shards) == 0:
        raise ValueError(f"there are no pairs under {shards.folder}; run training.prepare first")
    rng = np.random.default_rng((seed, step, rank))
    indices = rng.integers(0, len(shards), size)
    turned, same = rng.random(size) < 0.5, rng.random(size) < UNCHANGED
    ends = [shards.before.take(indices), shards.after.take(indices)]
    stored, rows = (_chosen(~turned, ends[1][part], ends[0][part]) for part in (1, 2))
    kept = (ends[0][2][:, STATED] != ends[1][2][:, STATED]) & ~same[:, None]
    words: tuple[str, ...] = ()
    if getattr(network, "prompts", None) is None:
        condition = told(stored, rows, rng, dropout, network, kept)
    else:
        found = [np.array(part.diagnoses(indices), object) for part in (shards.before, shards.after)]
        kept = np.column_stack([kept, (found[0] != found[1]) & ~same])
        diagnoses = _chosen(~turned, found[1], found[0]).tolist()
        condition, words = told_in_words(network, stored, rows, diagnoses, rng, dropout, kept=kept)
    truth = torch.from_numpy(stored & ~np.uint8(ENCLOSED_AIR)).long()
    if shards.latents:
        pairs = [shards.before.take_latents(indices), shards.after.take_latents(indices)]
        means, spread = ([pair[part] for pair in pairs] for part in (0, 1))
        images = _where(~turned, means[1], means[0])
        if latents == "sample":
            drawn = torch.from_numpy(rng.standard_normal(images.shape, np.float32))
            images = images + _where(~turned, spread[1], spread[0]) * drawn
        return Batch(images, condition, truth, _where(turned ^ same, means[1], means[0]), words)
    states = [scaled(image, row, normalisation) for image, _, row in ends]
    images = _where(~turned, states[1], states[0])
    return Batch(images, condition, truth, _where(turned ^ same, states[1], states[0]), words)


def _chosen(which: npt.NDArray[np.bool_], one: npt.NDArray, other: npt.NDArray) -> npt.NDArray:
    """The items of `one` where `which` [n], else those of `other`."""
    return np.where(which.reshape(-1, *[1] * (one.ndim - 1)), one, other)


def _where(which: npt.NDArray[np.bool_], one: Tensor, other: Tensor) -> Tensor:
    return torch.where(torch.from_numpy(which).reshape(-1, *[1] * (one.ndim - 1)), one, other)


def changed_attributes(seed: int, own: Attributes) -> Attributes:
    """The attributes of the other phantom of a pair: what KINDS says by that seed, drawn anew."""
    rng = stream(seed, "pair")
    names, shares = list(KINDS), [share for _, share in KINDS.values()]
    kind = names[int(rng.choice(len(names), p=shares))]
    return replace(own, **{name: _another(name, getattr(own, name), rng) for name in KINDS[kind][0]})


def _another(name: str, value: Any, rng: np.random.Generator) -> Any:
    if name == "sex":
        return "M" if value == "F" else "F"
    if name == "age":
        return round(float(rng.uniform(18.0, 90.0)), 1)
    others = [one for one in range(MAX_LESIONS if name == "lesions" else 4) if one != value]
    if name == "lesions" and value:
        return 0 if rng.random() < 0.7 else int(rng.choice(others))
    return int(rng.choice(others))


def pair_of(split: str, index: int, shape: tuple[int, int], modality: str) -> tuple[Phantom, Phantom]:
    """A phantom of a split and the same with something changed: same person, level and noise.

    It is phantom `index`, or the next one APART from there whose liver covers at least LEAST_LIVER.
    """
    before = abdomen(phantom_seed(split, index), shape=shape, modality=modality)
    while np.mean(before.labels == LIVER) < LEAST_LIVER:
        index += APART
        before = abdomen(phantom_seed(split, index), shape=shape, modality=modality)
    other = changed_attributes(before.seed, before.attributes)
    return before, abdomen(before.seed, shape=shape, modality=modality, attributes=other)
