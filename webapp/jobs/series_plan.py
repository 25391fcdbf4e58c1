"""Which slices of a series a change concerns, and their common grid: found once for the same wish."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, repeat
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _

from synthesis.edit_regions import chosen_region, lesion_value
from synthesis.edit_request import Mask
from synthesis.errors import SynthesisError
from synthesis.imaging.labelmaps import LabelMap, label_map
from synthesis.imaging.lesion_changes import lesion_change
from synthesis.imaging.plane import Plane
from synthesis.imaging.preflight import LEAST_PIXELS
from synthesis.imaging.series_fitting import series_grid
from synthesis.imaging.volume import Slice
from synthesis.request import Condition
from webapp.cases.selectors import case_slice, mask_slices
from webapp.core.errors import ApplicationError
from webapp.core.recent import Recent
from webapp.jobs.mask_counts import mask_counts

PLANS_HELD = 64
"""Plans that a web process remembers, so that a form that is filled in looks through the masks once."""
SAMPLES = 5
"""Slices whose bodies decide the common grid: the first and the last that change, and some between."""

Voxels = npt.NDArray[np.uint16]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Masks:
    """The masks of a series before and after, and what their labels are in the model's words."""

    before: Any
    names: LabelMap
    after: Any = None
    names_after: LabelMap | None = None

    def pairs(self, first: int, last: int) -> Iterator[tuple[int, Voxels, Voxels | None]]:
        """The slices from `first` to `last` with both masks on the source's own grid; one pair is held."""
        others = repeat(None) if self.after is None else mask_slices(self.after)
        pairs = zip(mask_slices(self.before), others, strict=False)
        for index, (old, new) in islice(enumerate(pairs), first, last + 1):
            yield index, old, new

    def labels(self, old: Voxels, new: Voxels | None) -> tuple[Labels, Labels]:
        """Values of both masks in the model's words."""
        labels = self.names.apply(old)
        if new is None or self.names_after is None:
            return labels, labels
        return labels, self.names_after.apply(new)


@dataclass(frozen=True, kw_only=True)
class SeriesWish:
    """What is to change in the slices from the first to the last of `slices`, from 0, and where."""

    case: Any
    masks: Masks
    slices: tuple[int, int]
    place: str
    before: Condition
    after: Condition


@dataclass(frozen=True, kw_only=True)
class SeriesPlan:
    """Which slices of a series change, by the pixels that the change concerns, and the grid of all.

    lesion: what another mask means, as `lesion_change` says it.
    """

    sizes: Mapping[int, int]
    edited: tuple[int, ...]
    unmasked: tuple[int, ...]
    grid: Plane
    of: Plane
    lesion: str


_plans: Recent[SeriesPlan] = Recent(PLANS_HELD)


def plan_of(wish: SeriesWish, *, model: Any, adapter: Any) -> SeriesPlan:
    """The plan of such a change, remembered as long as case, masks and model stay as they are.

    Raises ApplicationError where there is nothing to change, or no body to find a grid for.
    """
    known = (wish.case, wish.masks.before, wish.masks.after, model, adapter)
    key = (*(_version(one) for one in known), wish.slices, wish.place, wish.before, wish.after)
    return _plans.get(key, lambda: _plan(wish, model.recipe_with(adapter)))


def _version(record: Any) -> tuple[Any, ...]:
    """What a record is known by as long as nothing in it changes."""
    return () if record is None else (record.pk, record.updated_at)


def _plan(wish: SeriesWish, recipe: Mapping[str, Any]) -> SeriesPlan:
    """Look through the masks, and at the bodies of some slices; raises where there is none to change."""
    case, masks, (first, last) = wish.case, wish.masks, wish.slices
    labels = recipe.get("label_set")
    concerned = partial(chosen_region, wish.place, before=wish.before, after=wish.after, label_set=labels)
    sizes = _sizes(masks, first, last, concerned)
    counted = mask_counts(masks.before)
    pixel = float(case.spacing_mm[0]) * float(case.spacing_mm[1]) if all(case.spacing_mm[:2]) else 1.0
    rough = [index for index, size in sizes.items() if size]
    if not rough:
        raise _nothing(first, last)
    grid, of = _grid(case, masks, _samples(rough), recipe)
    least = LEAST_PIXELS * grid.spacing_mm[0] * grid.spacing_mm[1] / pixel
    edited = tuple(index for index in rough if sizes[index] >= least)
    if not edited:
        raise _nothing(first, last)
    unmasked = tuple(index for index in sizes if not any(counted[index]))
    pairs = () if masks.after is None else masks.pairs(first, last)
    lesion = lesion_change((masks.labels(old, new) for _index, old, new in pairs), lesion_value(labels))
    return SeriesPlan(sizes=sizes, edited=edited, unmasked=unmasked, grid=grid, of=of, lesion=lesion)


def masks_of(case: Any, mask: Any, mask_after: Any, recipe: Mapping[str, Any]) -> Masks:
    """The masks; raises ApplicationError where there is none, or it is another case's."""
    if mask is None:
        raise ApplicationError(
            _("This case has no mask yet. Paint or import one, so that the model knows the anatomy."),
            field="mask",
        )
    for name, one in (("mask", mask), ("mask_after", mask_after)):
        if one is not None and one.case_id != case.pk:
            raise ApplicationError(_("This mask belongs to another case."), field=name)
    known = recipe.get("label_set")
    other = mask_after if mask_after is not None and mask_after.pk != mask.pk else None
    return Masks(
        before=mask,
        names=label_map(mask.labels, known),
        after=other,
        names_after=None if other is None else label_map(other.labels, known),
    )


def _sizes(masks: Masks, first: int, last: int, concerned: Callable[..., Mask]) -> dict[int, int]:
    """Pixels of every slice, on its own grid, that the change concerns; 0 without a mask.

    Where the mask stays, it is its labels that are concerned or not, and counts of them are enough.
    """
    if masks.after is None:
        return {
            index: _counted(masks, mask_counts(masks.before)[index], concerned)
            for index in range(first, last + 1)
        }
    return {
        index: int(concerned(*masks.labels(old, new)).sum())
        if old.any() or (new is not None and new.any())
        else 0
        for index, old, new in masks.pairs(first, last)
    }


def _counted(masks: Masks, counts: Mapping[int, int], concerned: Callable[..., Mask]) -> int:
    if not any(counts):
        return 0
    labels, _same = masks.labels(np.array(list(counts), np.uint16), None)
    return int(np.array(list(counts.values()))[concerned(labels, labels)].sum())


def _samples(edited: Sequence[int]) -> list[int]:
    """Some of the slices that change, evenly spread, with the first and the last."""
    places = np.linspace(0, len(edited) - 1, min(SAMPLES, len(edited)))
    return [edited[round(float(place))] for place in places]


def _grid(case: Any, masks: Masks, indices: Sequence[int], recipe: Mapping[str, Any]) -> tuple[Plane, Plane]:
    samples: list[tuple[Voxels, Slice]] = [
        (voxels, case_slice(case, index))
        for index, voxels, _other in masks.pairs(min(indices), max(indices))
        if index in indices
    ]
    try:
        return series_grid(
            samples, names=masks.names, recipe=recipe, modality="CT" if case.modality == "CT" else "MR"
        )
    except SynthesisError as error:
        raise ApplicationError(str(error), field="mask") from error


def _nothing(first: int, last: int) -> ApplicationError:
    return ApplicationError(
        _(
            "In none of the slices %(first)d to %(last)d does the mask show what is to change. Choose other "
            "slices, or paint what is missing."
        )
        % {"first": first + 1, "last": last + 1},
        field="mask",
    )
