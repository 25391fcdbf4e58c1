"""Physical units to the network's scale and back: piecewise linear, monotone, exactly invertible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Knots of a rising piecewise-linear map; beyond the outermost knots the last slopes go on.

    `units` are HU or signal values, `scaled` what the network sees at them. One stretch with a
    steep slope gives soft tissue most of the range, flatter ones keep air and bone: nothing clips.
    """

    units: tuple[float, ...]
    scaled: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.units) != len(self.scaled) or len(self.units) < 2:
            raise ValueError("units and scaled need the same number of knots, at least two")
        if np.any(np.diff(self.units) <= 0) or np.any(np.diff(self.scaled) <= 0):
            raise ValueError(f"knots must rise, got {self.units} -> {self.scaled}")

    @classmethod
    def from_json(cls, values: Mapping[str, Sequence[float]]) -> Normalisation:
        """From a recipe's {"units": [...], "scaled": [...]}."""
        return cls(units=tuple(map(float, values["units"])), scaled=tuple(map(float, values["scaled"])))

    def forward(self, image: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """HU or signal to the network's scale, any shape."""
        return _piecewise(image, self.units, self.scaled)

    def inverse(self, image: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """The network's scale back to HU or signal, any shape."""
        return _piecewise(image, self.scaled, self.units)


def normalisations(recipe: Mapping[str, Any]) -> dict[str, Normalisation]:
    """Modality -> map, from a recipe's image.normalisation."""
    return {name: Normalisation.from_json(v) for name, v in recipe["image"]["normalisation"].items()}


def _piecewise(
    image: npt.ArrayLike, knots: Sequence[float], values: Sequence[float]
) -> npt.NDArray[np.float32]:
    x = np.asarray(image, dtype=np.float64)
    out = np.interp(x, knots, values)
    first = (values[1] - values[0]) / (knots[1] - knots[0])
    last = (values[-1] - values[-2]) / (knots[-1] - knots[-2])
    out += np.minimum(x - knots[0], 0.0) * first + np.maximum(x - knots[-1], 0.0) * last
    return out.astype(np.float32)
