"""What every sampler shares: a velocity, a rising grid of times, a report per step, per-image noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]
Generators = torch.Generator | Sequence[torch.Generator] | None
Times = Tensor | Sequence[float]

_END_TOLERANCE = 1e-6


@runtime_checkable
class AverageVelocity(Protocol):
    """A velocity v(x, t) that also knows its average over a step from a to b (math.md section 7)."""

    def __call__(self, x: Tensor, t: Tensor, /) -> Tensor:
        """The velocity itself, the limit of `average` for b -> a."""
        ...

    def average(self, x: Tensor, a: Tensor, b: Tensor, /) -> Tensor:
        """u(x, a, b) = (x_b - x_a) / (b - a) along the flow through x at time a."""
        ...


@dataclass(frozen=True)
class SpanVelocity:
    """A network u(x, t, span), span 0 when left out, as an `AverageVelocity`."""

    network: Callable[..., Tensor]

    def __call__(self, x: Tensor, t: Tensor, /) -> Tensor:
        return self.network(x, t)

    def average(self, x: Tensor, a: Tensor, b: Tensor, /) -> Tensor:
        """u(x, a, b): the network over the span b - a."""
        return self.network(x, a, b - a)


@dataclass(frozen=True)
class SamplerStep:
    """A sampler's report after `step` of `steps` (from 1): the new state `x` at time `t`.

    `estimate` is the posterior mean E[x_1 | x_t] that the step used: the picture to come.
    """

    step: int
    steps: int
    t: float
    x: Tensor
    estimate: Tensor


OnSamplerStep = Callable[[SamplerStep], None]


def uniform_times(steps: int) -> list[float]:
    """`steps` + 1 evenly spaced times from 0 to 1."""
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}.")
    return [k / steps for k in range(steps + 1)]


def intervals(times: Times) -> list[tuple[float, float]]:
    """The steps (a, b) of a grid of times that rises from t >= 0 to t = 1.

    A last time within 1e-6 of 1 is taken as 1, so that rounding never turns the last, noiseless
    step of a stochastic sampler into a noisy one. Raises ValueError for any other grid.
    """
    grid = [float(t) for t in times]
    if len(grid) < 2:
        raise ValueError(f"times: expected at least two values, got {len(grid)}.")
    if abs(grid[-1] - 1.0) > _END_TOLERANCE:
        raise ValueError(f"times: expected the last value to be 1, got {grid[-1]}.")
    grid[-1] = 1.0
    if grid[0] < 0 or any(not a < b for a, b in pairwise(grid)):
        raise ValueError(f"times: expected values rising from 0 to 1, got {grid}.")
    return list(pairwise(grid))


def evaluate(velocity: Velocity, x: Tensor, t: float) -> Tensor:
    """velocity(x, t) in the dtype of `x`; `t` is passed as a scalar tensor of at least float32."""
    return _like(velocity(x, _scalar(t, x)), x)


def evaluate_average(velocity: Velocity, x: Tensor, a: float, b: float) -> Tensor:
    """The average velocity from a to b, as `evaluate`; a velocity that knows none is its own average."""
    if isinstance(velocity, AverageVelocity):
        return _like(velocity.average(x, _scalar(a, x), _scalar(b, x)), x)
    return evaluate(velocity, x, a)


def _scalar(t: float, x: Tensor) -> Tensor:
    return torch.tensor(t, dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)


def _like(v: Tensor, x: Tensor) -> Tensor:
    if v.shape != x.shape:
        raise ValueError(f"velocity: expected the shape {tuple(x.shape)}, got {tuple(v.shape)}.")
    return v.to(x.dtype)


def noise_like(x: Tensor, generator: Generators = None) -> Tensor:
    """Standard normal noise of the shape of `x`, drawn where the generator lives.

    A sequence holds one generator per item of the batch: an image's noise then depends on its own
    stream alone, never on what else is in the batch.
    """
    if generator is None or isinstance(generator, torch.Generator):
        device = x.device if generator is None else generator.device
        return torch.randn(x.shape, dtype=x.dtype, device=device, generator=generator).to(x.device)
    if len(generator) != x.shape[0]:
        raise ValueError(
            f"generator: expected one per item of the batch ({x.shape[0]}), got {len(generator)}."
        )
    draws = [torch.randn(x.shape[1:], dtype=x.dtype, device=one.device, generator=one) for one in generator]
    return torch.stack([draw.to(x.device) for draw in draws])
