"""A grid of pixels in the patient, and the resampling of images and masks from one to another."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from synthesis.imaging.geometry import Geometry
from synthesis.imaging.volume import Slice

Float = npt.NDArray[np.float64]
Label = TypeVar("Label", bound=np.integer)


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Where the pixels of one slice lie (LPS mm, as in synthesis.imaging.geometry).

    position_mm: centre of the first pixel. orientation: six cosines, direction of rising column
    index, then of rising row index. spacing_mm: between rows, between columns.
    """

    position_mm: tuple[float, float, float]
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, float]
    shape: tuple[int, int]

    @property
    def along_columns(self) -> Float:
        """Unit vector of rising column index, [3]."""
        return np.asarray(self.orientation[:3], dtype=np.float64)

    @property
    def along_rows(self) -> Float:
        """Unit vector of rising row index, [3]."""
        return np.asarray(self.orientation[3:], dtype=np.float64)

    def points(self, row: npt.ArrayLike, column: npt.ArrayLike) -> Float:
        """LPS mm [..., 3] of (fractional) pixel indices."""
        r = np.asarray(row, np.float64)[..., None] * (self.spacing_mm[0] * self.along_rows)
        c = np.asarray(column, np.float64)[..., None] * (self.spacing_mm[1] * self.along_columns)
        return np.asarray(self.position_mm) + r + c

    def indices(self, points: Float) -> tuple[Float, Float]:
        """(row, column), fractional, of LPS points [..., 3] seen along the plane's normal.

        The inverse of `points`, also for axes that are a little off the right angle, as headers round them.
        """
        away = points - np.asarray(self.position_mm)
        down, across = away @ self.along_rows, away @ self.along_columns
        lean = float(self.along_rows @ self.along_columns)
        row, column = (down - lean * across), (across - lean * down)
        upright = 1.0 - lean**2
        return row / (upright * self.spacing_mm[0]), column / (upright * self.spacing_mm[1])

    def to_json(self) -> dict[str, Any]:
        """Plain values, such as `Plane(**values)` takes (tuples as lists)."""
        return {
            "position_mm": list(self.position_mm),
            "orientation": list(self.orientation),
            "spacing_mm": list(self.spacing_mm),
            "shape": list(self.shape),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Plane:
        """The plane that `to_json` wrote."""
        return cls(**{key: tuple(value) for key, value in values.items()})


def plane_of(source: Slice) -> Plane:
    """The plane of a slice; one that tells no position gets rows to the back, columns to the left."""
    rows, columns = source.array.shape[:2]
    if not source.is_placed:
        return flat_plane((rows, columns), source.spacing_mm)
    return Plane(
        position_mm=source.position_mm,
        orientation=tuple(source.orientation),
        spacing_mm=source.spacing_mm,
        shape=(rows, columns),
    )


def flat_plane(shape: tuple[int, int], spacing_mm: tuple[float, float]) -> Plane:
    """A standard axial plane around the origin: rows run to the back, columns to the patient's left."""
    first = tuple(-(count - 1) / 2 * step for count, step in zip(shape, spacing_mm, strict=True))
    return Plane(
        position_mm=(first[1], first[0], 0.0),
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        spacing_mm=spacing_mm,
        shape=shape,
    )


def is_axial(plane: Plane) -> bool:
    """Whether the plane's normal is within 30 degrees of the body's length."""
    normal = np.cross(plane.along_columns, plane.along_rows)
    return bool(abs(normal[2]) >= np.cos(np.deg2rad(30.0)))


def upright(plane: Plane) -> tuple[Float, Float]:
    """The plane's own directions, ordered and signed as (to the patient's left, to the back), [3] each."""
    a, b = plane.along_columns, plane.along_rows
    left, back = (a, b) if abs(a[0]) >= abs(b[0]) else (b, a)
    return (left if left[0] >= 0 else -left), (back if back[1] >= 0 else -back)


def resample_image(
    image: npt.NDArray[np.floating], source: Plane, target: Plane, *, outside: float
) -> npt.NDArray[np.float32]:
    """The image on another grid of the same plane: linear interpolation, averaged over each pixel.

    Where the target is coarser, each of its pixels is the mean of enough samples to see every
    source pixel under it. `outside` fills what the source does not cover.
    """
    fine = _samples(source, target, least=1)
    row, column = source.indices(target.points(*_subpixels(target.shape, fine)))
    padded = np.pad(image.astype(np.float64), 1, mode="edge")
    values = ndimage.map_coordinates(padded, [row + 1, column + 1], order=1, mode="nearest")
    covered = _covered(row, column, source.shape)
    values = np.where(covered, values, outside)
    return _blocks(values, target.shape, fine).mean((1, 3)).astype(np.float32)


def resample_labels(
    labels: npt.NDArray[Label], source: Plane, target: Plane, *, outside: int
) -> npt.NDArray[Label]:
    """The mask on another grid of the same plane: each pixel takes the label that covers most of it.

    Nothing is invented between labels; of equal shares the lower value wins. Samples are of an even number,
    none of them in the middle of a pixel, and lean a hair towards it: one that falls between two source
    pixels would else always count for the same side, and shift the mask.
    """
    fine = 2 * ceil(_samples(source, target, least=4) / 2)
    row, column = source.indices(target.points(*_subpixels(target.shape, fine, lean=1e-6)))
    r = np.clip(np.rint(row).astype(np.intp), 0, source.shape[0] - 1)
    c = np.clip(np.rint(column).astype(np.intp), 0, source.shape[1] - 1)
    values = np.where(_covered(row, column, source.shape), labels[r, c], labels.dtype.type(outside))
    blocks = _blocks(values, target.shape, fine)
    best = np.zeros(target.shape, labels.dtype)
    most = np.zeros(target.shape, np.int64)
    for value in np.unique(values):
        share = (blocks == value).sum((1, 3))
        best[share > most] = value
        most = np.maximum(most, share)
    return best


def _samples(source: Plane, target: Plane, *, least: int) -> int:
    """Samples per target pixel and direction, so that none is farther apart than source pixels."""
    return int(np.clip(np.ceil(max(target.spacing_mm) / min(source.spacing_mm)), least, 12))


def _subpixels(shape: tuple[int, int], fine: int, *, lean: float = 0.0) -> tuple[Float, Float]:
    """Fractional (row, column) indices of `fine` x `fine` points in every pixel of a grid.

    They lie nearer to the pixel's middle by the share `lean` of their distance from it.
    """
    within = ((np.arange(fine) + 0.5) / fine - 0.5) * (1.0 - lean)
    axes = [(np.arange(count)[:, None] + within).ravel() for count in shape]
    row, column = np.meshgrid(*axes, indexing="ij")
    return row, column


def _covered(row: Float, column: Float, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    inside = (row >= -0.5) & (row <= shape[0] - 0.5) & (column >= -0.5) & (column <= shape[1] - 0.5)
    return np.asarray(inside)


def _blocks(values: npt.NDArray[Any], shape: tuple[int, int], fine: int) -> npt.NDArray[Any]:
    return values.reshape(shape[0], fine, shape[1], fine)


def plane_in_stack(geometry: Geometry, index: int) -> Plane:
    """The plane of one slice of a stack, counted from 0."""
    x, y, z = (float(value) for value in geometry.position_of(index))
    rows, columns, _ = geometry.spacing_mm
    return Plane(
        position_mm=(x, y, z),
        orientation=geometry.orientation,
        spacing_mm=(rows, columns),
        shape=(geometry.shape[1], geometry.shape[2]),
    )
