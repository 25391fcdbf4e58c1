"""Who the phantom is: body size, habitus and organ placement, drawn once from the seed."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from synthesis.phantoms.attributes import Attributes
from synthesis.phantoms.shapes import Field, Frame, Waves
from synthesis.phantoms.streams import stream

__all__ = ["Build", "Subject", "build_of", "draw_subject", "frame_of"]

HALF_WIDTH: Final = 138.0
HALF_DEPTH: Final = 98.0
LEVELS: Final = (-42.0, 46.0)


@dataclass(frozen=True)
class Subject:
    """What the seed alone decides. Lengths in mm, `level` and `bend_*` in the standard body's mm.

    stretch: standard body to this body along x, y, z. habitus: 0 slim .. 1 stout.
    reference_width: body width the field of view is chosen for, at a middling build.
    fill: share of the frame's width that the reference body takes. shift: of the body in the frame.
    """

    seed: int
    stretch: tuple[float, float, float]
    habitus: float
    fill: float
    shift: tuple[float, float]
    level: float
    vertebra: float
    bend_x: Waves
    bend_y: Waves

    @property
    def reference_width(self) -> float:
        return 2 * self.stretch[0] * (HALF_WIDTH + 11.0 + _fat(self.habitus, 1.0))


@dataclass(frozen=True)
class Build:
    """What age, sex and habitus make of the body, in the standard body's mm.

    subcutaneous, wall: thickness of fat and muscle; visceral: 0.3 (little) .. 1.5 (much);
    muscle: linear scale of psoas and back muscles.
    """

    subcutaneous: float
    wall: float
    visceral: float
    muscle: float


def _fat(habitus: float, factor: float) -> float:
    return (8.0 + 20.0 * habitus) * factor


def draw_subject(seed: int) -> Subject:
    """Draw the subject of a seed."""
    rng = stream(seed, "subject")
    size = rng.normal(1.0, 0.05)
    stretch = size * np.exp(rng.normal(0.0, 0.025, size=3))
    return Subject(
        seed=seed,
        stretch=(float(stretch[0]), float(stretch[1]), float(stretch[2])),
        habitus=float(rng.beta(2.0, 2.0)),
        fill=float(rng.uniform(0.82, 0.89)),
        shift=(float(rng.uniform(-5.0, 5.0)), float(rng.uniform(-5.0, 5.0))),
        level=float(rng.uniform(*LEVELS)),
        vertebra=float(rng.uniform(0.0, 36.0)),
        bend_x=Waves.draw(rng, gain=2.6, shortest=110.0, longest=260.0),
        bend_y=Waves.draw(rng, gain=2.6, shortest=110.0, longest=260.0),
    )


def build_of(subject: Subject, attributes: Attributes) -> Build:
    """Return the build of a subject at an age and sex.

    Women carry more fat under the skin, men more in the belly and more muscle; fat grows until
    the sixties and muscle shrinks after 40 (sarcopenia).
    """
    woman = attributes.sex == "F"
    years = min(max((attributes.age - 18.0) / 47.0, 0.0), 1.0)
    wasting = 1.0 - 0.42 * max(attributes.age - 40.0, 0.0) / 50.0
    factor = (1.25 if woman else 0.75) * (0.65 + 0.5 * years)
    visceral = (0.35 + 0.75 * subject.habitus) * (0.75 if woman else 1.2) * (0.6 + 0.6 * years)
    return Build(
        subcutaneous=_fat(subject.habitus, factor),
        wall=(9.5 if woman else 14.0) * wasting,
        visceral=visceral,
        muscle=(0.92 if woman else 1.06) * float(np.sqrt(wasting)),
    )


def frame_of(
    subject: Subject, shape: tuple[int, int, int], spacing: tuple[float, float, float], level: float
) -> tuple[Frame, tuple[Field, Field, Field]]:
    """Lay the grid over the subject: (frame, axes in the patient's own mm (x, y, z)).

    shape, spacing: [slices, rows, cols] and their distances in mm; level: height of the middle
    slice in the standard body's mm.
    """
    axes = []
    for count, step, scale, shift in zip(
        shape[::-1], spacing[::-1], subject.stretch, (*subject.shift, 0.0), strict=True
    ):
        own = (np.arange(count) - (count - 1) / 2) * step + shift
        axes.append((own.astype(np.float32), (own / scale).astype(np.float32)))
    (own_x, x), (own_y, y), (own_z, z) = axes
    z = z + np.float32(level)
    bend_x, bend_y = subject.bend_x.on(x, y, z), subject.bend_y.on(x, y, z)
    slack = float(max(np.abs(bend_x).max(), np.abs(bend_y).max()))
    pixel = float(np.sqrt(spacing[1] * spacing[2] / (subject.stretch[0] * subject.stretch[1])))
    bend_x += x[None, None, :]
    bend_y += y[None, :, None]
    return Frame(x, y, z, bend_x, bend_y, z[:, None, None], pixel, slack), (own_x, own_y, own_z)
