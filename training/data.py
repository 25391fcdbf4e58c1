"""Training batches: shards of phantoms on disk, mask dropout, and the painted condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthesis.control.painting import ConditionTensors, paint_arrays
from synthesis.imaging.intensity import Normalisation
from synthesis.phantoms import labels as names
from synthesis.request import MODALITIES

ENCLOSED_AIR = 128  # bit of a stored label: air inside the body (gas in stomach or bowel)
COLUMNS = (
    "seed",
    "modality",
    "severity_texture",
    "severity_shape",
    "steatosis",
    "lesions",
    "age",
    "sex",
    "spacing_mm",
)

# What TotalSegmentator-like label sets leave unlabelled inside the body.
SELDOM_LABELLED = (names.FAT, names.MUSCLE, names.SKIN, names.ASCITES, names.CANAL)
ORGANS = tuple(v for v in range(2, 20) if v not in (names.LIVER, names.LESION))

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class MaskDropout:
    """How often a training mask is given whole, or with what left to "unknown inside the body"."""

    whole: float = 0.5
    random_labels: float = 0.15
    seldom_labelled: float = 0.2
    liver_alone: float = 0.15
    attribute: float = 0.1  # chance that severity, steatosis, age and sex go unstated, each

    def __post_init__(self) -> None:
        total = self.whole + self.random_labels + self.seldom_labelled + self.liver_alone
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the mask regimes must add up to 1, got {total}")


class Batch(NamedTuple):
    """images [B, 1, H, W] on the network's scale; the condition; labels [B, H, W] as they truly are."""

    images: Tensor
    condition: ConditionTensors
    labels: Tensor


class PhantomShards:
    """The phantoms under a folder of shards, which may still be growing.

    A shard is a folder with images.npy [n, H, W] float16 in HU or signal, labels.npy [n, H, W]
    uint8 and attributes.npy [n, len(COLUMNS)] float64; `training.prepare` writes them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards: list[tuple[npt.NDArray, npt.NDArray, npt.NDArray]] = []
        self._names: list[str] = []
        self.refresh()

    def refresh(self) -> None:
        """Take in the shards that were finished since the last look, in the order of their names."""
        for shard in sorted(self.folder.glob("shard-*")):
            if shard.name not in self._names and shard.is_dir():
                arrays = [np.load(shard / f"{part}.npy", mmap_mode="r") for part in ("images", "labels")]
                self._shards.append((arrays[0], arrays[1], np.load(shard / "attributes.npy")))
                self._names.append(shard.name)
        self._ends = (
            np.cumsum([len(rows) for _, _, rows in self._shards]) if self._shards else np.zeros(0, int)
        )

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def column(self, name: str) -> npt.NDArray:
        """One attribute of every phantom, by its name in COLUMNS."""
        return np.concatenate([rows[:, COLUMNS.index(name)] for _, _, rows in self._shards])

    def take(self, indices: npt.NDArray) -> tuple[npt.NDArray, Labels, npt.NDArray]:
        """images [n, H, W] float32, labels [n, H, W] with their ENCLOSED_AIR bit, attributes [n, columns]."""
        images, labels, attributes = [], [], []
        for index in indices:
            shard = int(np.searchsorted(self._ends, index, side="right"))
            row = int(index) - (int(self._ends[shard - 1]) if shard else 0)
            images.append(np.asarray(self._shards[shard][0][row], np.float32))
            labels.append(np.asarray(self._shards[shard][1][row]))
            attributes.append(self._shards[shard][2][row])
        return np.stack(images), np.stack(labels), np.stack(attributes)


def batch_at(
    shards: PhantomShards,
    normalisation: Mapping[str, Normalisation],
    dropout: MaskDropout,
    *,
    size: int,
    seed: int,
    step: int,
    rank: int = 0,
) -> Batch:
    """The batch of one step: a function of (seed, step, rank) and of the shards alone."""
    if len(shards) == 0:
        raise ValueError(f"there are no phantoms under {shards.folder}; run training.prepare first")
    rng = np.random.default_rng((seed, step, rank))
    images, stored, rows = shards.take(rng.integers(0, len(shards), size))
    given = np.stack([drop_labels(mask, rng, dropout) for mask in stored])
    scaled = np.stack(
        [
            normalisation[MODALITIES[int(row[1])]].forward(image)
            for image, row in zip(images, rows, strict=True)
        ]
    )
    condition = paint_arrays(torch.from_numpy(given), *_attributes(rows, rng, dropout.attribute))
    truth = torch.from_numpy(stored & ~np.uint8(ENCLOSED_AIR)).long()
    return Batch(torch.from_numpy(scaled)[:, None], condition, truth)


def drop_labels(stored: Labels, rng: np.random.Generator, dropout: MaskDropout) -> Labels:
    """A mask as a user may give it: whole, or with labels left to "unknown inside the body"."""
    plain = stored & ~np.uint8(ENCLOSED_AIR)
    regime = rng.choice(
        4, p=(dropout.whole, dropout.random_labels, dropout.seldom_labelled, dropout.liver_alone)
    )
    if regime == 0:
        return plain
    if regime == 3:
        return only_liver(stored)
    dropped = np.zeros(20, bool)
    if regime == 1:
        dropped[list(ORGANS)] = rng.random(len(ORGANS)) < rng.random()
        if rng.random() < 0.1:
            dropped[[names.LIVER, names.LESION]] = True
    else:
        dropped[list(SELDOM_LABELLED)] = True
        dropped[list(ORGANS)] |= rng.random(len(ORGANS)) < 0.15
    out = np.where(dropped[plain], np.uint8(names.BODY), plain)
    if regime == 2 or rng.random() < 0.5:
        out[stored >= ENCLOSED_AIR] = names.BODY
    return out


def only_liver(stored: Labels) -> Labels:
    """Liver and its lesions kept, everything else inside the body unknown.

    `stored` may be a plain mask too; air that the ENCLOSED_AIR bit does not mark stays air.
    """
    plain = stored & ~np.uint8(ENCLOSED_AIR)
    keep = np.isin(plain, (names.LIVER, names.LESION, names.AIR)) & (stored < ENCLOSED_AIR)
    return np.where(keep, plain, np.uint8(names.BODY))


def mark_enclosed_air(labels: Labels) -> Labels:
    """The ENCLOSED_AIR bit on air that does not reach the border of the image [H, W]."""
    from scipy import ndimage

    padded = np.pad(labels == names.AIR, 1, constant_values=True)
    components, _ = ndimage.label(padded)
    enclosed = (padded & (components != components[0, 0]))[1:-1, 1:-1]
    return np.where(enclosed, labels | np.uint8(ENCLOSED_AIR), labels).astype(np.uint8)


def _attributes(rows: npt.NDArray, rng: np.random.Generator, chance: float) -> tuple[Tensor, ...]:
    """severity, steatosis, modality, sex, age as paint_arrays wants them, each unstated by chance."""
    unstated = rng.random((len(rows), 4)) < chance
    severity = np.where(unstated[:, 0], -1, rows[:, 2]).astype(np.int64)
    steatosis = np.where(unstated[:, 1], -1, rows[:, 4]).astype(np.int64)
    age = np.where(unstated[:, 2], np.nan, rows[:, 6]).astype(np.float32)
    sex = np.where(unstated[:, 3], -1, rows[:, 7]).astype(np.int64)
    modality = rows[:, 1].astype(np.int64)
    return tuple(torch.from_numpy(a) for a in (severity, steatosis, modality, sex, age))
