"""A source slice and a mask of any label set onto a model's grid, and what had to be derived on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from synthesis.errors import SynthesisError
from synthesis.imaging import body as bodies
from synthesis.imaging.labelmaps import UNLABELLED, LabelMap
from synthesis.imaging.plane import (
    Plane,
    flat_plane,
    is_axial,
    plane_of,
    resample_image,
    resample_labels,
    upright,
)
from synthesis.imaging.volume import Slice
from synthesis.phantoms import labels as L

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

BODY_FILL = 0.845  # share of the frame's width that the body takes in training (0.81 to 0.88)
DEPTH_FILL = 0.95  # share of its height that the body may take


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A mask on a model's grid, and where that grid lies.

    labels: [rows, columns] uint8 in the model's label set. image: the source there, or None.
    plane: the grid in the patient; source_plane: the grid that `labels` came from. derived: names
    of structures that were filled in from the image; unmapped: names of source labels that the
    model has no word for; lost: names of structures too small for the grid or outside of it;
    notes: sentences about all of these for the person who asks.
    """

    labels: Labels
    image: npt.NDArray[np.float32] | None
    plane: Plane
    source_plane: Plane
    derived: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Distance between the grid's rows and columns."""
        return self.plane.spacing_mm

    def to_source(self, image: npt.NDArray[np.floating], *, outside: float) -> npt.NDArray[np.float32]:
        """An image on the model's grid brought back onto the source's."""
        return resample_image(image, self.plane, self.source_plane, outside=outside)

    def labels_to_source(self, labels: Labels | None = None) -> Labels:
        """A mask on the model's grid (by default the fitted one) brought back onto the source's."""
        mask = self.labels if labels is None else labels
        return resample_labels(mask, self.plane, self.source_plane, outside=L.AIR)

    def to_json(self) -> dict[str, Any]:
        """What was done, as plain JSON (without the pixels)."""
        return {
            "plane": self.plane.to_json(),
            "source_plane": self.source_plane.to_json(),
            "derived": list(self.derived),
            "unmapped": list(self.unmapped),
            "lost": list(self.lost),
            "notes": list(self.notes),
        }


def fit(
    *,
    mask: npt.NDArray[np.integer],
    names: LabelMap,
    recipe: Mapping[str, Any],
    source: Slice | None = None,
    modality: str = "CT",
    spacing_mm: tuple[float, float] | None = None,
    derive: bool = True,
    keep_grid: bool = False,
    onto: Plane | None = None,
) -> Fitted:
    """Bring one slice's mask (and image) onto the grid of the model with this recipe.

    mask: [rows, columns] in its own label set, `names` maps it. source: the slice under the mask;
    without one `spacing_mm` must say how large a pixel of the mask is. modality: of the source,
    "CT" or anything else for MR. derive: fill in what the mask leaves out, as far as the image
    shows it: the body's outline, and in CT fat, muscle, gas, lung and skin. keep_grid: a source on a
    grid that the model works on stays there, so that nothing is resampled. onto: the grid to use
    instead of one that is chosen for this slice (synthesis/imaging/series_fitting.py).

    The grid is centred on the body, upright (rows to the back, columns to the patient's left), as
    wide as the model was trained for, and lies in the plane of the source.
    Raises SynthesisError where mask and image do not match, or no body can be found.
    """
    plane, image = _source_plane(mask, source, spacing_mm)
    mapped = names.apply(mask)
    inside = _outline(mapped, image, plane, modality)
    kept = keep_grid and is_own_grid(plane, recipe)
    target = onto or (plane if kept else grid_around(inside, plane, recipe))
    filled, derived = _fill(mapped, inside, image if derive and modality == "CT" else None, plane)
    labels = resample_labels(filled, plane, target, outside=L.AIR)
    if "fat" in derived:
        unstated = resample_labels((mapped == UNLABELLED).astype(np.uint8), plane, target, outside=1) == 1
        whole = np.asarray(ndimage.binary_fill_holes(labels != L.AIR))
        labels[bodies.skin_of(whole) & (labels != L.AIR) & unstated] = L.SKIN
        derived = (*derived, "skin")
    on_grid = None
    if image is not None:
        air = -1000.0 if modality == "CT" else 0.0
        on_grid = resample_image(image, plane, target, outside=air)
    lost = _lost(mapped, labels, recipe)
    return Fitted(
        labels=labels,
        image=on_grid,
        plane=target,
        source_plane=plane,
        derived=derived,
        unmapped=names.unmapped,
        lost=lost,
        notes=_notes(derived, names.unmapped, lost, guessed=image is None and bool(derived)),
    )


def body_in(
    mask: npt.NDArray[np.integer], names: LabelMap, source: Slice, modality: str
) -> tuple[Plane, Mask]:
    """The source's own grid and the body on it [rows, columns], seen and refused as by `fit`."""
    plane, image = _source_plane(mask, source, None)
    return plane, _outline(names.apply(mask), image, plane, modality)


def is_own_grid(plane: Plane, recipe: Mapping[str, Any]) -> bool:
    """Whether the model works on this grid as it is: its size, upright, a spacing that it was trained on."""
    rows, columns = int(recipe["image"]["rows"]), int(recipe["image"]["columns"])
    left, back = upright(plane)
    field = recipe.get("field", {})
    within = all(
        limits is None or all(limits[0] <= size * spacing <= limits[1] for spacing in plane.spacing_mm)
        for limits, size in ((field.get("fov_mm"), columns), (field.get("spacing_mm"), 1))
    )
    straight = np.allclose(plane.along_columns, left) and np.allclose(plane.along_rows, back)
    square = bool(np.isclose(plane.spacing_mm[0], plane.spacing_mm[1], rtol=1e-3))
    return plane.shape == (rows, columns) and straight and square and within


