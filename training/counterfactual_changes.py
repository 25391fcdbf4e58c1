"""The changes that edits are measured by: phantoms before and after, drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from synthesis.phantoms import GRADES, Attributes, Phantom, abdomen, phantom_seed
from synthesis.phantoms.labels import LIVER
from synthesis.request import Condition

LARGE_LIVER = 150  # pixels of eroded liver below which a phantom is passed over


@dataclass(frozen=True, kw_only=True)
class Change:
    """One row's question: attributes before and after, everything else as the seed has it."""

    name: str
    before: dict[str, Any]
    after: dict[str, Any]
    reads: int | None = None  # the severity grade that a reader should see afterwards

    def pair(self, seed: int, modality: str, shape: tuple[int, int]) -> tuple[Phantom, Phantom]:
        """The phantom of a seed before and after."""
        own = abdomen(seed, shape=shape, modality=modality).attributes
        before, after = (
            abdomen(seed, shape=shape, modality=modality, attributes=replace(own, **values))
            for values in (self.before, self.after)
        )
        return before, after


def severity_change(before: int, after: int) -> Change:
    """A change of the texture grade at one mask."""
    return Change(
        name=f"{GRADES[before]}-{GRADES[after]}",
        before={"severity_texture": before},
        after={"severity_texture": after},
        reads=after,
    )


CHANGES: dict[str, Change] = {
    change.name: change
    for change in (
        severity_change(3, 0),
        severity_change(0, 3),
        severity_change(2, 0),
        severity_change(3, 1),
        severity_change(1, 3),
        severity_change(1, 0),
        severity_change(3, 2),
        severity_change(2, 1),
        severity_change(0, 1),
        severity_change(0, 2),
        severity_change(1, 2),
        severity_change(2, 3),
        Change(name="steatosis-0-3", before={"steatosis": 0}, after={"steatosis": 3}),
        Change(name="steatosis-3-0", before={"steatosis": 3}, after={"steatosis": 0}),
        Change(name="lesion-removed", before={"lesions": 1}, after={"lesions": 0}),
        Change(name="lesion-added", before={"lesions": 0}, after={"lesions": 1}),
        Change(name="age-40-80", before={"age": 40.0}, after={"age": 80.0}),
        Change(name="shape-0-3", before={"severity_shape": 0}, after={"severity_shape": 3}),
        Change(
            name="severe,3-none,0",
            before={"severity_texture": 3, "steatosis": 3},
            after={"severity_texture": 0, "steatosis": 0},
            reads=0,
        ),
    )
}


def condition_of(phantom: Phantom) -> Condition:
    """What a model is told of a phantom."""
    a: Attributes = phantom.attributes
    return Condition(
        modality=phantom.modality,
        severity=GRADES[a.severity_texture],
        steatosis=a.steatosis,
        age=a.age,
        sex=a.sex,
    )


def pairs_of(
    change: Change, split: str, count: int, modality: str, shape: tuple[int, int], first: int = 0
) -> list[tuple[Phantom, Phantom]]:
    """The first `count` pairs of a split, from number `first` on, that show enough liver and differ."""
    found: list[tuple[Phantom, Phantom]] = []
    index = first
    while len(found) < count:
        before, after = change.pair(phantom_seed(split, index), modality, shape)
        index += 1
        liver = inner_liver(after.labels).sum() >= LARGE_LIVER
        if liver and (before.image != after.image).any():
            found.append((before, after))
    return found


def inner_liver(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """The liver without its outermost pixel."""
    return np.asarray(ndimage.binary_erosion(labels == LIVER, np.ones((3, 3))))
