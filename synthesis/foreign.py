"""Schedulers of diffusers inside our samplers: its sign, its sigma = 1 - t, its way of counting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synthesis.paths import posterior_mean
from synthesis.stepping import OnSamplerStep, SamplerStep, Times, Velocity, evaluate, intervals

# In log(t / (1 - t)) pure noise lies at minus infinity; diffusers starts UniPC this much later.
FIRST_SIGMA_GAP = 1e-6


@dataclass(frozen=True, kw_only=True)
class SolverOptions:
    """`order` of a multistep solver of diffusers."""

    order: int = 2

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3):
            raise ValueError(f"order: expected 1, 2 or 3, got {self.order}.")


def run_scheduler(
    scheduler: Any, velocity: Velocity, x_0: Tensor, times: Times, on_step: OnSamplerStep | None
) -> Tensor:
    """Integrate with a flow scheduler of diffusers on exactly this grid of times.

    Its own grid is replaced, for at few steps it is not the one that was asked for (DPM-Solver++
    leaves out the start, and both round timesteps to integers). The network still sees the true t.
    `x_0` [B, C, ...] is the state at `times[0]`; returns the state at t = 1, same shape and dtype.
    """
    steps = intervals(times)
    scheduler.set_timesteps(len(steps))
    sigmas = torch.tensor([*(1 - a for a, _ in steps), 0.0], dtype=torch.float64)
    scheduler.sigmas = sigmas.clamp(max=1 - FIRST_SIGMA_GAP).float()
    scheduler.set_begin_index(0)
    x = x_0
    for index, (a, b) in enumerate(steps, start=1):
        v = evaluate(velocity, x, a)
        estimate = posterior_mean(x, v, a)
        moved: Tensor = scheduler.step(-v, scheduler.timesteps[index - 1], x, return_dict=False)[0]
        x = moved.to(x_0.dtype)
        if on_step is not None:
            on_step(SamplerStep(index, len(steps), b, x, estimate))
    return x
