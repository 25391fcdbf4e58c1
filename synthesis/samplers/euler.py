"""Euler's method for the probability-flow equation dx = v dt."""

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


@dataclass(frozen=True, kw_only=True)
class Options:
    """Euler has nothing to choose."""


def euler(
    velocity: Velocity,
    x_0: Tensor,
    times: Times,
    *,
    options: Options | None = None,
    on_step: OnSamplerStep | None = None,
    generator: Generators = None,
) -> Tensor:
    """x <- x + (b - a) v(x, a), one call per step; few steps are under-dispersed (math.md 2).

    `x_0` [B, ...] is the state at `times[0]`; returns the state at t = 1, same shape and dtype.
    """
    x = x_0
    steps = intervals(times)
    for index, (a, b) in enumerate(steps, start=1):
        v = evaluate(velocity, x, a)
        estimate = posterior_mean(x, v, a)
        x = x + (b - a) * v
        if on_step is not None:
            on_step(SamplerStep(index, len(steps), b, x, estimate))
    return x
