"""A stack of slices with its units and its place in the patient, and one slice of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from synthesis.imaging.geometry import Float, Geometry

Stored = npt.NDArray[Any]
"""Integers as the file holds them, or floating-point pixels where it holds those."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice:
    """One image in real units.

    `array` is [rows, columns] float32 (or [rows, columns, 3] for colour); `spacing_mm` is between
    rows and between columns; `position_mm` [3] and `orientation` (six cosines) are LPS, and mean
    nothing where `is_placed` is False.
    """

    array: npt.NDArray[np.float32]
    spacing_mm: tuple[float, float]
    units: str
    index: int = 0
    position_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    orientation: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    is_placed: bool = True
    thickness_mm: float | None = None

    @property
    def is_colour(self) -> bool:
        """Whether the slice has three samples per pixel."""
        return self.array.ndim == 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """Stored values of a stack and what they mean.

    `stored` is [slices, rows, columns] (or with a last axis of 3), exactly as the file has them;
    real value = stored * slope + intercept, per slice (PS3.3 C.11.1). `units` are those of the
    real values: "HU", "signal", "BQML", "value".
    """

    stored: Stored
    slope: Float
    intercept: Float
    geometry: Geometry
    units: str
    modality: str = "OT"
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        slices = self.stored.shape[0]
        if self.stored.ndim not in (3, 4) or self.stored.shape[:3] != self.geometry.shape:
            raise ValueError(f"stored: expected {self.geometry.shape}, got {self.stored.shape}.")
        if self.slope.shape != (slices,) or self.intercept.shape != (slices,):
            raise ValueError(
                f"slope and intercept: expected {slices} each, "
                f"got {self.slope.shape} and {self.intercept.shape}."
            )

    def real(self) -> npt.NDArray[np.float32]:
        """All values in `units`, the shape of `stored`."""
        return np.stack([real_values(s, a, b) for s, a, b in zip(self.stored, self.slope, self.intercept)])

    def slice(self, index: int) -> Slice:
        """One slice in real units, counted from 0 in stack order."""
        spacing = self.geometry.spacing_mm
        x, y, z = (float(value) for value in self.geometry.position_of(index))
        return Slice(
            array=real_values(self.stored[index], self.slope[index], self.intercept[index]),
            spacing_mm=spacing[:2],
            units=self.units,
            index=index,
            position_mm=(x, y, z),
            orientation=self.geometry.orientation,
            is_placed=self.geometry.is_known,
            thickness_mm=spacing[2],
        )


def real_values(stored: Stored, slope: float, intercept: float) -> npt.NDArray[np.float32]:
    """Stored values times slope plus intercept, computed in double precision, as float32."""
    if slope == 1.0 and intercept == 0.0:
        return stored.astype(np.float32)
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


def window_of(
    values: npt.NDArray[np.floating], *, low: float = 0.5, high: float = 99.5
) -> tuple[float, float]:
    """A display window (centre, width) between two percentiles of the finite values."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    bottom, top = np.percentile(finite, [low, high])
    return float((bottom + top) / 2), float(max(top - bottom, 1.0))


def stack_slices(slices: Sequence[Stored]) -> Stored:
    """[slices, rows, columns] from equally sized slices.

    Raises:
        ValueError: when their shapes differ.
    """
    shapes = {s.shape for s in slices}
    if len(shapes) != 1:
        raise ValueError(f"slices of one shape expected, got {sorted(shapes)}.")
    return np.stack(list(slices))
