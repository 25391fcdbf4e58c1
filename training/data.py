"""Training batches: shards of phantoms on disk, mask dropout, and the painted condition."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthesis.control.painting import paint, paint_arrays
from synthesis.control.patient_prompts import PatientPrompts
from synthesis.control.prompts import UNSTATED
from synthesis.imaging.intensity import Normalisation
from synthesis.networks import Network
from synthesis.phantoms import labels as names
from synthesis.request import MODALITIES, SEVERITIES, SEXES, Condition
from training.latents import MEAN_FILE, STD_FILE, key_of

DIAGNOSES_FILE = "diagnoses.json"
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
    prompt: float = 0.0  # chance that nothing that guidance strengthens is stated; for networks with prompts

    def __post_init__(self) -> None:
        total = self.whole + self.random_labels + self.seldom_labelled + self.liver_alone
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the mask regimes must add up to 1, got {total}")
        if not 0 <= self.prompt <= 1:
            raise ValueError(f"prompt: expected a chance between 0 and 1, got {self.prompt}")


class Batch(NamedTuple):
    """images: states on the network's scale, [B, 1, H, W] or latents [B, C, h, w]; the condition, a
    ConditionBatch of the network; labels [B, H, W] as they truly are, on the grid of the image; of pairs
    also the source, the states of the images before, which those become; words, the prompts, where a
    network is told patients in words; prior, images that the network drew itself (training/prior.py)."""

    images: Tensor
    condition: Any
    labels: Tensor
    source: Tensor | None = None
    words: tuple[str, ...] = ()
    prior: Any = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return self._replace(
            images=self.images.to(device),
            condition=self.condition.to(device),
            labels=self.labels.to(device),
            source=None if self.source is None else self.source.to(device),
            prior=None if self.prior is None else self.prior.to(device),
        )


class PhantomShards:
    """The phantoms under a folder of shards, which may still be growing.

    A shard is a folder with images.npy [n, H, W] float16 in HU or signal, labels.npy [n, H, W]
    uint8 and attributes.npy [n, len(COLUMNS)] float64, and perhaps diagnoses.json, a list of words;
    `training.prepare` writes them. With `latents`,
    the key of an encoder (training/latents.py), a shard counts once it has that encoder's latents.
    """

    def __init__(self, folder: Path, latents: str = "") -> None:
        self.folder = folder
        self.latents = latents
        self._encoded: list[tuple[npt.NDArray, npt.NDArray]] = []
        self._shards: list[tuple[npt.NDArray, npt.NDArray, npt.NDArray]] = []
        self.names: list[str] = []
        self._diagnoses: list[list[str]] = []
        self.refresh()

    def refresh(self) -> None:
        """Take in the shards that were finished since the last look, in the order of their names."""
        for shard in sorted(self.folder.glob("shard-*")):
            if shard.name not in self.names and shard.is_dir() and self._is_ready(shard):
                arrays = [np.load(shard / f"{part}.npy", mmap_mode="r") for part in ("images", "labels")]
                self._shards.append((arrays[0], arrays[1], np.load(shard / "attributes.npy")))
                self.names.append(shard.name)
                told = shard / DIAGNOSES_FILE
                self._diagnoses.append(json.loads(told.read_text(encoding="utf-8")) if told.is_file() else [])
                if self.latents:
                    mean, std = (np.load(shard / name, mmap_mode="r") for name in (MEAN_FILE, STD_FILE))
                    self._encoded.append((mean, std))
        self._ends = (
            np.cumsum([len(rows) for _, _, rows in self._shards]) if self._shards else np.zeros(0, int)
        )

    def _is_ready(self, shard: Path) -> bool:
        return not self.latents or key_of(shard) == self.latents

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def column(self, name: str) -> npt.NDArray:
        """One attribute of every phantom, by its name in COLUMNS."""
        return np.concatenate([rows[:, COLUMNS.index(name)] for _, _, rows in self._shards])

    def take(self, indices: npt.NDArray) -> tuple[npt.NDArray, Labels, npt.NDArray]:
        """images [n, H, W] float32, labels [n, H, W] with their ENCLOSED_AIR bit, attributes [n, columns]."""
        images, labels, attributes = [], [], []
        for shard, row in map(self._place, indices):
            images.append(np.asarray(self._shards[shard][0][row], np.float32))
            labels.append(np.asarray(self._shards[shard][1][row]))
            attributes.append(self._shards[shard][2][row])
        return np.stack(images), np.stack(labels), np.stack(attributes)

    def diagnoses(self, indices: npt.NDArray) -> list[str]:
        """What each is said to have, in the words of the set; empty where nothing is said."""
        told = ((self._diagnoses[shard], row) for shard, row in map(self._place, indices))
        return [str(words[row] or "") if words else "" for words, row in told]

    def known_diagnoses(self) -> list[str]:
        """Every diagnosis that is said of an image, sorted."""
        return sorted({str(word) for words in self._diagnoses for word in words if word})

    def take_latents(self, indices: npt.NDArray) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [n, C, h, w] float32 of the latents; only with an encoder's key."""
        rows = [[part[row] for part in self._encoded[shard]] for shard, row in map(self._place, indices)]
        mean, std = (np.stack([np.asarray(row[part], np.float32) for row in rows]) for part in (0, 1))
        return torch.from_numpy(mean), torch.from_numpy(std)

    def _place(self, index: int) -> tuple[int, int]:
        """Which shard a phantom lies in, and where."""
        shard = int(np.searchsorted(self._ends, index, side="right"))
        return shard, int(index) - (int(self._ends[shard - 1]) if shard else 0)


