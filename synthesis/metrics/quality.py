"""Quick checks of one image: do its organs have the values they should, and does it keep to its mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from synthesis.metrics.dice import dice
from synthesis.metrics.regions import organ_means
from synthesis.phantoms import labels as L
from synthesis.phantoms.attributes import Attributes
from synthesis.phantoms.contrast import MAIN_TISSUE, tissue_values
from synthesis.request import Condition

Image = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]

# Beyond the tissue's own value: partial volume, texture, lesions that the mask does not name (HU);
# for MR the coil's field as well, hence a share of the value and a floor in units of signal.
CT_TOLERANCE = 25.0
# Lung and its vessels vary; muscle is streaked with fat and often only a pixel or two thick.
CT_TOLERANCES = {L.LUNG: 120.0, L.MUSCLE: 45.0}
MR_TOLERANCE = 0.35
MR_FLOOR = 60.0
MR_BACKGROUND = 60.0  # signal above which a smoothed pixel is body; background noise means about 20

ADULT_AGES = (18.0, 90.0)
ADHERENCE_GOAL = 0.8
JUDGE_GOAL = 0.7
JUDGED_PIXELS = 60  # smaller or thinner structures are measured, but decide nothing

_RANGES = {L.KIDNEYS: ("renal medulla", "renal cortex"), L.BONE: ("marrow", "cortex")}
_MEASURED = tuple(k for k in (*MAIN_TISSUE, *_RANGES) if k != L.AIR)


class Judge(Protocol):
    """A segmenter that looks at an image alone and says which organ is where."""

    name: str

    def segment(self, image: Image, modality: str) -> Labels:
        """Labels [rows, columns] of an image in HU or signal."""


def quality(
    image: Image,
    labels: Labels,
    condition: Condition,
    recipe: Mapping[str, Any],
    judge: Judge | None = None,
) -> dict[str, Any]:
    """Numbers and verdicts about one image [rows, columns] in HU or signal, as plain JSON.

    organs: mean per labelled organ and the range expected of it; adherence: Dice between the mask
    and the image for what grey values alone can tell (body outline; in CT also air and fat);
    judge: Dice per organ between the mask and what a segmenter sees; passed, notes: the verdict.
    """
    names = {int(row["value"]): str(row["name"]) for row in recipe.get("label_set", ())}
    names = names or {label.value: label.name for label in L.LABEL_SET}
    organs, notes = [], []
    for value, mean in organ_means(image, labels, _MEASURED).items():
        low, high = expected_range(value, condition, recipe)
        within = low <= mean <= high
        organs.append(
            {
                "label": value,
                "name": names.get(value, str(value)),
                "mean": round(mean, 1),
                "expected": [round(low, 1), round(high, 1)],
                "within": within,
            }
        )
        if not within:
            word = "below" if mean < low else "above"
            notes.append(
                f"{names.get(value, value)}: {mean:.0f} is {word} the expected {low:.0f} to {high:.0f}"
            )
    overlap = adherence(image, labels, condition.modality)
    notes += [
        f"{name}: overlaps its mask by only {share:.2f}"
        for name, share in overlap.items()
        if share < ADHERENCE_GOAL
    ]
    report: dict[str, Any] = {
        "unit": "HU" if condition.modality == "CT" else "signal",
        "organs": organs,
        "adherence": {name: round(share, 4) for name, share in overlap.items()},
    }
    if judge is not None:
        report["judge"] = _judged(judge, image, labels, condition.modality, names)
        notes += [
            f"{names.get(value, value)}: the segmenter finds it with an overlap of only "
            f"{report['judge']['dice'][names.get(value, str(value))]:.2f}"
            for value in _organs_worth_judging(labels)
            if report["judge"]["dice"][names.get(value, str(value))] < JUDGE_GOAL
        ]
    return {**report, "passed": not notes, "notes": notes}


def expected_range(value: int, condition: Condition, recipe: Mapping[str, Any]) -> tuple[float, float]:
    """The mean that an organ should have under a condition: (low, high) in HU or signal.

    A recipe may carry its own under "expected"[modality][label]; otherwise the tissue table of
    the phantoms holds, with every age that an unstated age could be.
    """
    own = recipe.get("expected", {}).get(condition.modality, {}).get(str(value))
    if own is not None:
        return float(own[0]), float(own[1])
    ages = ADULT_AGES if condition.age is None else (min(max(condition.age, 18.0), 90.0),)
    tissues = _RANGES.get(value) or (MAIN_TISSUE[value],)
    values = [
        tissue_values(condition.modality, Attributes(steatosis=condition.steatosis, age=age))[tissue]
        for age in ages
        for tissue in tissues
    ]
    low, high = min(values), max(values)
    if condition.modality != "CT":
        return low - max(MR_TOLERANCE * low, MR_FLOOR), high + max(MR_TOLERANCE * high, MR_FLOOR)
    slack = CT_TOLERANCES.get(value, CT_TOLERANCE)
    return low - slack, high + slack


def adherence(image: Image, labels: Labels, modality: str) -> dict[str, float]:
    """Dice between mask and image for what grey values tell without a trained judge.

    Inside the body only pixels count whose label is stated (not "body (unspecified)"), and
    classes of at least 2 % of the body.
    """
    tissue = image > -400.0 if modality == "CT" else ndimage.uniform_filter(image, 3) > MR_BACKGROUND
    inside, seen = filled(labels != L.AIR), filled(largest(tissue))
    found = {"body outline": dice(seen.astype(np.uint8), inside.astype(np.uint8), 1)}
    if modality != "CT":
        return found
    known = inside & (labels != L.BODY)
    classes = {
        "air and lung": (np.isin(labels, (L.AIR, L.LUNG)), image < -450),
        "fat": (labels == L.FAT, (image >= -450) & (image < -30)),
    }
    for name, (wanted, got) in classes.items():
        if (wanted & known).sum() >= 0.02 * max(int(inside.sum()), 1):
            found[name] = dice((got & known).astype(np.uint8), (wanted & known).astype(np.uint8), 1)
    return found


def largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest connected part of a mask; an empty mask stays empty."""
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    return np.asarray(parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:])))


def filled(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The mask with its holes filled."""
    return np.asarray(ndimage.binary_fill_holes(mask))


def _organs_worth_judging(labels: Labels) -> list[int]:
    """Labels of compact structures that are large enough for an overlap to mean something."""
    thin = (L.AIR, L.BODY, L.FAT, L.MUSCLE, L.SKIN, L.RIBS, L.CANAL)
    return [int(v) for v in np.unique(labels) if v not in thin and (labels == v).sum() >= JUDGED_PIXELS]


def _judged(
    judge: Judge, image: Image, labels: Labels, modality: str, names: Mapping[int, str]
) -> dict[str, Any]:
    found = judge.segment(image, modality)
    values = [int(v) for v in np.unique(labels) if v not in (L.AIR, L.BODY) and (labels == v).sum() >= 24]
    overlap = {names.get(v, str(v)): round(dice(found, labels, v), 4) for v in values}
    mean = round(float(np.mean(list(overlap.values()))), 4) if overlap else None
    return {"name": judge.name, "dice": overlap, "mean": mean}
