"""What an image shows without a trained eye: the body's outline, fat, muscle, gas, lung and skin."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
Image = npt.NDArray[np.floating]

# Ranges of adipose tissue and skeletal muscle used in body composition by CT (Mitsiopoulos et
# al., J Appl Physiol 1998;85:115), fat from -150 as intermixed lung edges lie below it.
FAT_HU = (-150.0, -30.0)
MUSCLE_HU = (-29.0, 150.0)
GAS_HU = -400.0
OUTLINE_HU = -300.0

THIN_MM = 4.0  # half the thickness of table and cloth
CUT_MM = 14.0  # half the width of what may join an arm to the trunk

SKIN_MM = 3.0
RAYS = 720
WALL_MM, BACK_MM = 26.0, 60.0  # how thick the muscles of the wall and of the back can be
FLUID_HU = 22.0  # below this, soft tissue under the wall may be ascites
ENHANCED_HU = 95.0  # smoothed soft tissue above this is an enhanced organ, not muscle
LUNG_MM2 = 200.0
LUNG_HU = -940.0  # the darker quarter of a lung's pixels is above this, that of gas below


def body_outline(image: Image, spacing_mm: tuple[float, float], modality: str) -> Mask:
    """The body [rows, columns] in a slice in HU (modality "CT") or MR signal, holes filled.

    CT: above -300 HU; MR: above Otsu's threshold of the smoothed image's square root. Then the
    largest part after openings that cut off table, clothing and arms. Empty where nothing is found.
    """
    smooth = ndimage.gaussian_filter(image.astype(np.float64), [1.5 / s for s in spacing_mm])
    tissue = smooth > OUTLINE_HU if modality == "CT" else _bright(smooth)
    # Thin things go first: cloth and table may close a ring of air that must not count as a hole.
    filled = np.asarray(ndimage.binary_fill_holes(_opened(tissue, THIN_MM, spacing_mm)))
    cores, count = ndimage.label(_opened(filled, CUT_MM, spacing_mm))
    if count == 0:
        return np.zeros_like(filled)
    trunk = 1 + int(np.argmax(np.bincount(cores.ravel())[1:]))
    # The opening rounds corners off: take back what lies close to the trunk, and closest to it.
    distance, nearest = ndimage.distance_transform_edt(cores == 0, sampling=spacing_mm, return_indices=True)
    near = (distance <= CUT_MM / 3) & (cores[tuple(nearest)] == trunk)
    return np.asarray(ndimage.binary_fill_holes(largest(filled & near)))


def _bright(smooth: Image) -> Mask:
    """Above half of Otsu's threshold: dark tissue still counts, the noise of the air does not."""
    root = np.sqrt(np.clip(smooth, 0, None))
    return np.asarray(root > 0.6 * otsu(root))


def otsu(values: Image, bins: int = 256) -> float:
    """The threshold that separates two classes best (Otsu, IEEE Trans SMC 1979;9:62)."""
    counts, edges = np.histogram(values, bins=bins)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts).astype(np.float64)
    mass = np.cumsum(counts * middles)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = mass / below - (mass[-1] - mass) / above
        between = np.nan_to_num(below * above * gap**2)
    return float(edges[1:][int(np.argmax(between))])


def ct_fat(image: Image, body: Mask, spacing_mm: tuple[float, float]) -> Mask:
    """Fat inside the body: -150 to -30 HU, slightly smoothed against noise."""
    smooth = ndimage.gaussian_filter(image.astype(np.float64), [1.4 / s for s in spacing_mm])
    return np.asarray(body & (smooth >= FAT_HU[0]) & (smooth <= FAT_HU[1]))