def batch_at(
    shards: PhantomShards,
    normalisation: Mapping[str, Normalisation],
    dropout: MaskDropout,
    *,
    size: int,
    seed: int,
    step: int,
    rank: int = 0,
    network: Network | None = None,
    latents: str = "mean",
    prompts: PatientPrompts | None = None,
) -> Batch:
    """The batch of one step: a function of (seed, step, rank), of the shards and the network alone.

    `network` reads the condition in its own way; without one it is painted as the small U-Net's. With
    shards that have latents the states are their means or, with latents = "sample", draws from them.
    `prompts` are used in place of those that the network itself is told patients in.
    """
    if len(shards) == 0:
        what, more = (
            ("latents of this model's encoder", " --latents MODEL") if shards.latents else ("phantoms", "")
        )
        raise ValueError(f"there are no {what} under {shards.folder}; run training.prepare{more} first")
    rng = np.random.default_rng((seed, step, rank))
    indices = rng.integers(0, len(shards), size)
    images, stored, rows = shards.take(indices)
    words: tuple[str, ...] = ()
    if getattr(network, "prompts", None) is None:
        condition = told(stored, rows, rng, dropout, network)
    else:
        condition, words = told_in_words(
            network, stored, rows, shards.diagnoses(indices), rng, dropout, prompts
        )
    truth = torch.from_numpy(stored & ~np.uint8(ENCLOSED_AIR)).long()
    if shards.latents:
        mean, std = shards.take_latents(indices)
        if latents == "sample":
            mean = mean + std * torch.from_numpy(rng.standard_normal(mean.shape, np.float32))
        return Batch(mean, condition, truth, words=words)
    return Batch(scaled(images, rows, normalisation), condition, truth, words=words)


def told_in_words(
    network: Any,
    stored: Labels,
    rows: npt.NDArray,
    diagnoses: Sequence[str],
    rng: np.random.Generator,
    dropout: MaskDropout,
    prompts: PatientPrompts | None = None,
    kept: npt.NDArray[np.bool_] | None = None,
) -> tuple[Any, tuple[str, ...]]:
    """The condition of patients [n] and the prompts that tell it, with what is left out of them.

    Age, sex and diagnosis go unstated by dropout.attribute, everything by dropout.prompt. Where words are
    being learned the objective encodes the prompts itself (`training.tokens.spoken`), and here nothing is.
    kept [n, 5]: of severity, steatosis, age, sex and diagnosis those that dropout.attribute spares.
    """
    given = np.stack([drop_labels(mask, rng, dropout) for mask in stored])
    spared = None if kept is None else kept[:, :4]
    conditions = conditions_of(*_attributes(rows, rng, dropout.attribute, spared))
    named = rng.random(len(rows)) >= dropout.attribute
    if kept is not None:
        named |= kept[:, 4]
    conditions = [
        replace(one, diagnosis=(name or None) if stated else None)
        for one, name, stated in zip(conditions, diagnoses, named, strict=True)
    ]
    dropped = rng.random(len(rows)) < dropout.prompt
    said = network.words(conditions, rng, prompts)
    words = tuple(UNSTATED if out else one for one, out in zip(said, dropped, strict=True))
    encoded = [UNSTATED] * len(words) if network.learns_words else words
    condition = network.told(paint(given, conditions), network.levels(conditions), encoded)
    return without(network, condition, dropped), words


