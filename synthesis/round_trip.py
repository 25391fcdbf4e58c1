"""Back along the flow and forth again: what the methods share that change an image on the way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synthesis.drift import NO_DRIFT, Drift
from synthesis.editing import Edit, counted
from synthesis.inversion import beside_drift, drifted_start, renewed
from synthesis.stepping import OnSamplerStep, SamplerStep, Velocity

Path = list[tuple[float, Tensor]]


@dataclass(frozen=True, kw_only=True)
class RoundTripOptions:
    """strength: how far back, 1 to the noise itself. steps: each way. contrast: how strongly the change is
    asked for. confined: only the edit's region is led elsewhere. blend: outside the region the path of the
    image itself is kept. variety: share of the noise in the region drawn anew. drift: moves the state that
    the way forth starts from, and its steps; of the drift that a network was trained with its velocity is
    free already (`synthesis.networks.Network`). tolerance: of each step back, root mean square.
    """

    strength: float
    steps: int = 8
    contrast: float = 1.0
    confined: bool = True
    blend: bool = False
    variety: float = 0.0
    drift: Drift = NO_DRIFT
    tolerance: float


def turning_time(edit: Edit, options: RoundTripOptions) -> float:
    """The time at which the way back ends; 1 where there is no way to go."""
    return max(edit.start, 1 - options.strength)


def both_ways(on_step: OnSamplerStep | None, steps: int) -> tuple[OnSamplerStep | None, OnSamplerStep | None]:
    """Who hears of the way back, which takes half of the reports, and of the way forth."""
    back, forth = (counted(on_step, done=done, total=2 * steps) for done in (0, steps))
    return back, forth


def weight_of(edit: Edit, options: RoundTripOptions) -> Tensor:
    """r [B, 1, ...]: the edit's region where the change is confined, else 1."""
    return edit.region if options.confined else torch.ones_like(edit.region)


def pulled(before: Velocity, after: Velocity, weight: Tensor) -> Velocity:
    """v_before + w (v_after - v_before); `after` itself where the weight w is 1 everywhere."""
    if after is before or bool((weight == 1).all()):
        return after

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        v = before(x, t)
        return v + weight * (after(x, t) - v)

    return velocity


def first_state(velocity: Velocity, edit: Edit, path: Path, options: RoundTripOptions) -> Tensor:
    """Where the way forth starts: the end of the way back, its noise renewed and moved by the drift."""
    begin, x = path[0]
    if options.variety:
        x = renewed(velocity, x, begin, options.variety * edit.region, edit.generator)
    return drifted_start(x, begin, options.drift)


def kept_outside(x: Tensor, own: Tensor, t: float, edit: Edit, options: RoundTripOptions) -> Tensor:
    """x_t with the image's `own` state outside the region, where that is to be kept."""
    if not options.blend:
        return x
    own = beside_drift(own, t, options.drift)
    return own + edit.region * (x - own)


def report(on_step: OnSamplerStep | None, times: list[float], t: float, x: Tensor, estimate: Tensor) -> None:
    """Tell of the step that ends at t, unless it was a half of one."""
    if on_step is not None and t in times:
        on_step(SamplerStep(times.index(t), len(times) - 1, t, x, estimate))
