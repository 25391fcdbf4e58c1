"""Colours that tell labels apart, in lightness as well as in hue; the same ones every time."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

import numpy as np
import numpy.typing as npt

COUNT = 255
"""How many colours there are before they repeat: a viewer shows no more labels at once."""
LIGHTNESS_WEIGHT = 1.4
"""Lightness counts more than in CIELAB, so that labels are told apart without seeing hues."""

# sRGB with its white of D65 (IEC 61966-2-1), and the white itself.
RGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
XYZ_TO_RGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
WHITE = np.array([0.9504, 1.0, 1.0889])
BEND = 6 / 29  # where CIELAB's cube root gives way to a straight line

Floats = npt.NDArray[np.float64]


def lab_of(rgb: Floats) -> Floats:
    """sRGB [..., 3] from 0 to 1 as CIELAB [..., 3] (CIE 15:2004): L from 0 to 100, a, b."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    share = linear @ RGB_TO_XYZ.T / WHITE
    root = np.where(share > BEND**3, np.cbrt(share), share / (3 * BEND**2) + 4 / 29)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def rgb_of(lab: Floats) -> Floats:
    """CIELAB [..., 3] as sRGB [..., 3], cut off at 0 and 1 where it has no such colour."""
    y = (lab[..., 0] + 16) / 116
    root = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    share = np.where(root > BEND, root**3, 3 * BEND**2 * (root - 4 / 29))
    linear = np.clip(share * WHITE @ XYZ_TO_RGB.T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def hexadecimal(rgb: Floats) -> str:
    """One colour [3] as "#rrggbb"."""
    return "#" + "".join(f"{round(float(part) * 255):02x}" for part in np.clip(rgb, 0, 1))


@cache
def palette() -> tuple[str, ...]:
    """The colours in the order of their use: each is as far as can be from all before it.

    Farthest-point sampling (Gonzalez 1985) in CIELAB among 16 x 16 x 16 colours of sRGB; those too dark
    for a black ground, too near to white, as grey as the image beneath, or glaring are left out.
    """
    steps = np.linspace(0, 1, 16)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = lab_of(rgb)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    fit = (lab[:, 0] >= 38) & (lab[:, 0] <= 92) & (chroma >= 20) & (chroma <= 80)
    rgb, places = rgb[fit], lab[fit] * [LIGHTNESS_WEIGHT, 1.0, 1.0]
    chosen = [int(np.argmin(np.linalg.norm(lab[fit] - [62.0, 35.0, 45.0], axis=1)))]  # an orange
    nearest = np.full(len(places), np.inf)
    while len(chosen) < COUNT:
        nearest = np.minimum(nearest, np.linalg.norm(places - places[chosen[-1]], axis=1))
        chosen.append(int(np.argmax(nearest)))
    return tuple(hexadecimal(rgb[index]) for index in chosen)


def label_color(value: int, taken: Collection[str] = ()) -> str:
    """The colour of the label of that value (from 1), or the next one that is not taken.

    The same value has the same colour in every mask, as long as no other label has it already.
    """
    colours = palette()
    for step in range(COUNT):
        colour = colours[(value - 1 + step) % COUNT]
        if colour not in taken:
            return colour
    return colours[(value - 1) % COUNT]
