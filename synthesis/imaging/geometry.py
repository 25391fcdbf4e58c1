"""Where voxels lie in the patient: affines, the order of slices, gaps, orientation letters.

Millimetres in DICOM's patient system (LPS: x to the patient's left, y to the back, z to the head)
throughout; NIfTI's RAS differs by the sign of x and y. Arrays are [slices, rows, columns].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from synthesis.imaging.errors import UnreadableFile

Float = npt.NDArray[np.float64]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Its own inverse: turns LPS millimetres into RAS ones and back."""

COSINE_TOLERANCE = 1e-3
"""How far direction cosines of one stack may differ (headers round to four or six decimals)."""
GAP_FACTOR = 1.5
"""A distance between neighbouring slices beyond this multiple of the median counts as a gap."""
EVEN_SHARE = 0.02
"""How far slices may lie off equal distances, as a share of them, and still count as evenly spaced."""
EVEN_MM = 0.11
"""The same in mm, up to a quarter of a distance: in headers of one decimal both ends are 0.05 mm off, too."""
STRAIGHT_MM = 1e-4
"""How far slices may lie off one straight line and still be said to lie on it."""


def unit(vector: npt.ArrayLike) -> Float:
    """The vector at length 1.

    Raises:
        UnreadableFile: when it is zero, infinite or not a number.
    """
    v = np.asarray(vector, dtype=np.float64)
    length = float(np.linalg.norm(v))
    if not np.isfinite(length) or length < 1e-9:
        raise UnreadableFile(f"The orientation in the header is no direction: {v.tolist()}.")
    return v / length


def cosines_of(orientation: Sequence[float]) -> tuple[Float, Float, Float]:
    """Directions of rising column index, rising row index, and their normal, from six DICOM cosines.

    Image Orientation (Patient), PS3.3 C.7.6.2.1.1. The two are made unit length; a header whose
    axes are not at right angles (beyond rounding) is refused.

    Raises:
        UnreadableFile: for anything but six finite numbers that span a right angle.
    """
    if len(orientation) != 6 or not np.all(np.isfinite(np.asarray(orientation, dtype=np.float64))):
        raise UnreadableFile("The image orientation in the header is not six finite numbers.")
    along_columns, along_rows = unit(orientation[:3]), unit(orientation[3:])
    if abs(float(along_columns @ along_rows)) > 0.01:
        raise UnreadableFile("The image axes in the header are not at right angles.")
    return along_columns, along_rows, unit(np.cross(along_columns, along_rows))


