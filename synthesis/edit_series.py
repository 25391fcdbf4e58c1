"""The same change in every slice of a series, one slice after another, under the same noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from synthesis.checkpoints import LoadedModel
from synthesis.edit import edit
from synthesis.edit_regions import region_of
from synthesis.edit_request import PAINTED, CounterfactualRequest
from synthesis.imaging.storage import from_stored, labels_sha256, pixel_sha256, to_stored
from synthesis.metrics.judges import Judges
from synthesis.metrics.minimality import root_mean_square
from synthesis.metrics.psnr import psnr
from synthesis.metrics.ssim import ssim
from synthesis.metrics.through_plane import through_plane
from synthesis.phantoms.contrast import WINDOWS
from synthesis.request import Image, Labels, OnStep, Step

Region = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The slices of a series on a model's grid.

    images [slices, rows, columns] in HU or signal; labels: their masks, and labels_after, None where they
    stay; edited: which slices are to be changed, rising; all others are kept as they are. Raises
    ValueError where shapes differ or a slice is not there.
    """

    images: Image
    labels: Labels
    labels_after: Labels | None
    edited: Sequence[int]

    def __post_init__(self) -> None:
        shapes = {one.shape for one in (self.images, self.labels, self.target_labels)}
        if len(shapes) != 1 or self.images.ndim != 3:
            raise ValueError(f"expected stacks [slices, rows, columns] of one shape, got {shapes}.")
        places = list(self.edited)
        if not places or places != sorted(set(places)) or not 0 <= places[0] <= places[-1] < len(self.images):
            raise ValueError(
                f"edited: expected rising places from 0 to {len(self.images) - 1}, got {places}."
            )

    @property
    def target_labels(self) -> Labels:
        """The masks of the images to come."""
        return self.labels if self.labels_after is None else self.labels_after


@dataclass(frozen=True, kw_only=True)
class SeriesResult:
    """The changed series, once for each seed.

    images, undone [count, slices, rows, columns]: HU or signal, rounded to the integers that DICOM stores;
    undone: with the change taken back, None where that was not asked for. numbers: one dict per seed, of
    the changed slices together, with those of each under "slices" and of neighbours under "through_plane".
    """

    images: Image
    undone: Image | None
    region: Region
    numbers: list[dict[str, Any]]
    recipe: dict[str, Any]
    pixel_sha256: list[str]
    seconds: float


def edit_series(
    model: LoadedModel,
    wish: CounterfactualRequest,
    stack: Stack,
    *,
    on_step: OnStep | None = None,
    judges: Judges | None = None,
) -> SeriesResult:
    """Make the change that `wish` asks of one slice in all slices of the stack that are to be changed.

    Every slice is edited by itself with the wish's seeds: whatever is drawn anew is the same field of
    noise in each of them, and like slices come out alike; strength and contrast that are not asked for are
    decided once, by the masks of all. Nothing else makes neighbours agree. `on_step`
    hears of the slices as of images; `Cancelled` raised there ends the work. Raises what `edit` raises.
    """
    begun = perf_counter()
    modality, count = wish.before.modality, wish.count
    original = from_stored(to_stored(stack.images, modality))
    images = np.repeat(original[None], count, axis=0)
    undone = images.copy() if wish.options.undo else None
    unchanged = images.copy() if wish.options.undo else None
    region = np.zeros(stack.images.shape, bool)
    found: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    recipe: dict[str, Any] = {}
    places = list(stack.edited)
    for done, place in enumerate(places):
        one = _of_slice(wish, stack, place)
        told = _told(on_step, done, len(places))
        whole = (stack.labels, stack.labels if wish.options.place == PAINTED else stack.target_labels)
        result = edit(model, one, on_step=told, judges=judges, whole=whole)
        images[:, place] = result.images
        if undone is not None and result.undone is not None:
            undone[:, place] = result.undone
        if unchanged is not None and result.unchanged is not None:
            unchanged[:, place] = result.unchanged
        region[place] = region_of(one, model.recipe.get("label_set"))
        for index, row in enumerate(result.numbers):
            found[index].append({"slice": place, **row})
        recipe = recipe or result.recipe
    return SeriesResult(
        images=images,
        undone=undone,
        region=region,
        numbers=[
            _numbers(
                *(model, wish, places, original, images[index], region),
                undone=None if undone is None else undone[index],
                unchanged=None if unchanged is None else unchanged[index],
            )
            | {"severity": _severity(rows), "slices": rows}
            for index, rows in enumerate(found)
        ],
        recipe=_recipe(recipe, stack, modality),
        pixel_sha256=[pixel_sha256(to_stored(image, modality)) for image in images],
        seconds=perf_counter() - begun,
    )


