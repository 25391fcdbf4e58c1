"""Uncertainty maps without torch: where they are measured, when there is none, and how one is kept."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

TIME = 0.7
ROUNDS = 2
SPACING = 4
CALLS_PER_PROBE = 2  # one pass forwards and one back, in calls of the network (measured: 1.8 to 2.0)
PROBES_AT_ONCE = 4  # followed back through the network together; what they take of memory is alive at once
LEVELS = 65535


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where and how closely a map is measured.

    `t`: how much of the image is taken as known, 0 nothing to 1 all. `rounds`: noises it is seen through.
    `spacing`: pixels between those that one probe asks about; each round takes spacing^2 probes.
    """

    t: float = TIME
    rounds: int = ROUNDS
    spacing: int = SPACING

    def __post_init__(self) -> None:
        if not 0 < self.t < 1:
            raise ValueError(f"t: expected a time between 0 and 1, got {self.t}.")
        if self.rounds < 1 or self.spacing < 1:
            raise ValueError(f"expected at least one round and pixel, got {self.rounds} and {self.spacing}.")

    @property
    def probes(self) -> int:
        """How often the network is asked, forwards and back."""
        return self.rounds * self.spacing**2

    @property
    def calls(self) -> int:
        """What the probes cost, in calls of the network."""
        return self.probes * CALLS_PER_PROBE


@dataclass(frozen=True, kw_only=True)
class UncertaintyMap:
    """A standard deviation per pixel, [rows, columns] in HU or signal, and how well it is known.

    `probe_error` is the typical relative standard error of one pixel, from the scatter between rounds
    (None for a single round); `below_zero` the share of pixels whose estimated variance was negative, which
    no variance is, and was put to 0.
    """

    std: npt.NDArray[np.float32]
    t: float
    probes: int
    probe_error: float | None
    below_zero: float

    def about(self) -> dict[str, Any]:
        """Everything but the pixels, and their summary, as plain JSON."""
        return {
            "t": self.t,
            "probes": self.probes,
            "probe_error": None if self.probe_error is None else round(self.probe_error, 4),
            "below_zero": round(self.below_zero, 4),
            "mean": round(float(self.std.mean()), 2),
            "largest": round(float(self.std.max()), 2),
            "top": round(float(np.quantile(self.std, 0.995)), 2),
        }


def refusal(recipe: Mapping[str, Any], *, guidance: float) -> str | None:
    """Why no map can be made with a model or at a guidance, in a sentence; None where one can.

    A network trained with the L1 norm is a median, for which the posterior covariance of math.md 1.4 does
    not hold (1.5); under guidance the velocity is that of no data.
    """
    if guidance != 1:
        return (
            "An uncertainty map is defined for guidance 1 only: any other guidance draws from a law that the "
            "network never learned. Set guidance to 1, or leave the map out."
        )
    training = recipe.get("training")
    objective = training.get("objective") if isinstance(training, Mapping) else None
    if isinstance(objective, Mapping) and objective.get("power") == 1:
        return (
            "This model was trained on absolute errors, so it draws medians, and an uncertainty map of it "
            "would not be valid. Leave the map out, or choose another model."
        )
    return None


def packed(std: npt.NDArray[np.floating]) -> tuple[bytes, float]:
    """A map as zlib over uint16 [rows, columns], and the scale by which those become HU or signal."""
    scale = float(std.max()) / LEVELS or 1.0
    return zlib.compress(np.rint(std / scale).astype("<u2").tobytes(), 6), scale


def unpacked(values: bytes, scale: float, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The map [rows, columns] in HU or signal that `packed` was given, to half a step of its scale."""
    flat = np.frombuffer(zlib.decompress(values), dtype="<u2")
    return (flat.reshape(shape) * scale).astype(np.float32)
