"""A sampler driven from outside, one velocity at a time, by replay.

Our samplers call a velocity; elsewhere (the pipelines of diffusers) it is the caller who runs the
network and hands its output in. At each output the sampler runs again from its first state with all
velocities so far, until it asks for one that is not there yet: the state that it asks about is what
the network shall see next. This is exact, for noise comes from seeds kept with the run; beside a
network call it costs nothing; and it leaves every sampler as it is, comparators included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from synthesis.catalog import SAMPLERS
from synthesis.request import SEED_LIMIT
from synthesis.stepping import Generators, OnSamplerStep, SamplerStep, Times, Velocity


@dataclass(frozen=True)
class Query:
    """One network call: at time `t`; `starts` a step, rather than being made within one."""

    t: float
    starts: bool


@dataclass
class Run:
    """A sampler under way: where it began, its noise seeds, one per image, and every velocity so far."""

    x_0: Tensor
    times: Times
    seeds: Sequence[int]
    velocities: list[Tensor] = field(default_factory=list)


class _Awaiting(Exception):
    """The sampler asks for the velocity at `x`, which is yet to be computed."""

    def __init__(self, x: Tensor) -> None:
        self.x = x


class SteppedSampler:
    """A sampler of the catalog, by its name and the fields of its Options.

    Raises ValueError for a sampler or an option that does not exist.
    """

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        if name not in SAMPLERS:
            raise ValueError(f"sampler: expected one of {', '.join(SAMPLERS)}, got {name}.")
        kind = SAMPLERS[name].load_options()
        unknown = sorted(set(options) - {f.name for f in fields(kind)})
        if unknown:
            known = asdict(kind()) or "none"
            raise ValueError(f"options: {name} has no {', '.join(unknown)}; known are {known}.")
        self.name = name
        self.steps: int | None = SAMPLERS[name].steps
        self._sampler = SAMPLERS[name].load()
        self._options = kind(**options)

    def plan(self, times: Times) -> list[Query]:
        """Every network call on this grid, found by sampling one number of nothing."""
        queries: list[Query] = []
        starts = True

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            nonlocal starts
            queries.append(Query(float(t), starts))
            starts = False
            return torch.zeros_like(x)

        def next_step(report: SamplerStep) -> None:
            nonlocal starts
            starts = True

        self._sample(velocity, Run(torch.zeros(1, 1, dtype=torch.float64), times, [0]), next_step)
        return queries

    def advance(self, run: Run, velocity: Tensor) -> Tensor:
        """Hand in the velocity that was asked for; the next state to evaluate, at last the image."""
        run.velocities.append(velocity)
        known = iter(run.velocities)

        def replayed(x: Tensor, t: Tensor) -> Tensor:
            v = next(known, None)
            if v is None:
                raise _Awaiting(x)
            return v

        try:
            return self._sample(replayed, run)
        except _Awaiting as waiting:
            return waiting.x

    def _sample(self, velocity: Velocity, run: Run, on_step: OnSamplerStep | None = None) -> Tensor:
        noise = [torch.Generator().manual_seed(seed) for seed in run.seeds]
        image: Tensor = self._sampler(
            velocity, run.x_0, run.times, options=self._options, on_step=on_step, generator=noise
        )
        return image


def noise_seeds(state: Tensor, generator: Generators = None, place: int = 0) -> list[int]:
    """A noise seed for each image of `state` [B, ...], from generators or else from the state itself.

    A generator is copied, not advanced; each `place` in a schedule reads further on in its stream,
    so that a sampler that starts anew at every step gets new noise each time. Without a generator
    the seed is a digest of the image's state: whatever decided that decides the noise.
    """
    if generator is None:
        digests = [sha256(one.float().contiguous().cpu().numpy().tobytes()).digest() for one in state]
        return [int.from_bytes(digest[:4], "little") for digest in digests]
    if isinstance(generator, torch.Generator):
        return _drawn(generator, place, len(state))
    if len(generator) != len(state):
        raise ValueError(f"generator: expected one per image ({len(state)}), got {len(generator)}.")
    return [_drawn(one, place, 1)[0] for one in generator]


def _drawn(generator: torch.Generator, place: int, count: int) -> list[int]:
    copy = generator.clone_state()
    drawn = torch.randint(SEED_LIMIT, (place + 1, count), generator=copy, device=copy.device)
    return [int(value) for value in drawn[-1]]
