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
from synthesis.imaging.storage import Room, Stored, labels_sha256, pixel_sha256, to_stored
from synthesis.metrics.judges import Judges
from synthesis.metrics.ssim import ssim
from synthesis.metrics.through_plane import through_plane
from synthesis.phantoms.contrast import WINDOWS
from synthesis.request import Image, Labels, OnStep, Step

Region = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The slices of a series on a model's grid.

    images [slices, rows, columns] in HU or signal, as DICOM stores them where they are int16; labels: their
    masks, and labels_after, None where they stay; edited: which slices are to be changed, rising; all others
    are kept as they are. Raises ValueError where shapes differ or a slice is not there.
    """

    images: Image | Stored
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

    images, undone [count, slices, rows, columns]: HU or signal, as the integers that DICOM stores; undone:
    with the change taken back, None where that was not asked for. numbers: one dict per seed, of the changed
    slices together, with those of each under "slices" and of neighbours under "through_plane".
    """

    images: Stored
    undone: Stored | None
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
    room: Room = np.empty,
) -> SeriesResult:
    """Make the change that `wish` asks of one slice in all slices of the stack that are to be changed.

    Every slice is edited by itself with the wish's seeds: whatever is drawn anew is the same field of
    noise in each of them, and like slices come out alike; strength and contrast that are not asked for are
    decided once, by the masks of all. Nothing else makes neighbours agree. `on_step`
    hears of the slices as of images; `Cancelled` raised there ends the work. `room` makes place for the
    stacks to come: besides them a few slices are held at a time. Raises what `edit` raises.
    """
    begun = perf_counter()
    modality, count = wish.before.modality, wish.count
    original = _stored(stack.images, modality, room)
    images = _copies(original, count, room)
    undone = _copies(original, count, room) if wish.options.undo else None
    unchanged = _copies(original, count, room) if wish.options.undo else None
    region = room(original.shape, np.bool_)
    region[...] = False
    found: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    recipe: dict[str, Any] = {}
    places = list(stack.edited)
    for done, place in enumerate(places):
        one = _of_slice(wish, stack, place)
        told = _told(on_step, done, len(places))
        whole = (stack.labels, stack.labels if wish.options.place == PAINTED else stack.target_labels)
        result = edit(model, one, on_step=told, judges=judges, whole=whole)
        for kept, made in ((images, result.images), (undone, result.undone), (unchanged, result.unchanged)):
            if kept is not None and made is not None:
                kept[:, place] = to_stored(made, modality)
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
        recipe=_recipe(recipe, stack, original),
        pixel_sha256=[pixel_sha256(image) for image in images],
        seconds=perf_counter() - begun,
    )


def _stored(images: Image | Stored, modality: str, room: Room) -> Stored:
    """The stack as DICOM stores it, itself where it is that already."""
    if images.dtype == np.int16:
        return np.asarray(images, np.int16)
    kept = room(images.shape, np.int16)
    for place, image in enumerate(images):
        kept[place] = to_stored(image, modality)
    return kept


def _copies(original: Stored, count: int, room: Room) -> Stored:
    kept = room((count, *original.shape), np.int16)
    kept[...] = original
    return kept


def _of_slice(wish: CounterfactualRequest, stack: Stack, place: int) -> CounterfactualRequest:
    after = None if stack.labels_after is None else stack.labels_after[place]
    image = np.asarray(stack.images[place], np.float32)
    return replace(wish, image=image, labels=stack.labels[place], labels_after=after)


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
    original: Stored,
    image: Stored,
    region: Region,
    *,
    undone: Stored | None,
    unchanged: Stored | None,
) -> dict[str, Any]:
    """The numbers of the changed slices taken together, as `minimality` has them of one."""
    low, high = model.recipe["image"].get("windows", WINDOWS)[wish.before.modality]

    def numbers(other: Stored) -> dict[str, Any]:
        each = ([stack[place] for place in places] for stack in (other, original, region))
        return together(*each, data_range=high - low)

    found = numbers(image)
    for name, other in (("undone", undone), ("unchanged", unchanged)):
        if other is not None:
            found[name] = numbers(other)
    return found | {"through_plane": through_plane(image, original, region)}


def together(
    changed: Sequence[npt.NDArray[Any]],
    original: Sequence[npt.NDArray[Any]],
    region: Sequence[Region],
    *,
    data_range: float,
) -> dict[str, Any]:
    """L1, PSNR, and root mean square change in and outside a region, over all pixels of several slices.

    As `synthesis.metrics.minimality` has them of one slice [rows, columns], None of nothing; ssim is the
    mean of the slices'. Sums of whole numbers are exact, however many slices there are.
    """
    if not len(changed):
        names = ("l1", "psnr", "ssim", "inside", "inside_mean", "outside", "outside_most")
        return dict.fromkeys(names)
    inside, outside, alike = _Sums(), _Sums(), []
    for now, was, where in zip(changed, original, region, strict=True):
        apart = np.asarray(now, np.float64) - np.asarray(was, np.float64)
        inside.add(apart[where])
        outside.add(apart[~where])
        alike.append(ssim(now, was, data_range=data_range))
    pixels, squares = inside.pixels + outside.pixels, inside.squares + outside.squares
    return {
        "l1": (inside.absolute + outside.absolute) / pixels,
        "psnr": float(10 * np.log10(data_range**2 / (squares / pixels))) if squares else None,
        "ssim": float(np.mean(alike)),
        "inside": inside.root_mean_square,
        "inside_mean": inside.total / inside.pixels if inside.pixels else None,
        "outside": outside.root_mean_square,
        "outside_most": outside.most if outside.pixels else None,
    }


@dataclass
class _Sums:
    """What is added up of differences, slice by slice."""

    pixels: int = 0
    total: float = 0.0
    absolute: float = 0.0
    squares: float = 0.0
    most: float = 0.0

    def add(self, apart: npt.NDArray[np.float64]) -> None:
        """Count these differences in."""
        if not apart.size:
            return
        self.pixels += apart.size
        self.total += float(apart.sum())
        self.absolute += float(np.abs(apart).sum())
        self.squares += float(np.square(apart).sum())
        self.most = max(self.most, float(np.abs(apart).max()))

    @property
    def root_mean_square(self) -> float | None:
        """sqrt(mean v^2); None of nothing."""
        return float(np.sqrt(self.squares / self.pixels)) if self.pixels else None


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


def _recipe(one: dict[str, Any], stack: Stack, original: Stored) -> dict[str, Any]:
    """The recipe of a slice with the whole stack's digests: with image and masks it makes all of it again."""
    return {
        **one,
        "shape": list(original.shape),
        "slices": {"count": len(original), "edited": [int(place) for place in stack.edited]},
        "image_sha256": pixel_sha256(original),
        "labels_sha256": labels_sha256(stack.labels),
        "labels_after_sha256": labels_sha256(stack.target_labels),
    }