def told(
    stored: Labels,
    rows: npt.NDArray,
    rng: np.random.Generator,
    dropout: MaskDropout,
    network: Network | None = None,
    kept: npt.NDArray[np.bool_] | None = None,
) -> Any:
    """The condition of stored labels [n, H, W] and attributes [n, columns], with what is left out of it.

    kept [n, 4]: of severity, steatosis, age and sex those that must be stated.
    """
    given = np.stack([drop_labels(mask, rng, dropout) for mask in stored])
    attributes = _attributes(rows, rng, dropout.attribute, kept)
    if network is None:
        return paint_arrays(torch.from_numpy(given), *attributes)
    condition = network.condition(given, conditions_of(*attributes))
    return without(network, condition, rng.random(len(rows)) < dropout.prompt)


def scaled(images: npt.NDArray, rows: npt.NDArray, normalisation: Mapping[str, Normalisation]) -> Tensor:
    """Images [n, H, W] in HU or signal on the network's scale: [n, 1, H, W]."""
    pairs = zip(images, rows, strict=True)
    found = np.stack([normalisation[MODALITIES[int(row[1])]].forward(image) for image, row in pairs])
    return torch.from_numpy(found)[:, None]


def conditions_from(rows: npt.NDArray, diagnoses: Sequence[str]) -> list[Condition]:
    """All that attributes [n, columns] and diagnoses state, as requests say it."""
    stated = conditions_of(*_attributes(rows, np.random.default_rng(0), 0.0))
    return [replace(one, diagnosis=name or None) for one, name in zip(stated, diagnoses, strict=True)]


def conditions_of(
    severity: Tensor, steatosis: Tensor, modality: Tensor, sex: Tensor, age: Tensor
) -> list[Condition]:
    """The words of a request for numbers as `paint_arrays` takes them; None where something is not stated."""
    found = []
    for grade, fat, kind, gender, years in zip(
        severity.tolist(), steatosis.tolist(), modality.tolist(), sex.tolist(), age.tolist(), strict=True
    ):
        values: dict[str, Any] = {
            "modality": MODALITIES[kind],
            "severity": SEVERITIES[grade] if grade >= 0 else None,
            "steatosis": fat if fat >= 0 else None,
            "sex": SEXES[gender] if gender >= 0 else None,
            "age": None if np.isnan(years) else years,
        }
        found.append(Condition(**values))
    return found


def without(network: Network, condition: Any, dropped: npt.NDArray[np.bool_] | Tensor) -> Any:
    """The condition with some items [n] replaced by what guidance starts from."""
    if not dropped.any():
        return condition
    where = torch.as_tensor(dropped)
    pairs = zip(condition, network.unconditional(condition), strict=True)
    return type(condition)(
        *(torch.where(where.to(c.device).reshape(-1, *[1] * (c.ndim - 1)), u, c) for c, u in pairs)
    )


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


def _attributes(
    rows: npt.NDArray,
    rng: np.random.Generator,
    chance: float,
    kept: npt.NDArray[np.bool_] | None = None,
) -> tuple[Tensor, ...]:
    """severity, steatosis, modality, sex, age as paint_arrays wants them, each unstated by chance."""
    unstated = rng.random((len(rows), 4)) < chance
    if kept is not None:
        unstated &= ~kept
    severity = np.where(unstated[:, 0], -1, rows[:, 2]).astype(np.int64)
    steatosis = np.where(unstated[:, 1], -1, rows[:, 4]).astype(np.int64)
    age = np.where(unstated[:, 2], np.nan, rows[:, 6]).astype(np.float32)
    sex = np.where(unstated[:, 3], -1, rows[:, 7]).astype(np.int64)
    modality = rows[:, 1].astype(np.int64)
    return tuple(torch.from_numpy(a) for a in (severity, steatosis, modality, sex, age))
