"""Several slices of a case as one change: which of them it concerns, and their common grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _

from synthesis.edit_regions import chosen_region
from synthesis.edit_request import EditOptions
from synthesis.errors import SynthesisError
from synthesis.imaging.fitting import fit
from synthesis.imaging.labelmaps import LabelMap, label_map
from synthesis.imaging.plane import Plane, plane_of
from synthesis.imaging.preflight import LEAST_PIXELS, Problem
from synthesis.imaging.series_fitting import as_it_is, grid_at, rising, series_grid
from synthesis.imaging.storage import from_stored, to_stored
from synthesis.imaging.volume import Slice
from synthesis.phantoms.labels import AIR
from synthesis.request import Condition
from webapp.cases.selectors import case_geometry, case_slice, mask_array
from webapp.core.errors import ApplicationError
from webapp.core.permissions import can
from webapp.jobs.edit_preparation import PreparedEdit, change_of, edit_prepare, place_check

CHANGED_MOST = 96
"""Slices to be changed, times images: what one job may ask of a worker."""
SLICES_MOST = 600
"""Slices of the series that come out, changed or kept, times images: what a worker holds in memory."""
SAMPLES = 5
"""Slices whose bodies decide the common grid: the first and the last that change, and some between."""

Voxels = npt.NDArray[np.uint16]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Masks:
    """The masks of a series before and after, [slices, rows, columns] in their own labels."""

    before: Voxels
    names: LabelMap
    after: Voxels | None = None
    names_after: LabelMap | None = None

    def labels(self, index: int) -> tuple[Labels, Labels]:
        """A slice's labels before and after in the model's words, on the source's own grid."""
        old = self.names.apply(self.before[index])
        if self.after is None or self.names_after is None:
            return old, old
        return old, self.names_after.apply(self.after[index])


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
    masks = _masks(case, mask, mask_after, recipe)
    _check_range(case, first, last)
    sizes = {index: _size(masks, index, before, after, options, recipe) for index in range(first, last + 1)}
    pixel = float(case.spacing_mm[0]) * float(case.spacing_mm[1]) if all(case.spacing_mm[:2]) else 1.0
    rough = [index for index, size in sizes.items() if size]
    if not rough:
        raise _nothing(first, last)
    grid, of = _grid(case, masks, _samples(rough), recipe)
    least = LEAST_PIXELS * grid.spacing_mm[0] * grid.spacing_mm[1] / pixel
    edited = [index for index in rough if sizes[index] >= least]
    if not edited:
        raise _nothing(first, last)
    shown = slice_index if slice_index in edited else max(edited, key=lambda index: sizes[index])
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
    unmasked = [index for index in sizes if not masks.before[index].any()]
    series = {
        "first": first,
        "last": last,
        "edited": edited,
        "unmasked": [index for index in unmasked if index not in edited],
        "unconcerned": [index for index in sizes if index not in {*edited, *unmasked}],
        "grid": grid.to_json(),
        "grid_of": of.to_json(),
    }
    return replace(
        prepared,
        slices={"first": first, "last": last, "edited": len(edited)},
        notes=prepared.notes | {"series": series, "notes": [*prepared.notes["notes"], *kept_words(series)]},
        problems=[*prepared.problems, *_too_many(len(edited), count), *_too_large(len(sizes), count)],
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

    images [slices, rows, columns] float32, HU or signal, rounded as DICOM stores them. labels_after:
    None where the mask stays. indices: each slice's number in the source, from 0. planes: where each lies.
    edited: which of them, by their place here, are to be changed.
    """

    images: npt.NDArray[np.float32]
    labels: Labels
    labels_after: Labels | None
    indices: list[int]
    planes: list[Plane]
    edited: list[int]


def series_stack(
    request: Any, *, mask_after: Any = None, on_slice: Callable[[int, int], None] | None = None
) -> SeriesStack:
    """Read and fit every slice that a stored request names; `on_slice` hears of each (done, of how many).

    `mask_after` is the other mask that the request names, where it does. Raises ApplicationError where the
    source or a mask is gone, whoever asked may no longer see it, or a slice cannot be worked on.
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
    masks = _masks(case, request.mask, mask_after, recipe)
    grid, of = Plane.from_json(series["grid"]), Plane.from_json(series["grid_of"])
    indices = list(range(series["first"], series["last"] + 1))
    rows = []
    for done, index in enumerate(indices, start=1):
        rows.append(_fitted(case, masks, index, grid, of, recipe, keep=index not in series["edited"]))
        if on_slice is not None:
            on_slice(done, len(indices))
    if not rising(row[3] for row in rows):
        rows, indices = rows[::-1], indices[::-1]
    images, labels, afters, planes = (list(part) for part in zip(*rows, strict=True))
    return SeriesStack(
        images=from_stored(to_stored(np.stack(images), request.parameters["condition"]["modality"])),
        labels=np.stack(labels),
        labels_after=None if masks.after is None else np.stack(afters),
        indices=indices,
        planes=planes,
        edited=[place for place, index in enumerate(indices) if index in series["edited"]],
    )


def _fitted(
    case: Any, masks: Masks, index: int, grid: Plane, of: Plane, recipe: Mapping[str, Any], *, keep: bool
) -> tuple[npt.NDArray[np.float32], Labels, Labels, Plane]:
    """A slice, its labels before and after, and its plane.

    One without a mask has no labels, nor has one that is kept and shows no body.
    """
    source = case_slice(case, index)
    modality = "CT" if case.modality == "CT" else "MR"
    onto = grid_at(grid, of, plane_of(source))
    nothing = np.full(onto.shape, AIR, np.uint8)
    if keep and not masks.before[index].any():
        return as_it_is(source, onto, modality), nothing, nothing, onto

    def fitted(voxels: Voxels, names: LabelMap) -> Any:
        return fit(
            mask=voxels[index], names=names, recipe=recipe, source=source, modality=modality, onto=onto
        )

    try:
        old = fitted(masks.before, masks.names)
        if masks.after is None or masks.names_after is None:
            new = old.labels
        else:
            new = fitted(masks.after, masks.names_after).labels
    except SynthesisError as error:
        if keep:
            return as_it_is(source, onto, modality), nothing, nothing, onto
        raise ApplicationError(
            _("Slice %(slice)d: %(reason)s") % {"slice": index + 1, "reason": str(error)}, field="mask"
        ) from error
    return old.image, old.labels, new, onto


def _masks(case: Any, mask: Any, mask_after: Any, recipe: Mapping[str, Any]) -> Masks:
    """The masks' voxels; raises ApplicationError where there is none, or it is another case's."""
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
        before=mask_array(mask),
        names=label_map(mask.labels, known),
        after=None if other is None else mask_array(other),
        names_after=None if other is None else label_map(other.labels, known),
    )


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


