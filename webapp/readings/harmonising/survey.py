"""What is known of one item before anything is done to it: its grid, its values, where its body lies."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from synthesis.imaging.body import body_outline
from webapp.core.errors import ApplicationError

Image = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

OUTLINE_MM = 2.0  # the outline is looked for on pixels of about this size
AIR_HU = -700.0  # outside the body, what is denser than this is table or cloth
MR = ("MR", "T1", "T2")


def kind_of(modality: str) -> str:
    """The kind of values: "CT" (HU), "MR" (signal with a body on a dark ground) or "other"."""
    name = modality.upper()
    return "CT" if name == "CT" else "MR" if name in MR else "other"


@dataclass(frozen=True, kw_only=True)
class Survey:
    """One item as it came, in numbers; the pixels themselves are not kept.

    spacing_mm: between rows, between columns, between frames (None where unknown). low, high: 0.5 and
    99.9 % of the values, in real units. step: smallest difference between values. air: the brighter
    values of the air beside the body (CT; None where there is none). box_mm: height and width of the
    body (None where none was found). touches: the body is cut off by the image's border.
    """

    item: str
    arm: str
    modality: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float | None]
    low: float
    high: float
    step: float
    air: float | None
    box_mm: tuple[float, float] | None
    touches: bool

    @property
    def field_mm(self) -> tuple[float, float]:
        """Height and width of the image."""
        return self.shape[1] * self.spacing_mm[0], self.shape[2] * self.spacing_mm[1]


def survey(
    pixels: Image,
    spacing_mm: tuple[float, float] | tuple[float, float, float | None],
    modality: str,
    *,
    item: str = "",
    arm: str = "",
) -> Survey:
    """Look at one item: pixels [frames, rows, columns] in real units.

    Raises ApplicationError where a value is no finite number or the spacing is none.
    """
    spacing = checked(pixels, spacing_mm)
    middle = pixels[len(pixels) // 2]
    inside = outline(middle, spacing[:2], modality)
    rows, columns = np.nonzero(inside)
    air = None
    if kind_of(modality) == "CT" and not inside.all():
        beside = middle[~inside & (middle < AIR_HU)]
        air = float(np.percentile(beside, 90)) if beside.size else None
    low, high = (float(value) for value in np.percentile(pixels, (0.5, 99.9)))
    return Survey(
        item=item,
        arm=arm,
        modality=modality,
        shape=(pixels.shape[0], pixels.shape[1], pixels.shape[2]),
        spacing_mm=spacing,
        low=low,
        high=high,
        step=step_of(middle),
        air=air,
        box_mm=(
            (float(np.ptp(rows) + 1) * spacing[0], float(np.ptp(columns) + 1) * spacing[1])
            if rows.size
            else None
        ),
        touches=bool(inside[[0, -1]].any() or inside[:, [0, -1]].any()),
    )


def checked(
    pixels: Image, spacing_mm: tuple[float, float] | tuple[float, float, float | None]
) -> tuple[float, float, float | None]:
    """The spacing between rows, columns and frames.

    Raises ApplicationError where it or a pixel is not what it must be.
    """
    if pixels.ndim != 3 or not pixels.size:
        raise ValueError(f"pixels: expected [frames, rows, columns], got shape {pixels.shape}.")
    if not np.isfinite(pixels).all():
        raise ApplicationError("The image holds values that are no numbers, so it cannot be used in a study.")
    between = spacing_mm[2] if len(spacing_mm) == 3 else None
    known = [value for value in (spacing_mm[0], spacing_mm[1], between) if value is not None]
    if not all(np.isfinite(value) and value > 0 for value in known):
        raise ApplicationError("The image does not say how large its pixels are, so it cannot be compared.")
    return float(spacing_mm[0]), float(spacing_mm[1]), None if between is None else float(between)


def outline(frame: Image, spacing_mm: tuple[float, float], modality: str) -> Mask:
    """The body [rows, columns] in one frame; all of it where the modality shows no outline.

    Looked for on pixels of about OUTLINE_MM; empty where nothing is found.
    """
    if kind_of(modality) == "other":
        return np.ones(frame.shape, dtype=bool)
    stride = [max(1, round(OUTLINE_MM / one)) for one in spacing_mm]
    rows, columns = (ceil(length / one) for length, one in zip(frame.shape, stride, strict=True))
    wide = np.pad(
        frame, ((0, rows * stride[0] - frame.shape[0]), (0, columns * stride[1] - frame.shape[1])), "edge"
    )
    coarse = wide.reshape(rows, stride[0], columns, stride[1]).mean(axis=(1, 3))
    pixel = (spacing_mm[0] * stride[0], spacing_mm[1] * stride[1])
    found = body_outline(coarse, pixel, kind_of(modality))
    return np.kron(found, np.ones(stride, dtype=bool))[: frame.shape[0], : frame.shape[1]]


def step_of(frame: Image) -> float:
    """Smallest difference between two values of a frame; 0 for a constant one."""
    gaps = np.diff(np.unique(frame.astype(np.float64)))
    gaps = gaps[gaps > 1e-6]
    return float(gaps.min()) if gaps.size else 0.0
