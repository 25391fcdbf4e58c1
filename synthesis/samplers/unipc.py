"""UniPC as diffusers has it, run as a flow: a comparator with one call per step."""

from __future__ import annotations

from dataclasses import dataclass

from diffusers import UniPCMultistepScheduler
from torch import Tensor

from synthesis.foreign import SolverOptions, run_scheduler
from synthesis.stepping import Generators, OnSamplerStep, Times, Velocity


@dataclass(frozen=True, kw_only=True)
class Options(SolverOptions):
    """`order` of the predictor; the corrector adds one."""


def unipc(
    velocity: Velocity,
    x_0: Tensor,
    times: Times,
    *,
    options: Options | None = None,
    on_step: OnSamplerStep | None = None,
    generator: Generators = None,
) -> Tensor:
    """Predictor and corrector in log(t / (1 - t)) on the data prediction (Zhao et al. 2023), no noise.

    `x_0` [B, C, ...] is the state at `times[0]`; returns the state at t = 1, same shape and dtype.
    """
    scheduler = UniPCMultistepScheduler(  # type: ignore[no-untyped-call]
        solver_order=(options or Options()).order,
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
    )
    return run_scheduler(scheduler, velocity, x_0, times, on_step)