def _size(
    masks: Masks,
    index: int,
    before: Condition,
    after: Condition,
    options: EditOptions,
    recipe: Mapping[str, Any],
) -> int:
    """Pixels of a slice, on its own grid, that the change concerns; 0 without a mask."""
    old, new = masks.labels(index)
    if not masks.before[index].any() and not (masks.after is not None and masks.after[index].any()):
        return 0
    return int(chosen_region(options.place, old, new, before, after, recipe.get("label_set")).sum())


def _nothing(first: int, last: int) -> ApplicationError:
    return ApplicationError(
        _(
            "In none of the slices %(first)d to %(last)d does the mask show what is to change. Choose other "
            "slices, or paint what is missing."
        )
        % {"first": first + 1, "last": last + 1},
        field="mask",
    )


def _samples(edited: Sequence[int]) -> list[int]:
    """Some of the slices that change, evenly spread, with the first and the last."""
    places = np.linspace(0, len(edited) - 1, min(SAMPLES, len(edited)))
    return [edited[round(float(place))] for place in places]


def _grid(case: Any, masks: Masks, indices: Sequence[int], recipe: Mapping[str, Any]) -> tuple[Plane, Plane]:
    samples: list[tuple[Voxels, Slice]] = [
        (masks.before[index], case_slice(case, index)) for index in indices
    ]
    try:
        return series_grid(
            samples, names=masks.names, recipe=recipe, modality="CT" if case.modality == "CT" else "MR"
        )
    except SynthesisError as error:
        raise ApplicationError(str(error), field="mask") from error


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
