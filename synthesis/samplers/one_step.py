"""One call from noise to data: the posterior mean, and ViCTr's printed formula for comparison."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from synthesis.paths import posterior_mean, scaled_score
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
    """One step has nothing to choose: at t = 0 every reading of (1 - alpha_bar_0) is 1."""


def one_step(
    velocity: Velocity,
    x_0: Tensor,
    times: Times,
    *,
    options: Options | None = None,
    on_step: OnSamplerStep | None = None,
    generator: Generators = None,
) -> Tensor:
    """x_1 = x_a + (1 - a) v(x_a, a): the posterior mean E[x_1 | x_a] (math.md 1.1 and 2).

    From pure noise (a = 0) that is E[x_1] under the condition, whatever the noise: no variety,
    unless the velocity was straightened first (reflow).
    `x_0` [B, ...] is the state at `times[0]`; returns the state at t = 1, same shape and dtype.
    Raises ValueError for a grid of more than one step.
    """
    a = _start(times)
    estimate = posterior_mean(x_0, evaluate(velocity, x_0, a), a)
    if on_step is not None:
        on_step(SamplerStep(1, 1, 1.0, estimate, estimate))
    return estimate


def one_step_literal(
    velocity: Velocity,
    x_0: Tensor,
    times: Times,
    *,
    options: Options | None = None,
    on_step: OnSamplerStep | None = None,
    generator: Generators = None,
) -> Tensor:
    """x_1 = x_a + (1 - a) v + (1 - a)^2 s, with s the score: ViCTr's x_0 + v + (1 - alpha_bar_0) s at a = 0.

    s(x_0, 0) = -x_0 and 1 - alpha_bar_0 = 1, so from pure noise this is E[x_1] - x_0 exactly: the
    average image with the noise subtracted (math.md 3, last line of the table). For comparison only.
    `x_0` [B, ...] is the state at `times[0]`; returns the state at t = 1, same shape and dtype.
    Raises ValueError for a grid of more than one step.
    """
    a = _start(times)
    v = evaluate(velocity, x_0, a)
    estimate = posterior_mean(x_0, v, a)
    x_1 = estimate + scaled_score(x_0, v, a)
    if on_step is not None:
        on_step(SamplerStep(1, 1, 1.0, x_1, estimate))
    return x_1


def _start(times: Times) -> float:
    steps = intervals(times)
    if len(steps) != 1:
        raise ValueError(f"times: expected one step, got {len(steps)}.")
    return steps[0][0]
