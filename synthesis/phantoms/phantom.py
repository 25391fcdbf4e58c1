"""One phantom from a seed: anatomy, contrast, disease and noise put together."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from synthesis.phantoms.anatomy import paint_abdomen
from synthesis.phantoms.attributes import Attributes, draw_attributes
from synthesis.phantoms.canvas import Canvas
from synthesis.phantoms.contrast import TISSUES, tissue_values
from synthesis.phantoms.noise import MR_NOISE, bias_field, ct_noise, rician
from synthesis.phantoms.scene import Scene
from synthesis.phantoms.shapes import superellipse
from synthesis.phantoms.streams import stream
from synthesis.phantoms.subject import (
    HALF_DEPTH,
    HALF_WIDTH,
    Subject,
    build_of,
    draw_subject,
    frame_of,
)

__all__ = ["SLICE_MM", "Phantom", "abdomen"]

SLICE_MM: Final = 5.0
# Spread between persons of each tissue's value: HU for CT, share of the signal for MR.
PERSON_HU: Final = 2.0
PERSON_SIGNAL: Final = 0.025

# Disease is no part of who a person is: these follow another tissue's spread.
FOLLOWS: Final[dict[str, str]] = {"lesion hypo": "liver", "lesion hyper": "liver", "liver fat": "fat"}


@dataclass(frozen=True)
class Phantom:
    """A phantom and its exact truth.

    image: float32 HU (CT) or signal (MR), [rows, cols] or [slices, rows, cols]. labels: uint8 in
    LABEL_SET, same shape. clean: the image without noise (and, for MR, with its bias field).
    liver_share: float32, how much of each pixel is liver or liver lesion; where it is zero, texture
    and steatosis change nothing at all. spacing_mm: one distance per axis of the image.
    level_mm: height of the middle slice.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    clean: NDArray[np.float32]
    liver_share: NDArray[np.float32]
    attributes: Attributes
    modality: str
    seed: int
    spacing_mm: tuple[float, ...]
    level_mm: float


def abdomen(
    seed: int,
    *,
    shape: tuple[int, ...] = (128, 128),
    spacing_mm: tuple[float, ...] | None = None,
    modality: str = "CT",
    attributes: Attributes | None = None,
    level_mm: float | None = None,
) -> Phantom:
    """Make the phantom of a seed.

    shape: (rows, cols) or (slices, rows, cols); slices run from foot to head, rows from front to
    back, columns from the patient's right to left. spacing_mm: one distance per axis; without it
    the body fills 80 to 90 % of the columns. level_mm: height of the (middle) slice in the
    standard body; without it a slice lies where the seed puts it and a volume is centred on the
    renal hila. The same seed with one attribute changed gives the same person, the same level and
    the same noise. ValueError for a bad shape, spacing or modality.
    """
    subject = draw_subject(seed)
    attributes = draw_attributes(seed) if attributes is None else attributes
    grid, steps = _grid(subject, shape, spacing_mm)
    if level_mm is None:
        level_mm = subject.level if len(shape) == 2 else 0.0
    frame, axes = frame_of(subject, grid, steps, level_mm)
    values = _personal(subject.seed, modality, tissue_values(modality, attributes))
    canvas = Canvas(frame, values["air"])
    cavity = superellipse(frame, HALF_WIDTH, HALF_DEPTH)
    paint_abdomen(Scene(canvas, subject, build_of(subject, attributes), attributes, modality, values, cavity))
    clean = canvas.image
    noise = stream(seed, f"noise {modality}")
    if modality == "CT":
        image = clean + ct_noise(noise, grid)
    else:
        clean = clean * bias_field(stream(seed, f"bias {modality}"), *axes)
        image = rician(noise, clean, MR_NOISE[modality])
    return Phantom(
        image=image.reshape(shape),
        labels=canvas.labels.reshape(shape),
        clean=clean.reshape(shape),
        liver_share=canvas.liver_share.reshape(shape),
        attributes=attributes,
        modality=modality,
        seed=seed,
        spacing_mm=steps[-len(shape) :],
        level_mm=level_mm,
    )


def _grid(
    subject: Subject, shape: tuple[int, ...], spacing: tuple[float, ...] | None
) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    """Return shape and spacing as [slices, rows, cols], checked and completed."""
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(f"shape must be (rows, cols) or (slices, rows, cols), got {shape}")
    if spacing is None:
        pixel = round(subject.reference_width / (subject.fill * shape[-1]), 4)
        spacing = (SLICE_MM, pixel, pixel)[-len(shape) :]
    if len(spacing) != len(shape) or not all(np.isfinite(s) and s > 0 for s in spacing):
        raise ValueError(f"spacing_mm must hold {len(shape)} positive distances, got {spacing}")
    if len(shape) == 2:
        return (1, shape[0], shape[1]), (SLICE_MM, float(spacing[0]), float(spacing[1]))
    return (shape[0], shape[1], shape[2]), (float(spacing[0]), float(spacing[1]), float(spacing[2]))


def _personal(seed: int, modality: str, values: dict[str, float]) -> dict[str, float]:
    """Return the tissue values of one person: a small spread around the table, the same for all grades."""
    draws = stream(seed, f"tissues {modality}").standard_normal(len(TISSUES))
    spread = dict(zip(TISSUES, draws, strict=True))
    out = {}
    for name, value in values.items():
        draw = float(spread[FOLLOWS.get(name, name)])
        if name == "air":
            out[name] = value
        elif modality == "CT":
            out[name] = value + PERSON_HU * draw
        else:
            out[name] = value * (1 + PERSON_SIGNAL * draw)
    return out
