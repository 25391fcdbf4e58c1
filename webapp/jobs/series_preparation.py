"""Several slices of a case as one change: which of them it concerns, and their common grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _

from synthesis.errors import SynthesisError
from synthesis.imaging.fitting import fit
from synthesis.imaging.labelmaps import LabelMap
from synthesis.imaging.plane import Plane, plane_of
from synthesis.imaging.preflight import Problem
from synthesis.imaging.series_fitting import as_it_is, grid_at, rising
from synthesis.imaging.storage import Room, Stored, to_stored
from synthesis.phantoms.labels import AIR
from webapp.cases.selectors import case_geometry, case_slice
from webapp.core.errors import ApplicationError
from webapp.core.permissions import can
from webapp.jobs.edit_preparation import PreparedEdit, change_of, edit_prepare, place_check
from webapp.jobs.series_plan import Labels, Masks, SeriesWish, Voxels, masks_of, plan_of

CHANGED_MOST = 96
"""Slices to be changed, times images: what one job may ask of a worker."""
SLICES_MOST = 600
"""Slices of the series that come out, changed or kept, times images: what one job may keep."""


def series_prepare(
    *,
    model: Any,
    case: Any,
    mask: Any,
    parameters: Mapping[str, Any],
    slices: tuple[int, int],
    adapter: Any = None,
    mask_after: Any = None,
    slice_index: int | None = None,
    count: int = 1,
    seed: int = 0,
) -> PreparedEdit:
    """As `edit_prepare`, of the slices from `slices[0]` to `slices[1]` (from 0, both included).

    What is prepared whole is one slice that stands for all: `slice_index` where it is to change, else the
    one that changes most. All others are read and fitted by the worker (`series_stack`). The notes say
    under "series" which slices change and which are kept as they are, and the grid that all of them share.
    Raises ApplicationError as `edit_prepare`, and where there are too many slices or none to change.
    """
    first, last = slices
    before, after, options = change_of(parameters)
    recipe = model.recipe_with(adapter)
    place_check(options.place, recipe)
    masks = masks_of(case, mask, mask_after, recipe)
    _check_range(case, first, last)
    wish = SeriesWish(case=case, masks=masks, slices=slices, place=options.place, before=before, after=after)
    plan = plan_of(wish, model=model, adapter=adapter)
    edited, grid, of = plan.edited, plan.grid, plan.of
    shown = slice_index if slice_index in edited else max(edited, key=lambda index: plan.sizes[index])
    prepared = edit_prepare(
        model=model,
        adapter=adapter,
        case=case,
        mask=mask,
        parameters=parameters,
        mask_after=mask_after,
        slice_index=shown,
        count=count,
        seed=seed,
        onto=grid_at(grid, of, plane_of(case_slice(case, shown))),
    )
    series = {
        "first": first,
        "last": last,
        "edited": list(edited),
        "unmasked": [index for index in plan.unmasked if index not in edited],
        "unconcerned": [index for index in plan.sizes if index not in {*edited, *plan.unmasked}],
        "grid": grid.to_json(),
        "grid_of": of.to_json(),
    }
    return replace(
        prepared,
        slices={"first": first, "last": last, "edited": len(edited)},
        notes=prepared.notes
        | {
            "series": series,
            "lesion": plan.lesion,
            "notes": [*prepared.notes["notes"], *kept_words(series)],
        },
        problems=[*prepared.problems, *_too_many(len(edited), count), *_too_large(len(plan.sizes), count)],
    )


def kept_words(series: Mapping[str, Any]) -> list[str]:
    """What becomes of the slices, in sentences."""
    words = [
        _("Slices %(slices)s are changed, one by one.") % {"slices": ranges(series["edited"])}
        if len(series["edited"]) > 1
        else _("Slice %(slices)s is changed.") % {"slices": ranges(series["edited"])}
    ]
    if series["unmasked"]:
        words.append(
            _("Kept as they are, for they have no mask: %(slices)s.") % {"slices": ranges(series["unmasked"])}
        )
    if series["unconcerned"]:
        words.append(
            _("Kept as they are, for nothing in them is concerned: %(slices)s.")
            % {"slices": ranges(series["unconcerned"])}
        )
    return words


def ranges(indices: Sequence[int]) -> str:
    """Slices from 0 as people count them, neighbours drawn together: "1, 4–7"."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], index]
        else:
            runs.append([index])
    return ", ".join("–".join(str(one + 1) for one in run) for run in runs)


@dataclass(frozen=True, kw_only=True)
class SeriesStack:
    """The slices of a request on the model's grid, in the order of the DICOM stack to come.

    images [slices, rows, columns]: HU or signal as DICOM stores them. labels_after: None where the mask
    stays. indices: each slice's number in the source, from 0. planes: where each lies. edited: which of
    them, by their place here, are to be changed.
    """

    images: Stored
    labels: Labels
    labels_after: Labels | None
    indices: list[int]
    planes: list[Plane]
    edited: list[int]