def _of_slice(wish: CounterfactualRequest, stack: Stack, place: int) -> CounterfactualRequest:
    after = None if stack.labels_after is None else stack.labels_after[place]
    return replace(wish, image=stack.images[place], labels=stack.labels[place], labels_after=after)


def _told(on_step: OnStep | None, done: int, slices: int) -> OnStep | None:
    if on_step is None:
        return None
    tell = on_step

    def report(step: Step) -> None:
        tell(replace(step, image=done + 1, images=slices))

    return report


def _numbers(
    model: LoadedModel,
    wish: CounterfactualRequest,
    places: list[int],
    original: Image,
    image: Image,
    region: Region,
    *,
    undone: Image | None,
    unchanged: Image | None,
) -> dict[str, Any]:
    """The numbers of the changed slices taken together, as `minimality` has them of one."""
    low, high = model.recipe["image"].get("windows", WINDOWS)[wish.before.modality]
    found = together(image[places], original[places], region[places], data_range=high - low)
    for name, other in (("undone", undone), ("unchanged", unchanged)):
        if other is not None:
            found[name] = together(other[places], original[places], region[places], data_range=high - low)
    return found | {"through_plane": through_plane(image, original, region)}


def together(changed: Image, original: Image, region: Region, *, data_range: float) -> dict[str, Any]:
    """L1, PSNR, and root mean square change in and outside a region, over all pixels of several slices.

    As `synthesis.metrics.minimality` has them of one slice, None of nothing; ssim is the mean of the slices'.
    """
    if not changed.size:
        return {"l1": None, "psnr": None, "ssim": None, "inside": None, "outside": None, "outside_most": None}
    apart = np.asarray(changed, np.float64) - np.asarray(original, np.float64)
    decibels = psnr(changed, original, data_range=data_range)
    away = np.abs(apart[~region])
    return {
        "l1": float(np.abs(apart).mean()),
        "psnr": decibels if np.isfinite(decibels) else None,
        "ssim": float(
            np.mean([ssim(*two, data_range=data_range) for two in zip(changed, original, strict=True)])
        ),
        "inside": root_mean_square(apart[region]),
        "outside": root_mean_square(apart[~region]),
        "outside_most": float(away.max()) if away.size else None,
    }


def _severity(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of what the reader gives each grade, over the slices in which it reads a liver twice."""
    read = [row["severity"] for row in rows if (row.get("severity") or {}).get("before")]
    read = [one for one in read if one.get("after")]
    if not read:
        return {}
    mean = {
        when: {grade: round(float(np.mean([one[when][grade] for one in read])), 4) for grade in read[0][when]}
        for when in ("before", "after")
    }
    return {**mean, "followed": bool(read[0].get("followed")), "slices": len(read)}


def _recipe(one: dict[str, Any], stack: Stack, modality: str) -> dict[str, Any]:
    """The recipe of a slice with the whole stack's digests: with image and masks it makes all of it again."""
    return {
        **one,
        "shape": list(stack.images.shape),
        "slices": {"count": len(stack.images), "edited": [int(place) for place in stack.edited]},
        "image_sha256": pixel_sha256(to_stored(stack.images, modality)),
        "labels_sha256": labels_sha256(stack.labels),
        "labels_after_sha256": labels_sha256(stack.target_labels),
    }
