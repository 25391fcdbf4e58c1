"""One item brought to the common form; what arm it is of is not asked and makes no difference."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from webapp.core.errors import ApplicationError
from webapp.readings.harmonising.survey import Image, Mask, checked, kind_of, outline
from webapp.readings.harmonising.target import SCALED, Target, Values

SMOOTHING = 0.6  # sigma of the Gaussian, in common pixels
REACH = 4.0  # sigmas after which its weight is nothing
RIM_MM = 4.0  # around the outline, so that the skin's edge stays
TOO_SMALL_MM = 0.5

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Harmonised:
    """An item as readers get it: int16 [frames, rows, columns], stored value = real value."""

    pixels: npt.NDArray[np.int16]
    spacing_mm: tuple[float, float]
    between_mm: float | None
    window: tuple[float, float]

    def to_bytes(self) -> bytes:
        """Little-endian int16 in C order: of one length for every item of a study."""
        return np.ascontiguousarray(self.pixels, dtype="<i2").tobytes()


def harmonise(
    pixels: Image,
    spacing_mm: tuple[float, float] | tuple[float, float, float | None],
    modality: str,
    target: Target,
) -> Harmonised:
    """Clip, smooth and resample, crop or pad, mask and requantise one item: [frames, rows, columns].

    pixels: real units (HU for CT). spacing_mm: between rows, columns and, for volumes, frames.
    The same arithmetic for every item, and the same result each time.

    Raises ApplicationError, in a plain sentence, where the item cannot be brought to the target.
    """
    spacing = checked(pixels, spacing_mm)
    if modality not in target.values:
        known = ", ".join(target.values)
        raise ApplicationError(f"This item is {modality}, but the study's common form is for {known}.")
    values = target.values[modality]
    image = _in_range(pixels, modality, values)
    frames = _frames(image, spacing[2], target)
    centre = _centre(outline(pixels[len(pixels) // 2], spacing[:2], modality), spacing[:2], target)
    rows = _weights(frames.shape[1], spacing[0], target.rows, target.spacing_mm, centre[0])
    columns = _weights(frames.shape[2], spacing[1], target.columns, target.spacing_mm, centre[1])
    covered = np.outer(rows.any(axis=1), columns.any(axis=1))
    resampled = np.einsum("ir,frc,jc->fij", rows, frames - values.low, columns, optimize=True) + values.low
    if target.masked:
        for frame, source in zip(resampled, frames, strict=True):
            body = rows @ outline(source, spacing[:2], modality) @ columns.T
            frame[~_rimmed(body >= 0.5, target.spacing_mm)] = values.low
    resampled[:, ~covered] = values.low
    # Means of values in the range, rounded to steps that end on its bounds, stay in the range.
    stored = np.rint(np.round(resampled / values.step, 6)) * values.step
    return Harmonised(
        pixels=stored.astype(np.int16),
        spacing_mm=(target.spacing_mm, target.spacing_mm),
        between_mm=target.between_mm,
        window=values.window,
    )


def _in_range(pixels: Image, modality: str, values: Values) -> Float:
    """Real values held to the common range, scaled to it first where the modality has no unit."""
    image = pixels.astype(np.float64)
    if values.scaled:
        low, high = np.percentile(image, (0.5, 99.9))
        low = min(low, 0.0) if kind_of(modality) == "MR" else low
        if high - low < 1e-9:
            raise ApplicationError("The image is of one brightness throughout, so it shows nothing to read.")
        image = (image - low) * ((SCALED[1] - SCALED[0]) / (high - low)) + SCALED[0]
    return np.clip(image, values.low, values.high)


def _frames(image: Float, between_mm: float | None, target: Target) -> Float:
    """The target's number of frames about the middle, resampled along the stack where it says so."""
    count = len(image)
    if target.frames == 1:
        return image[count // 2 : count // 2 + 1]
    if target.between_mm is None or between_mm is None:
        available = count
    else:
        available = floor((count - 1) * between_mm / target.between_mm + 1e-9) + 1
    if available < target.frames:
        raise ApplicationError(
            f"This item has only {available} slices at the common distance, but the study shows "
            f"{target.frames}."
        )
    if target.between_mm is None or between_mm is None:
        first = (count - target.frames) // 2
        return image[first : first + target.frames]
    weights = _weights(count, between_mm, target.frames, target.between_mm, (count - 1) / 2 * between_mm)
    return np.einsum("kf,frc->krc", weights, image, optimize=True)


def _centre(body: Mask, spacing_mm: tuple[float, float], target: Target) -> tuple[float, float]:
    """Where the middle of the common field lies, mm from the first pixel: of the body, or of the image.

    A body that its image cuts off must fill the field, since the cut would show inside of it.
    """
    found = np.nonzero(body) if target.masked and body.any() else None
    middle = []
    for axis, (length, step, side) in enumerate(
        zip(body.shape, spacing_mm, (target.rows, target.columns), strict=True)
    ):
        extent, room = side * target.spacing_mm, length * step
        first, last = (-0.5 * step, (length - 0.5) * step)
        centre = (first + last) / 2
        touches = True
        if found is not None:
            centre = float(found[axis].min() + found[axis].max()) / 2 * step
            edges = body[[0, -1]] if axis == 0 else body[:, [0, -1]]
            touches = bool(edges.any())
        if touches and room < extent - TOO_SMALL_MM:
            raise ApplicationError(
                f"This item shows {room:.0f} mm, less than the common field of {extent:.0f} mm, and its "
                "picture goes on to the border: padding would give it away."
            )
        if touches:
            centre = (
                min(max(centre, first + extent / 2), last - extent / 2)
                if room > extent
                else (first + last) / 2
            )
        middle.append(centre)
    return middle[0], middle[1]


def _weights(count: int, step_mm: float, size: int, spacing_mm: float, centre_mm: float) -> Float:
    """Gaussian weights [size, count] from samples `step_mm` apart to a grid of `spacing_mm` about a centre.

    Each row sums to 1; rows that lie outside of the samples are 0. The Gaussian is the same in mm for
    every item, so that equal noise stays equal whatever grid it came on.
    """
    there = centre_mm + (np.arange(size) - (size - 1) / 2) * spacing_mm
    here = np.arange(count) * step_mm
    sigma = SMOOTHING * spacing_mm
    distance = (there[:, None] - here[None, :]) / sigma
    weights = np.where(np.abs(distance) <= REACH, np.exp(-0.5 * distance**2), 0.0)
    outside = (there < here[0] - step_mm / 2) | (there > here[-1] + step_mm / 2)
    weights[outside] = 0.0
    total = weights.sum(axis=1, keepdims=True)
    return np.asarray(weights / np.where(total > 0, total, 1.0))


def _rimmed(body: Mask, spacing_mm: float) -> Mask:
    """The body on the common grid with a rim of at least one pixel; everything where there is none."""
    if not body.any():
        return np.ones(body.shape, dtype=bool)
    distance = ndimage.distance_transform_edt(~body, sampling=spacing_mm)
    return np.asarray(distance <= max(RIM_MM, spacing_mm))