def grid_around(inside: Mask, plane: Plane, recipe: Mapping[str, Any]) -> Plane:
    """The model's grid for a body [rows, columns] in a plane: upright, centred, of trained width.

    The width is the body's over BODY_FILL, held to the recipe's field of view where it has one.
    """
    rows, columns = int(recipe["image"]["rows"]), int(recipe["image"]["columns"])
    left, back = upright(plane)
    row, column = np.nonzero(inside)
    points = plane.points(row, column)
    origin = np.asarray(plane.position_mm)
    across, deep = (points - origin) @ left, (points - origin) @ back
    pixel = max(plane.spacing_mm)
    width = float(np.ptp(across)) + pixel
    depth = float(np.ptp(deep)) + pixel
    spacing = max(width / BODY_FILL / columns, depth / DEPTH_FILL / rows)
    field = recipe.get("field", {})
    for limits, size in ((field.get("fov_mm"), columns), (field.get("spacing_mm"), 1)):
        if limits:
            spacing = float(np.clip(spacing, limits[0] / size, limits[1] / size))
    middle = origin + left * (across.min() + across.max()) / 2 + back * (deep.min() + deep.max()) / 2
    first = middle - left * (columns - 1) / 2 * spacing - back * (rows - 1) / 2 * spacing
    x, y, z = (float(value) for value in first)
    return Plane(
        position_mm=(x, y, z),
        orientation=(*map(float, left), *map(float, back)),
        spacing_mm=(spacing, spacing),
        shape=(rows, columns),
    )


def _source_plane(
    mask: npt.NDArray[np.integer], source: Slice | None, spacing_mm: tuple[float, float] | None
) -> tuple[Plane, npt.NDArray[np.float32] | None]:
    if mask.ndim != 2:
        raise ValueError(f"mask: expected [rows, columns], got {mask.ndim} axes.")
    if source is None:
        if spacing_mm is None:
            raise ValueError("spacing_mm: expected the mask's pixel size where there is no source slice.")
        return flat_plane((mask.shape[0], mask.shape[1]), spacing_mm), None
    if source.is_colour:
        raise SynthesisError("The source is a colour picture; CT or MR in shades of grey is needed.")
    if source.array.shape != mask.shape:
        raise SynthesisError(
            f"The mask has {mask.shape[0]} x {mask.shape[1]} pixels, but its slice has "
            f"{source.array.shape[0]} x {source.array.shape[1]}."
        )
    plane = plane_of(source)
    if not is_axial(plane):
        raise SynthesisError("This slice is not axial; the model knows axial slices only.")
    return plane, np.nan_to_num(source.array)


def _outline(mapped: Labels, image: npt.NDArray[np.float32] | None, plane: Plane, modality: str) -> Mask:
    """The body on the source's grid: seen in the image, or told by the mask, or guessed around it."""
    labelled = ~np.isin(mapped, (UNLABELLED, L.AIR))
    told = (mapped == L.AIR).any() or (mapped == L.BODY).any()
    if image is not None:
        seen = bodies.body_outline(image, plane.spacing_mm, modality)
        if seen.any():
            return seen | labelled
    if told and labelled.any():
        return np.asarray(ndimage.binary_fill_holes(labelled))
    if not labelled.any():
        raise SynthesisError(
            "No body was found: the image shows none, and the mask has no structure this model knows."
        )
    return bodies.outline_around(labelled, plane.spacing_mm)


def _fill(
    mapped: Labels, body: Mask, image: npt.NDArray[np.float32] | None, plane: Plane
) -> tuple[Labels, tuple[str, ...]]:
    """Replace UNLABELLED: air outside, what a CT image shows inside, "body (unspecified)" elsewhere."""
    out = mapped.copy()
    unstated = out == UNLABELLED
    if not unstated.any():
        return out, ()
    inside = unstated & body
    out[unstated] = L.AIR
    out[inside] = L.BODY
    derived = ["body outline"]
    if image is None:
        return out, tuple(derived)
    gas, lung = bodies.ct_air(image, body, plane.spacing_mm)
    found = {
        "muscle": (L.MUSCLE, bodies.ct_muscle(image, body, plane.spacing_mm)),
        "fat": (L.FAT, bodies.ct_fat(image, body, plane.spacing_mm)),
        "lung": (L.LUNG, lung),
        "gas": (L.AIR, gas),
    }
    for name, (value, where) in found.items():
        # Label sets count a bowel's gas as bowel; here it is air.
        room = inside | (body & np.isin(mapped, (L.STOMACH, L.BOWEL))) if name == "gas" else inside
        if (where & room).any():
            out[where & room] = value
            derived.append(name)
    return out, tuple(derived)


def _lost(mapped: Labels, labels: Labels, recipe: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of structures that the source's mask has and the model's grid does not."""
    gone = set(np.unique(mapped).tolist()) - set(np.unique(labels).tolist()) - {UNLABELLED, L.AIR, L.BODY}
    names: Sequence[Mapping[str, Any]] = recipe.get("label_set") or [
        {"value": one.value, "name": one.name} for one in L.LABEL_SET
    ]
    return tuple(str(row["name"]) for row in names if int(row["value"]) in gone)


def _notes(
    derived: Sequence[str], unmapped: Sequence[str], lost: Sequence[str], *, guessed: bool
) -> tuple[str, ...]:
    notes = []
    if guessed:
        notes.append("There is no image under the mask, so the body's outline is a guess around it.")
    elif derived:
        notes.append(f"Derived from the image: {', '.join(derived)}.")
    if unmapped:
        notes.append(f"The model has no label for: {', '.join(unmapped)}. They count as unspecified body.")
    if lost:
        notes.append(f"Too small for the model's grid, or outside of it: {', '.join(lost)}.")
    return tuple(notes)
