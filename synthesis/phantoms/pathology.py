"""Disease of the liver: regenerative nodules, the shape of cirrhosis, focal lesions."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from synthesis.phantoms.shapes import Point
from synthesis.phantoms.streams import stream

__all__ = [
    "SHAPE_GRADES",
    "TEXTURE_GAIN",
    "Lesion",
    "ShapeGrade",
    "candidate_lesions",
    "lesion_fits",
    "liver_texture",
    "nodules",
]


@dataclass(frozen=True)
class ShapeGrade:
    """What one grade of cirrhosis does to the anatomy (lengths in mm, the rest are factors)."""

    surface: float
    caudate: float
    right_lobe: float
    left_lobe: float
    spleen: float
    ascites: float


SHAPE_GRADES: Final[tuple[ShapeGrade, ...]] = (
    ShapeGrade(surface=0.0, caudate=1.0, right_lobe=1.0, left_lobe=1.0, spleen=1.0, ascites=0.0),
    ShapeGrade(surface=0.9, caudate=1.15, right_lobe=0.96, left_lobe=1.03, spleen=1.1, ascites=0.0),
    ShapeGrade(surface=1.8, caudate=1.35, right_lobe=0.90, left_lobe=1.06, spleen=1.24, ascites=5.0),
    ShapeGrade(surface=2.9, caudate=1.55, right_lobe=0.83, left_lobe=1.08, spleen=1.4, ascites=15.0),
)

# Standard deviation of the nodular pattern per texture grade: HU for CT, share of the liver's
# signal for MR.
TEXTURE_GAIN: Final[dict[str, tuple[float, ...]]] = {
    "CT": (0.0, 7.5, 14.0, 22.0),
    "T1": (0.0, 0.060, 0.115, 0.18),
    "T2": (0.0, 0.090, 0.175, 0.28),
}
# Nodule spacing in mm, fine and coarse, and the share of the coarse one per grade:
# micronodular early, macronodular late.
NODULE_MM: Final = (6.5, 11.0)
COARSE_SHARE: Final = (0.0, 0.15, 0.5, 0.85)
TABLE: Final = 2048


def nodules(
    rng: np.random.Generator, points: NDArray[np.float32], spacing: float, rim: float
) -> NDArray[np.float32]:
    """Return the pattern of regenerative nodules at points [n, 3] mm: about zero mean, unit sd.

    Nodules are the cells of a jittered lattice (cellular noise: Worley, SIGGRAPH 1996), each with
    its own brightness, parted by darker septa about `rim` mm wide.
    """
    table = rng.random((TABLE, 4), dtype=np.float32)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32)
    table[:, :3] = 0.5 + np.float32(0.94) * (table[:, :3] - 0.5)
    scaled = (points * np.float32(1 / spacing)) @ turn
    base = np.floor(scaled).astype(np.int64)
    near = np.full(len(points), 9.0, dtype=np.float32)
    second = near.copy()
    shade = np.zeros(len(points), dtype=np.float32)
    x, y, z = np.ascontiguousarray(scaled.T)
    for corner in range(27):
        i, j, k = base[:, 0] + corner % 3 - 1, base[:, 1] + corner // 3 % 3 - 1, base[:, 2] + corner // 9 - 1
        code = i * 73856093 ^ j * 19349663 ^ k * 83492791
        entry = table.take((code ^ code >> 9) & (TABLE - 1), axis=0)
        gap = x - i - entry[:, 0]
        distance = gap * gap
        gap = y - j - entry[:, 1]
        distance += gap * gap
        gap = z - k - entry[:, 2]
        distance += gap * gap
        distance = np.sqrt(distance, dtype=np.float32)
        closer = distance < near
        np.minimum(second, np.maximum(distance, near), out=second)
        np.minimum(near, distance, out=near)
        np.copyto(shade, entry[:, 3], where=closer)
    septum = np.clip(1.0 - (second - near) * np.float32(spacing / rim), 0.0, 1.0)
    pattern = (0.55 + 0.9 * shade) * (1.0 - septum) - 0.35 * septum
    out: NDArray[np.float32] = ((pattern - PATTERN_MEAN) / PATTERN_SD).astype(np.float32)
    return out


# Mean and standard deviation of the raw pattern at RIM_SHARE, by simulation.
PATTERN_MEAN: Final = 0.254
PATTERN_SD: Final = 0.454
RIM_SHARE: Final = 0.42


def liver_texture(seed: int, points: NDArray[np.float32], modality: str, grade: int) -> NDArray[np.float32]:
    """Return the change that cirrhosis of a texture grade makes at points [n, 3] mm in the liver.

    HU to add for CT; a share of the liver's signal to add for T1 and T2, where septa are dark on
    T1 and bright on T2 (fibrosis holds water), so that the pattern is turned round.
    """
    gain = TEXTURE_GAIN[modality][grade]
    if gain == 0.0:
        return np.zeros(len(points), dtype=np.float32)
    coarse = COARSE_SHARE[grade]
    patterns = [
        nodules(stream(seed, f"nodules {name}"), points, spacing, RIM_SHARE * spacing)
        for name, spacing in zip(("fine", "coarse"), NODULE_MM, strict=True)
    ]
    mixed = (1 - coarse) * patterns[0] + coarse * patterns[1]
    mixed *= np.float32(1 / np.hypot(1 - coarse, coarse))
    sign = -1.0 if modality == "T2" else 1.0
    out: NDArray[np.float32] = np.float32(sign * gain) * mixed
    return out


@dataclass(frozen=True)
class Lesion:
    """One focal lesion: centre and radii in the standard body's mm; hyper: brighter than liver."""

    centre: Point
    radii: Point
    angle: float
    hyper: bool


HYPER_SHARE: Final = 0.12
CANDIDATES: Final = 48


def candidate_lesions(seed: int, level: float) -> list[Lesion]:
    """Return the places where this seed's lesions may lie, best first, near the level z = `level` mm."""
    rng = stream(seed, "lesions")
    place = rng.uniform((-128.0, -70.0, -4.0), (25.0, 62.0, 4.0), size=(CANDIDATES, 3))
    radius = rng.uniform(6.5, 17.0, size=CANDIDATES)
    stretch = rng.uniform(0.82, 1.18, size=(CANDIDATES, 3))
    angle = rng.uniform(0.0, np.pi, size=CANDIDATES)
    hyper = rng.random(CANDIDATES) < HYPER_SHARE
    out = []
    for i in range(CANDIDATES):
        # Large places first would crowd out small lesions; halving the radius late in the list
        # finds room even in a small liver.
        size = radius[i] * (1.0 if i < CANDIDATES // 2 else 0.6)
        rx, ry, rz = (float(v) for v in size * stretch[i])
        x, y, z = (float(v) for v in place[i])
        out.append(Lesion((x, y, level + z), (rx, ry, rz), float(angle[i]), bool(hyper[i])))
    return out


def lesion_fits(inside: float, lesion: Lesion, taken: list[Lesion]) -> bool:
    """Say whether a lesion whose centre lies `inside` mm deep in the liver fits beside the others."""
    size = max(lesion.radii)
    if inside < 0.8 * size:
        return False
    return all(
        float(np.linalg.norm(np.subtract(lesion.centre, other.centre))) > size + max(other.radii) + 3.0
        for other in taken
    )
