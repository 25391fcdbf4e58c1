"""DDIM, in the times of a flow: the usual sampler of networks that predict noise."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from torch import Tensor

from synthesis.paths import noise_mean, posterior_mean
from synthesis.stepping import (
    Generators,
    OnSamplerStep,
    SamplerStep,
    Times,
    Velocity,
    evaluate,
    intervals,
    noise_like,
)
from synthesis.variance_preserving import alpha_bar


@dataclass(frozen=True, kw_only=True)
class Options:
    """`eta`: 0 adds no noise (DDIM), 1 as much as the ancestral sampler (DDPM)."""

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta: expected a number from 0 to 1, got {self.eta}.")


def ddim(
    velocity: Velocity,
    x_0: Tensor,
    times: Times,
    *,
    options: Options | None = None,
    on_step: OnSamplerStep | None = None,
    generator: Generators = None,
) -> Tensor:
    """x <- b x1_hat + (1 - b) (sqrt(1 - r^2) n_hat + r z), r^2 = eta^2 (1 - A_a / A_b) / (1 - A_a).

    Song et al. 2021, equations 12 and 16, under the map of math.md section 0 between a flow's time
    and the VP schedule's alpha_bar A; with eta = 0 it is Euler's step. For a network that predicts
    noise, `synthesis.variance_preserving` gives the velocity and the times of its training steps.
    `x_0` [B, ...] is the state at `times[0]`; returns the state at t = 1, same shape and dtype.
    """
    options = options or Options()
    x = x_0
    steps = intervals(times)
    for index, (a, b) in enumerate(steps, start=1):
        v = evaluate(velocity, x, a)
        estimate, noise = posterior_mean(x, v, a), noise_mean(x, v, a)
        if options.eta > 0 and b < 1:
            share = options.eta**2 * (1 - alpha_bar(a) / alpha_bar(b)) / (1 - alpha_bar(a))
            noise = sqrt(1 - share) * noise + sqrt(share) * noise_like(x, generator)
        x = b * estimate + (1 - b) * noise
        if on_step is not None:
            on_step(SamplerStep(index, len(steps), b, x, estimate))
    return x