def same_orientation(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two sets of six cosines agree within `COSINE_TOLERANCE`."""
    return bool(np.allclose(first, second, rtol=0, atol=COSINE_TOLERANCE))


def stack_order(
    positions_mm: npt.ArrayLike, orientation: Sequence[float]
) -> tuple[npt.NDArray[np.intp], Float]:
    """The order of slices by position along the normal, rising, and those positions in that order.

    Args:
        positions_mm: [n, 3] LPS positions of the first voxel of each slice.
        orientation: the six cosines that all slices share.

    Returns:
        Indices into `positions_mm` (ties keep their order) and the sorted positions in mm.
    """
    along = np.asarray(positions_mm, dtype=np.float64).reshape(-1, 3) @ cosines_of(orientation)[2]
    order = np.argsort(np.round(along, 4), kind="stable")
    return order, along[order]


@dataclass(frozen=True, kw_only=True, eq=False)
class Geometry:
    """How an array [slices, rows, columns] lies in the patient.

    `affine` [4, 4] takes (slice, row, column, 1) to LPS mm. `positions_mm` are the slices' places
    along the normal (rising), from the headers, so that gaps stay known. `is_known` is False
    where the source tells no position (a photograph, many CR images): then only the spacing counts.
    `slice_spacing_mm` is None where one slice tells no thickness. `origins_mm` are the first voxels of
    all slices (LPS mm) where the headers put them elsewhere than on one straight line.
    """

    affine: Float
    shape: tuple[int, int, int]
    positions_mm: tuple[float, ...] = ()
    origins_mm: tuple[tuple[float, ...], ...] = ()
    slice_spacing_mm: float | None = None
    is_known: bool = True
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.affine.shape != (4, 4) or not np.all(np.isfinite(self.affine)):
            raise ValueError(f"affine: expected a finite [4, 4] array, got shape {self.affine.shape}.")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"shape: expected three positive sizes, got {self.shape}.")

    @property
    def spacing_mm(self) -> tuple[float, float, float | None]:
        """Distance between rows, between columns, and between slices (None: not known)."""
        rows, columns = (float(np.linalg.norm(self.affine[:3, axis])) for axis in (1, 2))
        return rows, columns, self.slice_spacing_mm

    @property
    def orientation(self) -> tuple[float, ...]:
        """DICOM's six cosines: direction of rising column index, then of rising row index."""
        return (*map(float, unit(self.affine[:3, 2])), *map(float, unit(self.affine[:3, 1])))

    @property
    def normal(self) -> Float:
        """Unit vector across the slices, [3]."""
        return unit(np.cross(self.affine[:3, 2], self.affine[:3, 1]))

    @property
    def gaps(self) -> tuple[int, ...]:
        """Indices of slices after which at least one slice seems to be missing."""
        distances = np.diff(self.positions_mm)
        if distances.size == 0:
            return ()
        usual = float(np.median(distances))
        return tuple(int(i) for i in np.flatnonzero(distances > GAP_FACTOR * max(usual, 1e-6)))

    @property
    def repeats(self) -> int:
        """How many slices lie where the slice before them lies (phases, echoes, b-values)."""
        return int(np.sum(np.diff(self.positions_mm) < 1e-3)) if len(self.positions_mm) > 1 else 0

    @property
    def is_uniform(self) -> bool:
        """Whether the slices are equally spaced, so that the affine says it all."""
        return is_even(self.positions_mm)

    @property
    def astray_mm(self) -> float:
        """How far, at most, a slice lies from where the affine puts it."""
        count = self.shape[0]
        line = (self.affine @ np.stack([np.arange(count), *np.zeros((2, count)), np.ones(count)]))[:3].T
        told = np.stack([self.position_of(index) for index in range(count)])
        return float(np.linalg.norm(line - told, axis=1).max())

    def position_of(self, index: int) -> Float:
        """LPS mm of the first voxel of one slice, [3], as its header says, however slices are spaced."""
        if self.origins_mm:
            return np.asarray(self.origins_mm[index], dtype=np.float64)
        origin, step = self.affine[:3, 3], self.affine[:3, 0]
        if len(self.positions_mm) != self.shape[0]:
            return origin + index * step
        across = float(step @ self.normal)
        direction = step / across if abs(across) > 1e-9 else self.normal
        return origin + (self.positions_mm[index] - self.positions_mm[0]) * direction

    def ras_affine(self) -> Float:
        """The affine that takes (slice, row, column, 1) to RAS mm, as NIfTI counts them."""
        return LPS_TO_RAS @ self.affine

    def to_json(self) -> dict[str, Any]:
        """Plain values, such as `from_json` reads."""
        return {
            "affine": self.affine.tolist(),
            "shape": list(self.shape),
            "positions_mm": list(self.positions_mm),
            "origins_mm": [list(origin) for origin in self.origins_mm],
            "slice_spacing_mm": self.slice_spacing_mm,
            "is_known": self.is_known,
            "notes": list(self.notes),
            "letters": orientation_letters(self.orientation) if self.is_known else None,
            "gaps": list(self.gaps),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Geometry:
        """The geometry that `to_json` wrote."""
        return cls(
            affine=np.asarray(values["affine"], dtype=np.float64),
            shape=tuple(values["shape"]),
            positions_mm=tuple(values.get("positions_mm", ())),
            origins_mm=tuple(tuple(origin) for origin in values.get("origins_mm", ())),
            slice_spacing_mm=values.get("slice_spacing_mm"),
            is_known=values.get("is_known", True),
            notes=tuple(values.get("notes", ())),
        )


def orientation_letters(orientation: Sequence[float]) -> dict[str, str]:
    """What the edges of the image show: {"left", "right", "top", "bottom"} -> "R", "LA", ...

    A, P, L, R, H (head), F (foot); oblique directions get up to three letters, the largest
    component first, components below 0.2 left out. PS3.3 C.7.6.1.1.1 (Patient Orientation).
    """
    along_columns, along_rows, _ = cosines_of(orientation)
    return {
        "left": _letters(-along_columns),
        "right": _letters(along_columns),
        "top": _letters(-along_rows),
        "bottom": _letters(along_rows),
    }


def _letters(direction: Float) -> str:
    names = (("L", "R"), ("P", "A"), ("H", "F"))
    order = np.argsort(-np.abs(direction), kind="stable")
    parts = [names[axis][int(direction[axis] < 0)] for axis in order if abs(direction[axis]) >= 0.2]
    return "".join(parts)


def geometry_of_slices(
    positions_mm: npt.ArrayLike,
    orientation: Sequence[float],
    spacing_mm: tuple[float, float],
    shape: tuple[int, int],
    *,
    slice_spacing_mm: float | None = None,
) -> tuple[Geometry, npt.NDArray[np.intp]]:
    """Sort slices along their normal and say how the stack lies.

    Args:
        positions_mm: [n, 3] LPS mm of the first voxel of each slice.
        orientation: the six cosines that they share.
        spacing_mm: between rows, between columns (DICOM's Pixel Spacing).
        shape: rows, columns.
        slice_spacing_mm: what the header says; used only where one slice alone cannot tell.

    Returns:
        The geometry in sorted order, and the order: indices into `positions_mm`.
    """
    points = np.asarray(positions_mm, dtype=np.float64).reshape(-1, 3)
    if not np.all(np.isfinite(points)):
        raise UnreadableFile("The image position in the header is not a finite number.")
    along_columns, along_rows, normal = cosines_of(orientation)
    order, along = stack_order(points, orientation)
    distances = np.diff(along)
    distinct = distances[distances > 1e-3]
    step = normal * (slice_spacing_mm or 1.0)
    spacing = slice_spacing_mm
    if distinct.size:
        spacing = float(np.mean(distinct) if is_even(along) else np.median(distinct))
        shift = points[order[-1]] - points[order[0]]
        step = shift / float(along[-1] - along[0]) * spacing  # a tilted gantry shifts within the plane too
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (
        step,
        along_rows * spacing_mm[0],
        along_columns * spacing_mm[1],
    )
    affine[:3, 3] = points[order[0]]
    geometry = Geometry(
        affine=affine,
        shape=(len(points), *shape),
        positions_mm=tuple(float(p) for p in along),
        slice_spacing_mm=spacing,
    )
    line = np.stack([geometry.position_of(index) for index in range(len(points))])
    if np.abs(line - points[order]).max() > STRAIGHT_MM:
        geometry = replace(geometry, origins_mm=tuple(tuple(map(float, point)) for point in points[order]))
    return geometry, order


def is_even(positions_mm: npt.ArrayLike) -> bool:
    """Whether slices at these places along their normal, in order, count as evenly spaced; so does one alone.

    None lies farther from where equal distances between the first and the last put it than `EVEN_SHARE` of a
    distance or what rounding explains (`EVEN_MM`): single distances tell too little, for headers of one
    decimal make 0.6 and 0.7 of 0.625 mm.
    """
    places = np.asarray(positions_mm, dtype=np.float64)
    if places.size < 2:
        return True
    usual = abs(float(places[-1] - places[0])) / (places.size - 1)
    off = np.abs(places - np.linspace(places[0], places[-1], places.size)).max()
    return usual > 1e-6 and bool(off <= max(EVEN_SHARE * usual, min(EVEN_MM, usual / 4)))


def flat_geometry(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float], *, slice_spacing_mm: float | None = None
) -> Geometry:
    """The geometry of images that tell no position: axes as they come, origin at the first voxel."""
    affine = np.eye(4)
    affine[:3, 0] = (0.0, 0.0, slice_spacing_mm or 1.0)
    affine[:3, 1] = (0.0, spacing_mm[0], 0.0)
    affine[:3, 2] = (spacing_mm[1], 0.0, 0.0)
    return Geometry(affine=affine, shape=shape, slice_spacing_mm=slice_spacing_mm, is_known=False)
