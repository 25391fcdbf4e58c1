"""ViCTr's sampler as printed, kept for comparison: a score term without the noise that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from synthesis.paths import posterior_mean
from synthesis.stepping import (
    Generators,
    OnSamplerStep,
    SamplerStep,
    Times,
    Velocity,
    evaluate,
    intervals,
)

WEIGHTS = ("rectified", "sqrt_alpha", "variance_preserving")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to read "(1 - alpha_bar_t)" as, and how much of the term to apply.

    weight: "rectified" (1 - t)^2, "sqrt_alpha" 1 - t^2, or "variance_preserving"
        (1 - t)^2 / (t^2 + (1 - t)^2).
    strength: 0 leaves Euler's method, 1 is as printed.
    """

    weight: str = "rectified"
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.weight not in WEIGHTS:
            raise ValueError(f"weight: expected one of {', '.join(WEIGHTS)}, got {self.weight}.")
        if not 0 <= self.strength < float("inf"):
            raise ValueError(f"strength: expected a number of at least 0, got {self.strength}.")


def _score_drift(x: Tensor, v: Tensor, t: float, weight: str) -> Tensor:
    """lambda(t) times the score (t v - x) / (1 - t), with the division cancelled in each case."""
    scaled = t * v - x
    if weight == "sqrt_alpha":
        return (1 + t) * scaled
    if weight == "variance_preserving":
        return (1 - t) / (t**2 + (1 - t) ** 2) * scaled
    return (1 - t) * scaled


def victr_literal(
    velocity: Velocity,
    x_0: Tensor,
    times: Times,
    *,
    options: Options | None = None,
    on_step: OnSamplerStep | None = None,
    generator: Generators = None,
) -> Tensor:
    """Euler steps of dx = (v + strength lambda s) dt, without noise (ViCTr; math.md 3, "literal").

    This does not keep the marginals: a Gaussian of spread c leaves with c exp(-int lambda / S dt),
    and one step gives E[x_1] - x_0 whatever the data. Use `rft` for images.
    `x_0` [B, ...] is the state at `times[0]`; returns the state at t = 1, same shape and dtype.
    """
    options = options or Options()
    x = x_0
    steps = intervals(times)
    for index, (a, b) in enumerate(steps, start=1):
        v = evaluate(velocity, x, a)
        estimate = posterior_mean(x, v, a)
        x = x + (b - a) * (v + options.strength * _score_drift(x, v, a, options.weight))
        if on_step is not None:
            on_step(SamplerStep(index, len(steps), b, x, estimate))
    return x
