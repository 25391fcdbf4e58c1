"""The common form of both arms, chosen from what the items have in common, with the reasons in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import ceil, floor
from typing import Any, Self

import numpy as np

from webapp.core.errors import ApplicationError
from webapp.readings.harmonising.survey import Survey, kind_of

COARSER = 1.15  # the common pixel over the coarsest one: no arm keeps its own grid
MARGIN_MM = 8.0  # around the largest body
LEAST_SIDE = 32
MOST_SIDE = 1024
CT_LOW = (-1000.0, -850.0)  # the floor lies between: above scanners' air noise, below lung
CT_HIGH = 300.0  # soft tissue must stay whole
CT_WINDOW = (40.0, 400.0)
SCALED = (0.0, 1000.0)  # of modalities without units of their own
SCALED_WINDOW = (450.0, 900.0)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the lead may choose; None leaves it to the items. All in mm but `mask_outside`."""

    spacing_mm: float | None = None
    field_mm: float | None = None
    frames: int | None = None
    mask_outside: bool = True

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The options of a protocol.

        Raises ApplicationError for one that does not exist.
        """
        known = {one.name for one in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ApplicationError(
                f"Harmonising has no option “{unknown[0]}”; it has {', '.join(sorted(known))}."
            )
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Values:
    """The range [low, high] and step of stored values, and the window (centre, width) to begin with.

    scaled: values are first brought to 0 to 1000 per item, since the modality has no unit.
    """

    low: int
    high: int
    step: int
    window: tuple[float, float]
    scaled: bool


@dataclass(frozen=True, kw_only=True)
class Target:
    """One grid for all items: square pixels of `spacing_mm`, and per modality one range and step.

    between_mm: between frames after resampling, None where frames are left as they lie. masked: outside
    the body everything takes the lowest value. reasons: why, in plain sentences.
    """

    spacing_mm: float
    rows: int
    columns: int
    frames: int
    between_mm: float | None
    masked: bool
    values: dict[str, Values]
    reasons: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The target as plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The target that `to_json` wrote."""
        by_modality = {
            name: Values(**{**one, "window": (float(one["window"][0]), float(one["window"][1]))})
            for name, one in values["values"].items()
        }
        return cls(**{**values, "values": by_modality})


def choose_target(items: Sequence[Survey], options: Options | None = None) -> Target:
    """The form that every item can be brought to without an arm showing where it came from.

    Pixels coarser than the coarsest, so that every item is truly resampled; a field that every item
    fills, or that ends in air; a range and a step that both arms have.

    Raises ApplicationError where there is no such form.
    """
    if not items:
        raise ApplicationError("There are no items to harmonise.")
    chosen = options or Options()
    reasons: list[str] = []
    spacing = _spacing(items, chosen, reasons)
    masked = chosen.mask_outside and all(one.box_mm and kind_of(one.modality) != "other" for one in items)
    if masked:
        reasons.append(
            "Everything outside the body becomes air in both arms: tables, clothes, padding and the noise of "
            "the air would tell them apart."
        )
    height, width = _field(items, chosen, masked=masked, reasons=reasons)
    rows, columns = (min(floor(side / spacing), MOST_SIDE) for side in (height, width))
    if min(rows, columns) < LEAST_SIDE:
        raise ApplicationError(
            f"The common field of {height:.0f} x {width:.0f} mm would have only {rows} x {columns} pixels of "
            f"{spacing:.2f} mm; leave out the items with the coarsest pixels or the smallest field."
        )
    frames, between = _frames(items, chosen, reasons)
    by_modality: dict[str, list[Survey]] = defaultdict(list)
    for one in items:
        by_modality[one.modality].append(one)
    values = {modality: _values(modality, own, reasons) for modality, own in sorted(by_modality.items())}
    return Target(
        spacing_mm=spacing,
        rows=rows,
        columns=columns,
        frames=frames,
        between_mm=between,
        masked=masked,
        values=values,
        reasons=reasons,
    )


def _spacing(items: Sequence[Survey], chosen: Options, reasons: list[str]) -> float:
    coarsest = max(items, key=lambda one: max(one.spacing_mm[:2]))
    widest = max(coarsest.spacing_mm[:2])
    least = ceil(widest * COARSER * 100) / 100
    if chosen.spacing_mm is not None and chosen.spacing_mm < least:
        raise ApplicationError(
            f"Pixels of {chosen.spacing_mm:g} mm are too fine: {_named(coarsest)} has pixels of "
            f"{widest:.2f} mm, so at least {least:.2f} mm are needed for all items to be resampled alike.",
            field="spacing_mm",
        )
    spacing = chosen.spacing_mm or least
    finest = min(min(one.spacing_mm[:2]) for one in items)
    reasons.append(
        f"Pixels become {spacing:.2f} mm: the coarsest item ({_named(coarsest)}) has {widest:.2f} mm, the "
        f"finest {finest:.2f} mm. All are smoothed and resampled in the same way, also those whose pixels "
        "would fit."
    )
    return spacing


