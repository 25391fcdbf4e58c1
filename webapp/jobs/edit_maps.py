"""The pixels of a workspace: its original, what changed, what was lost, how far several images lie apart."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from math import ceil, log10
from typing import Any

import numpy as np
import numpy.typing as npt

from synthesis.edit_regions import chosen_region, region_of
from synthesis.edit_request import PAINTED, EditOptions
from synthesis.imaging.storage import Stored
from synthesis.imaging.uncertainty import packed
from synthesis.request import Condition
from webapp.cases.selectors import inflated, instance_frame, mask_slices
from webapp.core.errors import NotVisible
from webapp.core.recent import Recent
from webapp.jobs.edits import edit_wish, original_pixels, slices_of
from webapp.jobs.mask_counts import counts_of
from webapp.jobs.models import Result, SynthesisRequest
from webapp.jobs.unpacked import room, unpacked

IMAGES = ("original", "undone")
"""The pictures of a workspace that are no cases of their own."""
LEAST_TOP = 5
SHARE = 99.5  # per cent of the pixels whose difference the colours tell apart
HELD = 256  # scales that a web process remembers

_tops: Recent[float] = Recent(HELD)
_spreads: Recent[Spread | None] = Recent(HELD)


def pixels_of(result: Result, name: str) -> Stored:
    """int16 [slices, rows, columns] of a picture by name; raises NotVisible where there is none.

    Not to be written to, for it may be held for the next who asks. Whether this one may see it is the
    caller's matter.
    """
    if name not in IMAGES:
        raise NotVisible
    return unpacked.get((result.pk, result.pixel_sha256, name), lambda: _pixels_read(result, name))


def _pixels_read(result: Result, name: str) -> Stored:
    """The same, from what is kept."""
    request = result.request
    found = bytes(getattr(result.edited, name))
    if found:
        return stack_unpacked(found, request)
    if name != "original" or slices_of(request) is not None:
        raise NotVisible
    return original_pixels(request, request.edit)[None]


def stack_unpacked(packed_pixels: bytes, request: SynthesisRequest) -> Stored:
    """One image or several on the request's grid, int16 [slices, rows, columns]."""
    rows, columns = int(request.grid["rows"]), int(request.grid["columns"])
    size = rows * columns * 2
    slices = sum(1 for _piece in inflated(BytesIO(packed_pixels), size))
    stack = room((slices, rows, columns), np.int16)
    for place, piece in enumerate(inflated(BytesIO(packed_pixels), size)):
        stack[place] = np.frombuffer(piece, dtype="<i2").reshape(rows, columns)
    return stack


def changed_slices(result: Result) -> Iterator[Stored]:
    """int16 [rows, columns] of the counterfactual itself, slice after slice."""
    case = result.case
    instances = {one.number: one for one in case.instances.all()}
    for number, frame in case.stack:
        yield instance_frame(instances[number], frame).astype(np.int16)


def difference_slices(result: Result, *, undone: bool = False) -> Iterator[Stored]:
    """The counterfactual (or what undoing it gave) minus the original, int16 [rows, columns] each."""
    images: Iterable[Stored] = pixels_of(result, "undone") if undone else changed_slices(result)
    limits = np.iinfo(np.int16)
    for image, original in zip(images, pixels_of(result, "original"), strict=True):
        apart = image.astype(np.int32) - original
        yield np.clip(apart, limits.min, limits.max).astype(np.int16)


def difference(result: Result, *, undone: bool = False) -> npt.NDArray[np.int16]:
    """The same of all slices at once [slices, rows, columns]."""
    return np.stack(list(difference_slices(result, undone=undone)))


def difference_packed(result: Result, *, undone: bool = False) -> bytes:
    """The same as the viewer takes it: zlib over little-endian int16."""
    machine = zlib.compressobj(6)
    pieces = [machine.compress(one.astype("<i2").data) for one in difference_slices(result, undone=undone)]
    return b"".join([*pieces, machine.flush()])


