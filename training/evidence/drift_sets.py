"""The pictures of the evidence on Latent Drifting: a source that is not medical, and two targets that are.

Everything is 64 x 64 grey pixels from -1 (black) to 1 (white). The source is 3,615 photos of clothes (Xiao et
al. 2017, 28 pixels) and, for the autoencoder alone, slices of phantoms. The targets are Sunnybrook's
short-axis cardiac MR (Radau et al. 2009) and frontal chest X-rays of the NIH (Wang et al. 2017); each patient
belongs to one split.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from training.evidence.victr_cardiac_set import splits_of

SIDE = 64  # pixels
DATA = Path("../shared/data")  # beside the repository; `--data` names another place
FASHION = Path("natural/fashion_mnist_3615_28px.npz")
CARDIAC, CHEST = "cardiac", "chest"
TARGETS: Mapping[str, Path] = {
    CARDIAC: Path("images2d/cardiac_mr_sunnybrook"),
    CHEST: Path("images2d/cxr_nih"),
}
TITLES = {CARDIAC: "cardiac MR (Sunnybrook)", CHEST: "chest X-rays (NIH)"}
SPLITS = ("train", "validation", "test")
SHARES = (0.5, 0.2)  # of the chest patients: training, validation; the rest test
CLOTHES = (
    "T-shirt",
    "pair of trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)

Pictures = npt.NDArray[np.float32]  # [n, SIDE, SIDE], -1..1


@dataclass(frozen=True)
class Person:
    """What is known of the patient of one picture; `group` is the finding or the diagnosis group."""

    patient: str
    group: str
    age: float | None = None
    sex: str | None = None


@dataclass(frozen=True)
class Split:
    """The pictures of some patients, in the order of the table they come from."""

    pictures: Pictures
    people: Sequence[Person]

    def __len__(self) -> int:
        return len(self.people)

    @property
    def patients(self) -> list[str]:
        """The patient of each picture."""
        return [one.patient for one in self.people]

    def select(self, places: npt.NDArray[np.integer] | Sequence[int]) -> Split:
        """Some of them."""
        return Split(self.pictures[list(places)], [self.people[i] for i in places])


def fashion(data: Path) -> tuple[Pictures, npt.NDArray[np.int64]]:
    """The clothes, enlarged bilinearly to SIDE pixels, and the number of each one's kind in CLOTHES."""
    with np.load(data / FASHION, allow_pickle=False) as held:
        images, labels = held["images"], held["labels"]
    small = torch.from_numpy(images.astype(np.float32))[:, None] / 127.5 - 1
    large = F.interpolate(small, (SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]
    return large.numpy(), labels.astype(np.int64)


def read_target(data: Path, name: str) -> dict[str, Split]:
    """Split -> its pictures, for one of TARGETS. Patients are shared out by a hash of their names."""
    folder = data / TARGETS[name]
    rows, where = shared_out(data, name)
    pictures = np.stack([_picture(folder / row["file"]) for row in rows])
    people = [_person(row, name) for row in rows]
    places: dict[str, list[int]] = defaultdict(list)
    for i, one in enumerate(people):
        places[where[one.patient]].append(i)
    whole = Split(pictures, people)
    return {split: whole.select(places[split]) for split in SPLITS}


def shared_out(data: Path, name: str) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The rows of a target's table, and patient -> split."""
    with (data / TARGETS[name] / "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return rows, splits_of(rows) if name == CARDIAC else _by_hash({row["patient"] for row in rows})


def even(split: Split, count: int) -> Split:
    """At most `count` pictures, of as many patients as there are: one of each in turn."""
    turns: dict[str, int] = defaultdict(int)
    order = []
    for place, patient in enumerate(split.patients):
        order.append((turns[patient], place))
        turns[patient] += 1
    return split.select(sorted(place for _, place in sorted(order)[:count]))


def _person(row: Mapping[str, str], name: str) -> Person:
    if name == CARDIAC:
        return Person(row["patient"], row["group"])
    return Person(row["patient"], row["label"], float(row["age"]), row["sex"])


def _picture(path: Path) -> Pictures:
    """One picture, made smaller by the mean of the pixels that become one."""
    with Image.open(path) as opened:
        small = opened.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 127.5 - 1


def _by_hash(patients: set[str]) -> dict[str, str]:
    """Patient -> split, in the order of the hashes of their names."""
    ordered = sorted(patients, key=lambda name: hashlib.sha256(name.encode()).digest())
    ends = [round(len(ordered) * share) for share in np.cumsum(SHARES)]
    return {p: SPLITS[int(np.searchsorted(ends, i, side="right"))] for i, p in enumerate(ordered)}