def _field(
    items: Sequence[Survey], chosen: Options, *, masked: bool, reasons: list[str]
) -> tuple[float, float]:
    """Height and width of the common field in mm.

    Where all outside the body is air, padding with air shows nothing, and the field holds the largest
    body; but a body that its own image cuts off must reach the field's border, and limits it.
    """
    height, width = (_side(items, axis, masked=masked) for axis in (0, 1))
    if chosen.field_mm is not None:
        if chosen.field_mm > max(height, width):
            raise ApplicationError(
                f"A field of {chosen.field_mm:g} mm is larger than the {max(height, width):.0f} mm that all "
                "items can fill.",
                field="field_mm",
            )
        height, width = min(height, chosen.field_mm), min(width, chosen.field_mm)
        reasons.append(f"The study's design sets the field to at most {chosen.field_mm:g} mm.")
    cut = sum(one.touches for one in items)
    why = (
        "the largest body with a margin" if masked else "what every item shows, so that none has to be padded"
    )
    reasons.append(f"The field is {height:.0f} x {width:.0f} mm: {why}.")
    if masked and cut:
        reasons.append(
            f"In {cut} of {len(items)} items the body is cut off by the image's border, so the field is no "
            "larger than these; larger bodies are cut off alike."
        )
    return height, width


def _side(items: Sequence[Survey], axis: int, *, masked: bool) -> float:
    if not masked:
        return min(one.field_mm[axis] for one in items)
    side = max(one.box_mm[axis] for one in items if one.box_mm) + 2 * MARGIN_MM
    return min([side, *(one.field_mm[axis] for one in items if one.touches)])


def _frames(items: Sequence[Survey], chosen: Options, reasons: list[str]) -> tuple[int, float | None]:
    fewest = min(items, key=lambda one: one.shape[0])
    if chosen.frames == 1 or fewest.shape[0] == 1:
        if max(one.shape[0] for one in items) > 1:
            reasons.append("One frame of each item is shown, its middle one, since not all have more.")
        return 1, None
    distances = [one.spacing_mm[2] for one in items]
    between = None
    lengths = [float(one.shape[0]) for one in items]
    known = [distance for distance in distances if distance is not None]
    if len(known) == len(items):
        between = ceil(max(known) * COARSER * 100) / 100
        lengths = [floor((one.shape[0] - 1) * step / between) + 1 for one, step in zip(items, known)]
        reasons.append(f"Slices lie {between:.2f} mm apart: the widest distance is {max(known):.2f} mm.")
    frames = int(min(lengths))
    shortest = items[int(np.argmin(lengths))]
    if chosen.frames is not None and chosen.frames > frames:
        raise ApplicationError(
            f"{chosen.frames} slices are too many: {_named(shortest)} has only {frames} at the common "
            "distance.",
            field="frames",
        )
    frames = chosen.frames or frames
    reasons.append(f"Each item shows {frames} slices about its middle; {_named(shortest)} has the fewest.")
    return frames, between


def _values(modality: str, items: Sequence[Survey], reasons: list[str]) -> Values:
    if kind_of(modality) != "CT":
        gains = [(SCALED[1] - SCALED[0]) / max(one.high - min(one.low, 0.0), 1e-9) for one in items]
        step = max(1, ceil(max(one.step * gain for one, gain in zip(items, gains)) - 1e-6))
        step = min(step, 16)
        reasons.append(
            f"{modality}: brightness has no unit, so each item is scaled to {SCALED[0]:.0f} to "
            f"{SCALED[1]:.0f}, in steps of {step}."
        )
        scaled = _on_step(SCALED, step)
        return Values(low=scaled[0], high=scaled[1], step=step, window=SCALED_WINDOW, scaled=True)
    airs = [[one.air for one in own if one.air is not None] for own in _arms(items)]
    floor_hu = max((float(np.median(own)) for own in airs if own), default=CT_LOW[0])
    low = min(max(ceil(floor_hu / 10) * 10.0, CT_LOW[0]), CT_LOW[1])
    top = min(float(np.median([one.high for one in own])) for own in _arms(items))
    high = max(floor(top / 10) * 10.0, CT_HIGH)
    step = min(max(1, ceil(max(one.step for one in items) - 1e-6)), 16)
    reasons.append(
        f"CT values are held to {low:.0f} to {high:.0f} HU in steps of {step}: below lies the noise of the "
        "air, above are values that one arm hardly has."
    )
    bounds = _on_step((low, high), step)
    return Values(low=bounds[0], high=bounds[1], step=step, window=CT_WINDOW, scaled=False)


def _arms(items: Sequence[Survey]) -> list[list[Survey]]:
    names = sorted({one.arm for one in items})
    return [[one for one in items if one.arm == name] for name in names]


def _on_step(bounds: tuple[float, float], step: int) -> tuple[int, int]:
    return ceil(bounds[0] / step) * step, floor(bounds[1] / step) * step


def _named(one: Survey) -> str:
    return f"“{one.item}”" if one.item else "one item"