def difference_top(result: Result, *, undone: bool = False) -> float:
    """Where the colours of the difference end; found once, for results never change."""
    key = (result.pk, result.pixel_sha256, undone)
    return _tops.get(key, lambda: _difference_top(result, undone))


def _difference_top(result: Result, undone: bool) -> float:
    """Of all pixels or, where it differs more, of the place that was asked for, however small it is."""
    region = asked_region(result.request)
    whole, asked = Counter[int](), Counter[int]()
    for place, apart in enumerate(difference_slices(result, undone=undone)):
        whole.update(_counted(apart))
        if region is not None:
            asked.update(_counted(apart[region[place]]))
    return max(_round_end(whole), _round_end(asked))


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How far the images of a request lie apart, in HU or signal.

    scale: of the stored integers of the map; top: where its colours end; inside: root mean square standard
    deviation where the change was asked for, None where that place is not known any more.
    """

    shape: tuple[int, ...]
    scale: float
    top: float
    inside: float | None


def spread_of(request: SynthesisRequest) -> Spread | None:
    """The spread in figures, found once; None of one image."""
    results = request.results.order_by("index").values_list("pk", "pixel_sha256")
    return _spreads.get((request.pk, *results), lambda: _spread_of(request))


def _spread_of(request: SynthesisRequest) -> Spread | None:
    found = spread(request)
    if found is None:
        return None
    _values, scale = packed(found)
    region = asked_region(request)
    inside = None if region is None or not region.any() else float(np.sqrt(np.square(found[region]).mean()))
    return Spread(shape=found.shape, scale=scale, top=round_top(found), inside=inside)


def spread(request: SynthesisRequest) -> npt.NDArray[np.float32] | None:
    """Standard deviation over the request's images [slices, rows, columns]; None of one image."""
    results = list(request.results.select_related("case").order_by("index"))
    if len(results) < 2:
        return None
    each = zip(*(changed_slices(result) for result in results), strict=True)
    return np.stack([np.std(np.stack(images).astype(np.float32), axis=0) for images in each])


def asked_region(request: SynthesisRequest) -> npt.NDArray[np.bool_] | None:
    """Where the change was asked for [slices, rows, columns]; None where no mask tells it any more."""
    if slices_of(request) is None:
        return region_of(edit_wish(request), request.label_set)[None]
    options = EditOptions.from_json(request.parameters["edit"])
    result = request.results.select_related("mask").order_by("index").first()
    if (
        result is None
        or result.mask is None
        or options.place == PAINTED
        or request.prepared.get("mask_after")
    ):
        return None
    before, after = (Condition.from_json(request.parameters[name]) for name in ("before", "condition"))
    edited = set(result.recipe.get("slices", {}).get("edited", ()))
    region = []
    for place, values in enumerate(mask_slices(result.mask)):
        labels = values.astype(np.uint8)
        asked = chosen_region(options.place, labels, labels, before, after, request.label_set)
        region.append(asked if place in edited else np.zeros_like(asked))
    return np.stack(region)


def round_top(values: npt.NDArray[Any]) -> float:
    """A round number near the largest of whole or rounded differences.

    1, 2 or 5 times a power of ten, LEAST_TOP at least; SHARE per cent of those that are not 0 lie below.
    """
    return _round_end(_counted(values))


def _round_end(counts: Mapping[int, int]) -> float:
    """The same of sizes, of each of which there are so many."""
    sizes = sorted(size for size in counts if size)
    below = np.cumsum([counts[size] for size in sizes])
    largest = float(sizes[int(np.searchsorted(below, below[-1] * SHARE / 100))]) if sizes else 0.0
    largest = max(largest, LEAST_TOP)
    power = 10.0 ** (ceil(log10(largest)) - 1)
    return next(step * power for step in (1, 2, 5, 10) if step * power >= largest)


def _counted(values: npt.NDArray[Any]) -> dict[int, int]:
    """How many of these differences there are of each size, whole or rounded."""
    return counts_of(np.rint(np.abs(values.astype(np.float64))).astype(np.int64))
