"""Heun's method for the probability-flow equation: second order, two calls per step."""

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
    """`euler_last`: take the last step with one call, as networks are hardly trained at t = 1."""

    euler_last: bool = True


def heun(
    velocity: Velocity,
    x_0: Tensor,
    times: Times,
    *,
    options: Options | None = None,
    on_step: OnSamplerStep | None = None,
    generator: Generators = None,
) -> Tensor:
    """x <- x + (b - a) (v(x, a) + v(x + (b - a) v(x, a), b)) / 2 (Karras et al. 2022, algorithm 1).

    `x_0` [B, ...] is the state at `times[0]`; returns the state at t = 1, same shape and dtype.
    """
    options = options or Options()
    x = x_0
    steps = intervals(times)
    for index, (a, b) in enumerate(steps, start=1):
        v = evaluate(velocity, x, a)
        estimate = posterior_mean(x, v, a)
        if b < 1 or not options.euler_last:
            v = (v + evaluate(velocity, x + (b - a) * v, b)) / 2
        x = x + (b - a) * v
        if on_step is not None:
            on_step(SamplerStep(index, len(steps), b, x, estimate))
    return x