def ct_muscle(image: Image, body: Mask, spacing_mm: tuple[float, float]) -> Mask:
    """Muscle of the wall and of the back: -29 to 150 HU just below the fat under the skin.

    Only the wall can be told from grey values alone: deeper soft tissue may be any organ, and so
    may brightly enhanced tissue. On each of RAYS rays from the body's middle, the wall begins
    where soft tissue does under the skin's fat, and ends at the next fat, fluid, air or vertebra; where
    an organ lies against it without fat between, it is given a usual thickness.
    """
    if not body.any():
        return body
    smooth = ndimage.gaussian_filter(image.astype(np.float64), [1.4 / s for s in spacing_mm])
    soft = body & (smooth >= MUSCLE_HU[0]) & (smooth <= MUSCLE_HU[1])
    row, column = np.nonzero(body)
    middle = ((row.min() + row.max()) / 2, (column.min() + column.max()) / 2)
    step = min(spacing_mm) / 2
    reach = float(np.hypot(body.shape[0] * spacing_mm[0], body.shape[1] * spacing_mm[1])) / 2
    radii = np.arange(reach, 0.0, -step)  # from outside inwards
    angles = np.arange(RAYS) * (2 * np.pi / RAYS)  # 0 to the left, a quarter turn to the back
    at = [
        middle[0] + np.sin(angles)[:, None] * radii / spacing_mm[0],
        middle[1] + np.cos(angles)[:, None] * radii / spacing_mm[1],
    ]
    is_body, is_soft, is_fluid, is_bone = (
        ndimage.map_coordinates(m.astype(np.uint8), at, order=0).astype(bool)
        for m in (body, soft, soft & (smooth < FLUID_HU), body & (smooth > MUSCLE_HU[1]))
    )
    skin = np.where(is_body.any(1), is_body.argmax(1), len(radii))
    index = np.arange(len(radii))
    below_skin = index >= (skin + round(SKIN_MM / step))[:, None]
    start = _first(_lasting(is_soft & below_skin, round(2.0 / step)))
    start = ndimage.median_filter(start, 15, mode="wrap")
    back = np.abs(angles - np.pi / 2) < np.deg2rad(50)
    most = np.where(back, BACK_MM, WALL_MM) / step
    # Ribs belong to the wall at the sides; at the back the vertebra ends the muscle.
    # Fluid ends it once muscle was seen; the rim towards fat, half fat itself, is as dark as fluid.
    seen = np.maximum.accumulate(is_soft & ~is_fluid & (index >= start[:, None]), axis=1)
    fluid = _lasting(is_fluid & seen, round(4.0 / step)) & ~back[:, None]
    passable = (is_soft & ~fluid) | (is_bone & ~back[:, None])
    end = _first(~_lasting(passable, 1) & (index >= (start + round(2.0 / step))[:, None]))
    thick = np.where(end - start <= most, end - start, np.where(back, 30.0, 10.0) / step)
    thick = ndimage.median_filter(thick, 9, mode="wrap")

    y = (np.arange(body.shape[0]) - middle[0])[:, None] * spacing_mm[0]
    x = (np.arange(body.shape[1]) - middle[1])[None, :] * spacing_mm[1]
    ray = np.rint(np.arctan2(y, x) % (2 * np.pi) * (RAYS / (2 * np.pi))).astype(np.intp) % RAYS
    depth = (reach - np.hypot(y, x)) / step
    within = (depth >= start[ray] - 1) & (depth <= start[ray] + thick[ray])
    enhanced = ndimage.gaussian_filter(image.astype(np.float64), [4.0 / s for s in spacing_mm]) > ENHANCED_HU
    return np.asarray(soft & within & ~enhanced)


def _first(mask: Mask) -> npt.NDArray[np.intp]:
    """Index of the first True along the last axis; its length where there is none."""
    return np.where(mask.any(-1), mask.argmax(-1), mask.shape[-1])


def _lasting(mask: Mask, length: int) -> Mask:
    """Only runs of True of at least `length` along the last axis."""
    if length < 2:
        return mask
    return np.asarray(ndimage.binary_opening(mask, np.ones((1, length))))


def ct_air(image: Image, body: Mask, spacing_mm: tuple[float, float]) -> tuple[Mask, Mask]:
    """Air inside the body, told apart as (gas in stomach and bowel, lung) by size and density."""
    parts, count = ndimage.label(body & (image < GAS_HU))
    lung = np.zeros_like(body)
    if count:
        index = np.arange(1, count + 1)
        area = ndimage.sum_labels(np.ones_like(image), parts, index) * spacing_mm[0] * spacing_mm[1]
        dark = ndimage.labeled_comprehension(image, parts, index, lambda v: np.percentile(v, 25), float, 0)
        is_lung = (area >= LUNG_MM2) & (dark > LUNG_HU)
        lung = np.isin(parts, index[is_lung])
    return np.asarray((parts > 0) & ~lung), np.asarray(lung)


def skin_of(body: Mask) -> Mask:
    """The outermost pixels of the body: on a model's grid the skin is about one pixel thick."""
    return np.asarray(body & ~ndimage.binary_erosion(body, border_value=1))


def outline_around(labelled: Mask, spacing_mm: tuple[float, float], margin_mm: float = 25.0) -> Mask:
    """A guess at the outline where there is no image: the labelled structures, closed and padded."""
    if not labelled.any():
        return labelled
    pad = int(np.ceil(2 * margin_mm / min(spacing_mm)))
    wide = np.pad(labelled, pad)
    near = ndimage.distance_transform_edt(~wide, sampling=spacing_mm) <= 2 * margin_mm
    closed = ndimage.distance_transform_edt(near, sampling=spacing_mm) > margin_mm
    grown = np.asarray(ndimage.binary_fill_holes(closed | wide))
    return grown[pad:-pad, pad:-pad]


def largest(mask: Mask) -> Mask:
    """The largest connected part; an empty mask stays empty."""
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    return np.asarray(parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:])))


def _opened(mask: Mask, radius_mm: float, spacing_mm: tuple[float, float]) -> Mask:
    """Opening with a disc, by distances; the image's border counts as inside where tissue touches it."""
    pad = int(np.ceil(2 * radius_mm / min(spacing_mm)))
    wide = np.pad(mask, pad, mode="edge")
    core = ndimage.distance_transform_edt(wide, sampling=spacing_mm) > radius_mm
    if not core.any():
        return np.zeros_like(mask)
    grown = ndimage.distance_transform_edt(~core, sampling=spacing_mm) <= radius_mm
    return np.asarray((grown & wide)[pad:-pad, pad:-pad])
