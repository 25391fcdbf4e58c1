"""Long steps by a network that knows its average velocity: one call per step, few steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synthesis.paths import posterior_mean
from synthesis.stepping import (
    Generators,
    OnSamplerStep,
    SamplerStep,
    Times,
    Velocity,
    evaluate_average,
    intervals,
)

LONG_WAVES = 1 / 6  # cycles per pixel: noise of longer waves is what `temperature` scales
EDGE = 0.03  # cycles per pixel over which the scaling fades out


@dataclass(frozen=True, kw_only=True)
class Options:
    """`temperature`: the scale of the start noise's long waves, 1 for the exact law.

    Along the flow of stationary Gaussian noise each wave is multiplied by a number of its own, so the
    output's long waves come out weaker by this factor and the others stay. A model whose learned steps
    make long waves too strong has a value of its own, found on validation data.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"temperature: expected a number above 0, got {self.temperature}.")


def shortcut(
    velocity: Velocity,
    x_0: Tensor,
    times: Times,
    *,
    options: Options | None = None,
    on_step: OnSamplerStep | None = None,
    generator: Generators = None,
) -> Tensor:
    """x <- x + (b - a) u(x, a, b), one call per step (Frans et al. 2024; math.md 7).

    u(x, a, b) = (x_b - x_a) / (b - a) is the average velocity along the flow, so steps of any
    length are exact where u is. A plain velocity is taken as its own average, which is Euler's
    method. A step reports x + (1 - a) u as its estimate: the image, were the velocity to stay.
    `x_0` [B, ...] is the state at `times[0]` before the temperature; returns the state at t = 1, same
    shape and dtype.
    """
    x = x_0 if options is None else cool(x_0, options.temperature)
    steps = intervals(times)
    for index, (a, b) in enumerate(steps, start=1):
        u = evaluate_average(velocity, x, a, b)
        estimate = posterior_mean(x, u, a)
        x = x + (b - a) * u
        if on_step is not None:
            on_step(SamplerStep(index, len(steps), b, x, estimate))
    return x


def cool(x: Tensor, temperature: float) -> Tensor:
    """Images [B, C, H, W] with their waves longer than 1 / LONG_WAVES pixels scaled; others as a whole."""
    if temperature == 1:
        return x
    if x.ndim < 4:
        return temperature * x
    rows, columns = (torch.fft.fftfreq(length, device=x.device) for length in x.shape[-2:])
    frequency = (rows[:, None] ** 2 + columns[None, :] ** 2).sqrt()
    gain = 1 - (1 - temperature) * torch.sigmoid((LONG_WAVES - frequency) / EDGE)
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return torch.fft.ifft2(torch.fft.fft2(wide) * gain).real.to(x.dtype)