def series_stack(
    request: Any,
    *,
    mask_after: Any = None,
    on_slice: Callable[[int, int], None] | None = None,
    room: Room = np.empty,
) -> SeriesStack:
    """Read and fit every slice that a stored request names; `on_slice` hears of each (done, of how many).

    `mask_after` is the other mask that the request names, where it does; `room` makes place for the stacks,
    besides which a few slices are held at a time. Raises ApplicationError where the source or a mask is gone,
    whoever asked may no longer see it, or a slice cannot be worked on.
    """
    if request.case is None or request.mask is None:
        raise ApplicationError(
            _("The source or its mask was deleted, so nothing can be made of it."), code="source_gone"
        )
    if not can(request.owner, "request", request.case):
        raise ApplicationError(
            _("The source is no longer shared with you, so nothing was made of it."), code="source_unseen"
        )
    case, series = request.case, request.prepared["series"]
    recipe = request.model.recipe_with(request.adapter)
    masks = masks_of(case, request.mask, mask_after, recipe)
    grid, of = Plane.from_json(series["grid"]), Plane.from_json(series["grid_of"])
    first, last = int(series["first"]), int(series["last"])
    ends = [grid_at(grid, of, plane_of(case_slice(case, index))) for index in (first, last)]
    indices = list(range(first, last + 1))
    indices = indices if rising(ends) else indices[::-1]
    shape = (len(indices), *ends[0].shape)
    images, labels = room(shape, np.int16), room(shape, np.uint8)
    afters = None if masks.after is None else room(shape, np.uint8)
    planes: dict[int, Plane] = {}
    modality = request.parameters["condition"]["modality"]
    for index, mask, other in masks.pairs(first, last):
        at, keep = indices.index(index), index not in series["edited"]
        image, old, new, planes[index] = _fitted(case, masks, index, mask, other, grid, of, recipe, keep=keep)
        images[at], labels[at] = to_stored(image, modality), old
        if afters is not None:
            afters[at] = new
        if on_slice is not None:
            on_slice(index - first + 1, len(indices))
    return SeriesStack(
        images=images,
        labels=labels,
        labels_after=afters,
        indices=indices,
        planes=[planes[index] for index in indices],
        edited=[place for place, index in enumerate(indices) if index in series["edited"]],
    )


def _fitted(
    case: Any,
    masks: Masks,
    index: int,
    mask: Voxels,
    mask_after: Voxels | None,
    grid: Plane,
    of: Plane,
    recipe: Mapping[str, Any],
    *,
    keep: bool,
) -> tuple[npt.NDArray[np.float32], Labels, Labels, Plane]:
    """A slice, its labels before and after, and its plane.

    One without a mask has no labels, nor has one that is kept and shows no body.
    """
    source = case_slice(case, index)
    modality = "CT" if case.modality == "CT" else "MR"
    onto = grid_at(grid, of, plane_of(source))
    nothing = np.full(onto.shape, AIR, np.uint8)
    if keep and not mask.any():
        return as_it_is(source, onto, modality), nothing, nothing, onto

    def fitted(voxels: Voxels, names: LabelMap) -> Any:
        return fit(mask=voxels, names=names, recipe=recipe, source=source, modality=modality, onto=onto)

    try:
        old = fitted(mask, masks.names)
        if mask_after is None or masks.names_after is None:
            new = old.labels
        else:
            new = fitted(mask_after, masks.names_after).labels
    except SynthesisError as error:
        if keep:
            return as_it_is(source, onto, modality), nothing, nothing, onto
        raise ApplicationError(
            _("Slice %(slice)d: %(reason)s") % {"slice": index + 1, "reason": str(error)}, field="mask"
        ) from error
    return old.image, old.labels, new, onto


def _check_range(case: Any, first: int, last: int) -> None:
    if not 0 <= first <= last < case.slice_count:
        raise ApplicationError(
            _("This case has slices 1 to %(count)d; choose a first one and one after it.")
            % {"count": case.slice_count},
            field="last_slice",
        )
    if last - first >= SLICES_MOST:
        raise ApplicationError(
            _("At most %(most)d slices go into one series, and these are %(count)d. Choose a part of them.")
            % {"most": SLICES_MOST, "count": last - first + 1},
            field="last_slice",
        )
    if last > first and not case_geometry(case).is_known:
        raise ApplicationError(
            _(
                "The slices of this case do not say where they lie, so they make no series. Change them one "
                "by one."
            ),
            field="last_slice",
        )


def _too_many(edited: int, count: int) -> list[Problem]:
    """Why so many slices at once are refused, with what one job may have."""
    if edited * count <= CHANGED_MOST:
        return []
    if count > 1:
        words = _(
            "%(edited)d slices times %(count)d images are %(all)d changes; one job makes at most %(most)d. "
            "Choose fewer slices or fewer images."
        )
        values = {"edited": edited, "count": count, "all": edited * count, "most": CHANGED_MOST}
        return [Problem("count", words % values, max(1, CHANGED_MOST // edited))]
    words = _(
        "%(edited)d slices would be changed; one job changes at most %(most)d. Choose a part of the series."
    )
    return [Problem("last_slice", words % {"edited": edited, "most": CHANGED_MOST})]


def _too_large(slices: int, count: int) -> list[Problem]:
    """Why so many slices in all, changed or kept, are refused for several images."""
    if slices * count <= SLICES_MOST:
        return []
    words = _(
        "%(slices)d slices times %(count)d images are %(all)d to keep; one job keeps at most %(most)d. "
        "Choose fewer slices or fewer images."
    )
    values = {"slices": slices, "count": count, "all": slices * count, "most": SLICES_MOST}
    return [Problem("count", words % values, max(1, SLICES_MOST // slices))]
