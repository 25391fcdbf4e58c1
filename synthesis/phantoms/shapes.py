"""Implicit shapes on a grid: signed distances in mm that hold for a slice and a volume alike.

Every array is [slices, rows, cols]; a slice is a volume of one. Distances are negative
inside. x grows to the image's right (the patient's left), y to the back, z to the head.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Box",
    "Field",
    "Frame",
    "Point",
    "Waves",
    "ellipsoid",
    "meet",
    "smooth_union",
    "soft_mask",
    "superellipse",
    "tube",
]

Field = NDArray[np.float32]
Point = tuple[float, float, float]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Waves:
    """A smooth random field: a sum of plane waves of random direction and phase.

    wave: [n, 3] angular wave vectors in rad/mm (x, y, z); phase: [n] rad; gain: mm.
    """

    wave: NDArray[np.float64]
    phase: NDArray[np.float64]
    gain: float

    @classmethod
    def draw(
        cls, rng: np.random.Generator, *, gain: float, shortest: float, longest: float, count: int = 4
    ) -> "Waves":
        """Draw `count` waves with lengths in [shortest, longest] mm and unit variance times gain."""
        length = rng.uniform(shortest, longest, size=count)
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        phase = rng.uniform(0.0, 2 * np.pi, size=count)
        return cls(2 * np.pi * direction / length[:, None], phase, gain * float(np.sqrt(2.0 / count)))

    def on(self, x: Field, y: Field, z: Field) -> Field:
        """Evaluate on the axes x [W], y [H], z [D]; returns [D, H, W].

        cos(a + b + c) = Re(e^ia e^ib e^ic), so that only the axes need trigonometry.
        """
        e_x = np.exp(1j * np.outer(self.wave[:, 0], x)).astype(np.complex64)
        e_y = np.exp(1j * (np.outer(self.wave[:, 1], y) + self.phase[:, None])).astype(np.complex64)
        e_z = np.exp(1j * np.outer(self.wave[:, 2], z)).astype(np.complex64)
        e_zy = np.einsum("nd,nh->ndh", e_z, e_y).reshape(len(self.phase), -1)
        out = e_zy.real.T @ e_x.real - e_zy.imag.T @ e_x.imag
        out *= np.float32(self.gain)
        field: Field = out.reshape(len(z), len(y), len(x))
        return field


@dataclass(frozen=True)
class Frame:
    """The grid, seen in the standard body's millimetres.

    x, y, z: straight axes [W], [H], [D]. bent_x, bent_y: the same positions after the
    subject's smooth bending [D, H, W]. tall: z as [D, 1, 1]. pixel: pixel size in the
    standard body's mm. slack: the largest bend, in mm.
    """

    x: Field
    y: Field
    z: Field
    bent_x: Field
    bent_y: Field
    tall: Field
    pixel: float
    slack: float

    @property
    def whole(self) -> Box:
        """The box that holds the whole grid."""
        return (slice(0, len(self.z)), slice(0, len(self.y)), slice(0, len(self.x)))

    def box(self, low: Point, high: Point, margin: float = 0.0) -> Box | None:
        """Return the index box around the corners low..high mm, or None where it is empty."""
        extra = margin + self.slack + self.pixel
        spans = []
        for axis, bottom, top, add in (
            (self.z, low[2], high[2], margin + self.pixel),
            (self.y, low[1], high[1], extra),
            (self.x, low[0], high[0], extra),
        ):
            first, last = np.searchsorted(axis, (bottom - add, top + add))
            if first >= last:
                return None
            spans.append(slice(int(first), int(last)))
        return (spans[0], spans[1], spans[2])

    def around(self, points: Sequence[Point], reach: float) -> Box | None:
        """Return the index box that holds all `points` and what lies within `reach` mm of them."""
        low, high = np.min(points, axis=0) - reach, np.max(points, axis=0) + reach
        return self.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))

    def at(self, box: Box) -> tuple[Field, Field, Field]:
        """Return (x, y, z) inside a box: bent [d, h, w], bent [d, h, w], z [d, 1, 1]."""
        return self.bent_x[box], self.bent_y[box], self.tall[box[0]]

    def waves(self, waves: Waves, box: Box) -> Field:
        """Evaluate a wave field inside a box."""
        return waves.on(self.x[box[2]], self.y[box[1]], self.z[box[0]])


def meet(part: Box, whole: Box) -> tuple[Box, Box] | None:
    """Return where `part` lies in `whole`: (as a box of the grid, as a box within `whole`), or None."""
    spans = [slice(max(p.start, w.start), min(p.stop, w.stop)) for p, w in zip(part, whole, strict=True)]
    if any(s.start >= s.stop for s in spans):
        return None
    inner = [slice(s.start - w.start, s.stop - w.start) for s, w in zip(spans, whole, strict=True)]
    return (spans[0], spans[1], spans[2]), (inner[0], inner[1], inner[2])


def ellipsoid(frame: Frame, box: Box, centre: Point, radii: Point, angle: float = 0.0) -> Field:
    """Distance to an ellipsoid turned by `angle` rad in the axial plane.

    d = k0 (k0 - 1) / k1 with k0 = |p / r|, k1 = |p / r^2|: the first-order distance of an
    implicit surface f = k0 - 1 (Taubin, IEEE PAMI 1991), exact on the surface.
    """
    x, y, z = frame.at(box)
    dx, dy, dz = x - np.float32(centre[0]), y - np.float32(centre[1]), z - np.float32(centre[2])
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u = c * dx
    u += s * dy
    v = c * dy
    v -= s * dx
    u *= np.float32(1 / radii[0])
    v *= np.float32(1 / radii[1])
    w = dz * np.float32(1 / radii[2])
    uu, vv, ww = u * u, v * v, w * w
    k0 = np.sqrt(uu + vv + ww)
    uu *= np.float32(radii[0] ** -2)
    vv *= np.float32(radii[1] ** -2)
    k1 = np.sqrt(uu + vv + ww * np.float32(radii[2] ** -2))
    k1 += np.float32(1e-6)
    out: Field = k0 * (k0 - np.float32(1.0)) / k1
    return out


def superellipse(frame: Frame, half_width: float, half_depth: float, centre_y: float = 0.0) -> Field:
    """Radial distance to the cylinder |x/a|^2.5 + |y/b|^2.5 = 1 on the whole grid."""
    x, y, _ = frame.at(frame.whole)
    y = y - np.float32(centre_y)
    u = np.abs(x) * np.float32(1 / half_width)
    v = np.abs(y) * np.float32(1 / half_depth)
    k = u * u * np.sqrt(u)
    k += v * v * np.sqrt(v)
    k **= np.float32(0.4)
    k += np.float32(1e-4)
    radius = np.sqrt(x * x + y * y)
    out: Field = radius - radius / k
    return out


def tube(
    frame: Frame, box: Box, points: Sequence[Point], radii: Sequence[float], *, upright: bool = False
) -> Field:
    """Distance to a chain of tapered capsules through `points` with `radii` (mm).

    upright: the cross-section alone counts and is the same at every height.
    """
    x, y, z = frame.at(box)
    if upright:
        points = [(p[0], p[1], 0.0) for p in points]
        z = np.zeros_like(z)
    out: Field | None = None
    for start, end, r_0, r_1 in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
        along = np.subtract(end, start)
        length2 = float(along @ along) + 1e-9
        dx, dy, dz = x - np.float32(start[0]), y - np.float32(start[1]), z - np.float32(start[2])
        t = dx * np.float32(along[0] / length2)
        t += dy * np.float32(along[1] / length2)
        t = t + dz * np.float32(along[2] / length2)
        np.clip(t, 0.0, 1.0, out=t)
        px = dx - t * np.float32(along[0])
        py = dy - t * np.float32(along[1])
        pz = dz - t * np.float32(along[2])
        d = np.sqrt(px * px + py * py + pz * pz)
        d -= np.float32(r_0)
        d -= t * np.float32(r_1 - r_0)
        out = d if out is None else np.minimum(out, d)
    if out is None:
        raise ValueError("a tube needs at least two points")
    return out


def smooth_union(first: Field, second: Field, width: float) -> Field:
    """Join two shapes with a rounded seam about `width` mm wide (polynomial smooth minimum)."""
    h = np.maximum(np.float32(width) - np.abs(first - second), 0.0) * np.float32(1 / width)
    out: Field = np.minimum(first, second) - h * h * np.float32(width / 4)
    return out


def soft_mask(distance: Field, pixel: float) -> Field:
    """Return the share of each pixel that lies inside: a one-pixel linear ramp at the surface."""
    share = np.float32(0.5) - distance * np.float32(1 / pixel)
    out: Field = np.clip(share, 0.0, 1.0, out=share)
    return out
