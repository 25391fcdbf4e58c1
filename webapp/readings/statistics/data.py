"""What every measure reads: the answers of a study as flat arrays, and as a table of readers by items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NotRequired, TypedDict

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Role(IntEnum):
    """Why an item is in the study; only MAIN items enter the main figures."""

    MAIN = 0
    POSITIVE_CONTROL = 1  # known-bad synthetic: readers should find it
    NEGATIVE_CONTROL = 2  # real, but reconstructed by the model's encoder and decoder
    ATTENTION = 3  # anyone who looks gives the known answer


@dataclass(frozen=True)
class Ratings:
    """The answers of a study to "real or synthetic?", one entry per answer; arrays are of one length n.

    reader, item: indices into `readers` and `items` (labels that the report prints).
    case: index of the item's case (patient); items of one case are not independent of one another.
    is_synthetic: the truth. decision: the reader called it synthetic.
    score: confidence that it is synthetic, larger is surer; nan where the study asked for none.
    repeat: a hidden second (or later) showing of an item this reader had already answered.
    seconds: time from showing to answer, nan where unknown. position: place in the reader's order, from 1.
    stratum: index into `strata`. role: a `Role`.

    An answer that was never given is simply absent: readers may have read different items.
    """

    reader: Indices
    item: Indices
    case: Indices
    is_synthetic: Flags
    decision: Flags
    score: Numbers
    repeat: Flags
    seconds: Numbers
    position: Indices
    stratum: Indices
    role: Indices
    readers: tuple[str, ...]
    items: tuple[str, ...]
    strata: tuple[str, ...] = ("all",)

    def __post_init__(self) -> None:
        """Raises ValueError where arrays differ in length, an index has no label, or an item contradicts
        itself."""
        fields = [getattr(self, name) for name in ARRAYS]
        if any(values.shape != (len(self.reader),) for values in fields):
            shapes = {name: getattr(self, name).shape for name in ARRAYS}
            raise ValueError(f"expected arrays of one length, got {shapes}")
        for name, labels in (("reader", self.readers), ("item", self.items), ("stratum", self.strata)):
            index = getattr(self, name)
            if index.size and (index.min() < 0 or index.max() >= len(labels)):
                raise ValueError(f"expected {name} between 0 and {len(labels) - 1}, got {index.max()}")
        for name in ("is_synthetic", "case", "role", "stratum"):
            _one_value_per_item(self.item, getattr(self, name), name)
        first = self.select(~self.repeat)
        pairs = first.reader * max(len(self.items), 1) + first.item
        if len(np.unique(pairs)) != len(pairs):
            raise ValueError(
                "expected one first answer per reader and item, got two: mark the later as a repeat"
            )

    def __len__(self) -> int:
        return len(self.reader)

    def select(self, keep: Flags) -> Ratings:
        """The answers where `keep` holds, under the same labels."""
        chosen = object.__new__(Ratings)  # a part of checked answers needs no second check
        for name in ARRAYS:
            object.__setattr__(chosen, name, getattr(self, name)[keep])
        for name in ("readers", "items", "strata"):
            object.__setattr__(chosen, name, getattr(self, name))
        return chosen

    def main(self) -> Ratings:
        """First answers to main items: what every main figure is computed from."""
        return self.select(~self.repeat & (self.role == Role.MAIN))


ARRAYS = (
    "reader",
    "item",
    "case",
    "is_synthetic",
    "decision",
    "score",
    "repeat",
    "seconds",
    "position",
    "stratum",
    "role",
)


@dataclass(frozen=True)
class Table:
    """First answers as readers by items: decision, score and read are [R, I]; truth and case are [I].

    score is nan where there is none; decision is False where read is False. Only items that someone
    answered are in it, and `items` says which of the study's they are; the same for `readers`.
    """

    read: Flags
    decision: Flags
    score: Numbers
    truth: Flags
    case: Indices
    readers: Indices
    items: Indices

    @property
    def correct(self) -> Numbers:
        """1 for a right decision, 0 for a wrong one, nan where there is no answer: [R, I]."""
        return np.where(self.read, self.decision == self.truth, np.nan)


def table(ratings: Ratings) -> Table:
    """The first answers of `ratings` as a table; repeats are left out."""
    first = ratings.select(~ratings.repeat)
    readers, row = np.unique(first.reader, return_inverse=True)
    items, where, column = np.unique(first.item, return_index=True, return_inverse=True)
    shape = (len(readers), len(items))
    read, decision = np.zeros(shape, bool), np.zeros(shape, bool)
    score = np.full(shape, np.nan)
    read[row, column] = True
    decision[row, column] = first.decision
    score[row, column] = first.score
    case = np.unique(first.case[where], return_inverse=True)[1] if len(items) else first.case[where]
    return Table(read, decision, score, first.is_synthetic[where], case, readers, items)


@dataclass(frozen=True)
class Grades:
    """The answers to one graded question (Likert quality, severity): reader, item, case and grade are [n].

    `intended` [n] is the grade that a synthetic item was asked to show, nan where there is none.
    """

    question: str
    reader: Indices
    item: Indices
    case: Indices
    grade: Numbers
    intended: Numbers
    readers: tuple[str, ...]
    items: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raises ValueError where arrays differ in length."""
        lengths = {len(v) for v in (self.reader, self.item, self.case, self.grade, self.intended)}
        if len(lengths) != 1:
            raise ValueError(f"expected arrays of one length, got lengths {sorted(lengths)}")


class Answer(TypedDict):
    """One answer as a row of a tidy file: labels for reader, item and case; the rest as in `Ratings`."""

    reader: str
    item: str
    case: str
    is_synthetic: bool
    decision: bool
    score: NotRequired[float | None]
    repeat: NotRequired[bool]
    seconds: NotRequired[float | None]
    position: NotRequired[int]
    stratum: NotRequired[str]
    role: NotRequired[int]


def ratings_of(answers: Sequence[Answer]) -> Ratings:
    """Ratings from one row per answer; labels are numbered in the order in which they first appear."""
    readers, reader = _numbered([row["reader"] for row in answers])
    items, item = _numbered([row["item"] for row in answers])
    _, case = _numbered([row["case"] for row in answers])
    strata, stratum = _numbered([row.get("stratum", "all") for row in answers])
    return Ratings(
        reader=reader,
        item=item,
        case=case,
        is_synthetic=np.array([row["is_synthetic"] for row in answers], bool),
        decision=np.array([row["decision"] for row in answers], bool),
        score=_floats([row.get("score") for row in answers]),
        repeat=np.array([row.get("repeat", False) for row in answers], bool),
        seconds=_floats([row.get("seconds") for row in answers]),
        position=np.array([row.get("position", 0) for row in answers], np.int64),
        stratum=stratum,
        role=np.array([row.get("role", Role.MAIN) for row in answers], np.int64),
        readers=readers,
        items=items,
        strata=strata or ("all",),
    )


def _numbered(labels: list[str]) -> tuple[tuple[str, ...], Indices]:
    order = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return tuple(order), np.array([order[label] for label in labels], np.int64)


def _floats(values: list[float | None]) -> Numbers:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _one_value_per_item(item: Indices, values: npt.NDArray[np.generic], name: str) -> None:
    _, where, column = np.unique(item, return_index=True, return_inverse=True)
    if len(item) and not np.array_equal(values[where][column], values):
        raise ValueError(f"expected one {name} per item, got an item with two")
