"""Every sampler of ours inside the pipelines of diffusers: one scheduler, saved and loaded like any other.

Signs: a flow network of diffusers answers n - x_1, the negative of our v, at sigma = 1 - t.
Networks that predict noise, v or data on a variance-preserving schedule run as flows from that
schedule's noisiest training step on (math.md section 0, `synthesis.variance_preserving`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from math import exp
from typing import Any

import numpy as np
import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from torch import Tensor

from synthesis.paths import interpolate, posterior_mean, time_like
from synthesis.replay import Query, Run, SteppedSampler, noise_seeds
from synthesis.stepping import Generators
from synthesis.variance_preserving import (
    PREDICTIONS,
    SPACINGS,
    NoiseSchedule,
    scale,
    velocity_from_prediction,
)

FLOW = "flow_prediction"
SHIFTS = ("exponential", "linear")


@dataclass
class SemblanceFlowSchedulerOutput(BaseOutput):
    """`prev_sample`: the next state to evaluate; `pred_original_sample`: the posterior mean E[x_1 | x_t]."""

    prev_sample: Tensor
    pred_original_sample: Tensor


class SemblanceFlowScheduler(SchedulerMixin, ConfigMixin):
    """A sampler of `synthesis.catalog.SAMPLERS` as a scheduler of diffusers.

    sampler, options: the sampler's name and the fields of its Options, checked at once.
    prediction_type: "flow_prediction" (SD3, Flux), or what a network on a variance-preserving schedule
        answers: "epsilon" (SD 1.x, SDXL, PixArt), "v_prediction", "sample". Left out, it is
        "epsilon" where a schedule is given and "flow_prediction" otherwise, as diffusers has it.
    shift, use_dynamic_shifting, base_shift ... time_shift_type: as FlowMatchEulerDiscreteScheduler.
    beta_start ... rescale_betas_zero_snr: the training schedule, as DDIMScheduler.
    spacing: where to evaluate a variance-preserving network: "uniform" in t, "trailing", "leading".

    Without explicit `sigmas` the grid is 1, 1 - 1/N, ..., 1/N, then shifted: the default of diffusers
    ends at 0.001 instead and wastes a call. Noise is drawn from the pipeline's generator where the
    pipeline hands it on, and from a digest of the first latents otherwise (SD3, Flux), so the
    generator decides the image in both cases, and each image of a batch has noise of its own.
    Raises ValueError for settings that do not fit together.
    """

    _compatibles: list[str] = []
    order = 1
    _run: Run | None
    _handed: Tensor | None
    _index: int | None
    _begin_index: int | None

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        sampler: str = "rft",
        options: dict[str, Any] | None = None,
        prediction_type: str | None = None,
        shift: float = 1.0,
        use_dynamic_shifting: bool = False,
        base_shift: float = 0.5,
        max_shift: float = 1.15,
        base_image_seq_len: int = 256,
        max_image_seq_len: int = 4096,
        time_shift_type: str = "exponential",
        beta_start: float | None = None,
        beta_end: float | None = None,
        beta_schedule: str | None = None,
        trained_betas: list[float] | None = None,
        rescale_betas_zero_snr: bool = False,
        spacing: str = "uniform",
    ) -> None:
        if spacing not in SPACINGS or time_shift_type not in SHIFTS:
            raise ValueError(
                f"spacing is one of {', '.join(SPACINGS)} and time_shift_type one of {', '.join(SHIFTS)}; "
                f"got {spacing} and {time_shift_type}."
            )
        self._sampler = SteppedSampler(sampler, options or {})
        scheduled = beta_schedule is not None or trained_betas is not None
        self._prediction = prediction_type or ("epsilon" if scheduled else FLOW)
        self._schedule = self._noise_schedule(scheduled)
        self.init_noise_sigma = 1.0
        training: list[float] = [k / num_train_timesteps for k in range(num_train_timesteps)]
        if self._schedule is not None:
            self.init_noise_sigma = scale(self._schedule.start)
            training = self._schedule.times[::-1].tolist()
        self.num_inference_steps: int | None = None
        self._lay_out([*training, 1.0], [Query(t, True) for t in training], None)

    @classmethod
    def like(
        cls, scheduler: Any, sampler: str = "rft", options: Mapping[str, Any] | None = None
    ) -> SemblanceFlowScheduler:
        """The scheduler that takes another's place in a pipeline, with its shift or noise schedule."""
        config = scheduler.config
        kept = {name: config[name] for name in signature(cls.__init__).parameters if name in config}
        if config.get("flow_shift") is not None:  # what UniPC and DPM-Solver++ call it
            kept["shift"] = config["flow_shift"] if config.get("prediction_type") == FLOW else 1.0
        return cls(**kept | {"sampler": sampler, "options": dict(options or {})})

    def __len__(self) -> int:
        return int(self.config["num_train_timesteps"])

    # What a pipeline asks for.

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        sigmas: Sequence[float] | None = None,
        mu: float | None = None,
        timesteps: Sequence[float] | None = None,
    ) -> None:
        """Lay out the calls: `num_inference_steps` steps, or steps from these sigmas = 1 - t, falling.

        `sigmas` are shifted as by FlowMatchEulerDiscreteScheduler; `timesteps` (1000 sigma, or
        training steps of a variance-preserving schedule) are taken as they are.
        """
        given = [values for values in (sigmas, timesteps) if values is not None]
        if len(given) == 2 or (not given and num_inference_steps is None):
            raise ValueError("Expected either num_inference_steps, or sigmas, or timesteps.")
        count = len(given[0]) if given else num_inference_steps
        if count is None or count < 1 or num_inference_steps not in (None, count):
            raise ValueError(f"Expected {num_inference_steps} sigmas or timesteps, got {count}.")
        if self._sampler.steps not in (None, count):
            only = self._sampler.steps
            raise ValueError(f"The sampler {self._sampler.name} takes {only} step, not {count}.")
        times = self._grid(count, sigmas, timesteps, mu)
        self._lay_out(times, self._sampler.plan(times), device)
        self.num_inference_steps = count

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Start at this entry of `timesteps`: image to image starts part of the way."""
        self._begin_index = begin_index

    @property
    def begin_index(self) -> int | None:
        """The entry of `timesteps` at which sampling begins, if it was set."""
        return self._begin_index

    @property
    def step_index(self) -> int | None:
        """The entry of `timesteps` that the next `step` belongs to; None before the first."""
        return self._index

    def scale_model_input(self, sample: Tensor, timestep: float | Tensor | None = None) -> Tensor:
        """The network's input: the state itself, or the VP state y = x / sqrt(t^2 + (1 - t)^2)."""
        if self._schedule is None:
            return sample
        return sample / scale(self._queries[self._place(timestep)].t)

    def scale_noise(self, sample: Tensor, timestep: float | Tensor, noise: Tensor | None = None) -> Tensor:
        """The state x_t = (1 - t) noise + t sample at each image's timestep."""
        if noise is None:
            raise ValueError("scale_noise: expected noise, got None.")
        values = torch.as_tensor(timestep).reshape(-1).tolist()
        t = torch.tensor([self._queries[self._nearest(v)].t for v in values], dtype=torch.float64)
        t = t.expand(sample.shape[0]) if len(values) == 1 else t
        return interpolate(noise, sample, time_like(t.to(sample.device, sample.dtype), sample))

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """`scale_noise`, with the arguments in the order of the older pipelines."""
        return self.scale_noise(original_samples, timesteps, noise)

    def step(
        self,
        model_output: Tensor,
        timestep: float | Tensor,
        sample: Tensor,
        generator: Generators = None,
        return_dict: bool = True,
    ) -> SemblanceFlowSchedulerOutput | tuple[Tensor, Tensor]:
        """Take the network's output at `sample` and `timestep`; give the next state to evaluate.

        After the last call that is the image. A sample that the pipeline changed in between
        (inpainting) starts the sampler anew from there; within a step of two calls it does not.
        """
        place = self._place(timestep)
        query = self._queries[place]
        state = sample.to(torch.promote_types(sample.dtype, torch.float32))
        changed = self._handed is None or not torch.equal(sample, self._handed)
        if self._run is None or (changed and query.starts):
            rest = [query.t, *(t for t in self._times if t > query.t)]
            self._run = Run(state, rest, noise_seeds(state, generator, place))
        velocity = self._velocity(model_output.to(state.dtype), state, query.t)
        self._handed = self._sampler.advance(self._run, velocity).to(model_output.dtype)
        self._index = place + 1
        estimate = posterior_mean(state, velocity, query.t).to(model_output.dtype)
        if self._index == len(self._queries):
            self._run, estimate = None, self._handed
        if not return_dict:
            return self._handed, estimate
        return SemblanceFlowSchedulerOutput(prev_sample=self._handed, pred_original_sample=estimate)

    # The grid.

    def _noise_schedule(self, scheduled: bool) -> NoiseSchedule | None:
        if self._prediction == FLOW:
            return None
        if self._prediction not in PREDICTIONS:
            known = ", ".join((FLOW, *PREDICTIONS))
            raise ValueError(f"prediction_type: expected one of {known}, got {self._prediction}.")
        if not scheduled:
            raise ValueError(f"{self._prediction} needs beta_start, beta_end and beta_schedule.")
        if self.config["shift"] != 1 or self.config["use_dynamic_shifting"]:
            raise ValueError("shift belongs to flow networks; this one has a noise schedule.")
        return NoiseSchedule.from_config(self.config)

    def _grid(
        self,
        count: int,
        sigmas: Sequence[float] | None,
        timesteps: Sequence[float] | None,
        mu: float | None,
    ) -> list[float]:
        """Rising times that end with 1."""
        if timesteps is not None and self._schedule is not None:
            steps = np.arange(len(self._schedule.times))
            return [*np.interp(timesteps, steps, self._schedule.times).tolist(), 1.0]
        if timesteps is not None:
            total = self.config["num_train_timesteps"]
            return [*(1 - float(np.float32(v / total)) for v in timesteps), 1.0]
        if self._schedule is not None:
            if sigmas is None:
                return self._schedule.grid(count, self.config["spacing"])
            return [*(1 - float(s) for s in sigmas), 1.0]
        even = np.linspace(1.0, 1 / count, count) if sigmas is None else np.asarray(sigmas)
        shifted = self._shifted(even.astype(np.float32), mu)
        return [*(1 - float(s) for s in shifted.astype(np.float32)), 1.0]

    def _shifted(self, sigmas: Any, mu: float | None) -> Any:
        """sigma' = s sigma / (1 + (s - 1) sigma) (math.md 0), or by mu with use_dynamic_shifting."""
        if not self.config["use_dynamic_shifting"]:
            shift = self.config["shift"]
            return shift * sigmas / (1 + (shift - 1) * sigmas)
        if mu is None:
            raise ValueError("mu: expected a number, for use_dynamic_shifting is on.")
        weight = exp(mu) if self.config["time_shift_type"] == "exponential" else mu
        return weight / (weight + (1 / sigmas - 1))

    def _lay_out(self, times: list[float], queries: list[Query], device: str | torch.device | None) -> None:
        """Show a grid and its network calls as `sigmas`, `timesteps` and `order`, and forget any run."""
        self._times, self._queries = times, queries
        self.order = -(-len(queries) // (len(times) - 1))
        self.sigmas = torch.tensor([1 - t for t in times], dtype=torch.float64).float()
        if self._schedule is None:
            called = torch.tensor([1 - q.t for q in queries], dtype=torch.float64).float()
            called = called * float(self.config["num_train_timesteps"])
        else:
            called = torch.tensor([self._schedule.index(q.t) for q in queries], dtype=torch.float32)
        self.timesteps = called if device is None else called.to(device)
        self._lookup: list[float] = called.tolist()
        self._run = self._handed = self._index = self._begin_index = None

    def _place(self, timestep: float | Tensor | None) -> int:
        """The entry of `timesteps` that is due."""
        if self._index is not None:
            return self._index
        if self._begin_index is not None:
            return self._begin_index
        return 0 if timestep is None else self._nearest(float(timestep))

    def _nearest(self, timestep: float) -> int:
        """The entry of `timesteps` nearest to a value; rounding on the way does no harm."""
        return min(range(len(self._lookup)), key=lambda i: abs(self._lookup[i] - timestep))

    def _velocity(self, output: Tensor, state: Tensor, t: float) -> Tensor:
        if self._schedule is None:
            return -output
        return velocity_from_prediction(state, output, t, self._prediction)
