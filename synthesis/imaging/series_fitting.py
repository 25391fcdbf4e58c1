"""One grid of a model for all slices of a series, so that what is made of them is one stack again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from synthesis.errors import SynthesisError
from synthesis.imaging.fitting import body_in, grid_around, is_own_grid
from synthesis.imaging.labelmaps import LabelMap
from synthesis.imaging.plane import Plane, plane_of, resample_image
from synthesis.imaging.volume import Slice

AIR = {"CT": -1000.0}


def series_grid(
    samples: Iterable[tuple[npt.NDArray[np.integer], Slice]],
    *,
    names: LabelMap,
    recipe: Mapping[str, Any],
    modality: str,
) -> tuple[Plane, Plane]:
    """The model's grid around the bodies of all samples (mask, slice), in the plane of the first one.

    Returns that grid and the first sample's own, for `grid_at`. A source on a grid that the model works
    on keeps it. Raises SynthesisError where no sample shows a body, as `fit` does of one slice.
    """
    first: Plane | None = None
    bodies: npt.NDArray[np.bool_] | None = None
    why: SynthesisError | None = None
    for mask, source in samples:
        try:
            plane, inside = body_in(mask, names, source, modality)
        except SynthesisError as error:
            why = why or error
            continue
        first = first or plane
        bodies = inside if bodies is None else bodies | inside
        if is_own_grid(plane, recipe):
            return first, first
    if first is None or bodies is None:
        raise why or SynthesisError("There is no slice to find a grid for.")
    return grid_around(bodies, first, recipe), first


def grid_at(grid: Plane, first: Plane, source: Plane) -> Plane:
    """The series' grid on another of its slices: it moves as the slice itself lies away from the first."""
    if grid == first:
        return source
    away = np.asarray(source.position_mm) - np.asarray(first.position_mm)
    x, y, z = (float(value) for value in np.asarray(grid.position_mm) + away)
    return replace(grid, position_mm=(x, y, z))


def as_it_is(source: Slice, grid: Plane, modality: str) -> npt.NDArray[np.float32]:
    """A slice that nothing is done to, on the series' grid: [rows, columns] in its own unit."""
    image = np.nan_to_num(source.array)
    return resample_image(image, plane_of(source), grid, outside=AIR.get(modality, 0.0))


def rising(grids: Iterable[Plane]) -> bool:
    """Whether slices in this order rise along their common normal, as a DICOM stack of them is read."""
    planes = list(grids)
    normal = np.cross(planes[0].along_columns, planes[0].along_rows)
    along = np.asarray([plane.position_mm for plane in planes]) @ normal
    return bool(along[-1] >= along[0])
