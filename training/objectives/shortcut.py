"""Shortcut self-distillation: long steps learn from two half steps (Frans et al. 2024, math.md section 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthesis.checkpoints import shifted_grid
from synthesis.paths import interpolate, time_like
from training.flow_path import draw_noise, draw_times, drifted_noise, region_weights

if TYPE_CHECKING:
    from training.data import Batch
    from training.recipe import ShortcutSettings
    from training.run_state import RunState

Velocity = Callable[..., Tensor]  # v(x, t), or u(x, t, span) over a step; times [B]


class Steps(NamedTuple):
    """Steps from `start` over `middle` to `end`, [B] each; the `finest` learn from the velocity."""

    start: Tensor
    middle: Tensor
    end: Tensor
    finest: Tensor

    def only(self, which: Tensor) -> Steps:
        """The steps at these places."""
        return Steps(*(part[which] for part in self))


def shortcut(
    network: nn.Module,
    batch: Batch,
    settings: ShortcutSettings,
    generator: torch.Generator,
    state: RunState,
) -> Tensor:
    """E w |u(x_t, t, s) - target|^2: the velocity on the first items of the batch, long steps on the rest.

    Long steps start on the path, at the grid's times, and learn from two half steps of the averaged network
    (`halves_target`), the finest from the velocity (`midpoint_target`). The velocity (span 0) has
    the flow's own target x_1 - n; with an origin, a trained flow that stays as it is, the
    velocity and the finest steps learn from that instead, whose answers carry no noise. No
    gradient flows through targets. Weights, noise and times as in the flow objective;
    `settings.coarse` adds `coarse_error`, `settings.balanced` lets every item count alike (`balance`).
    """
    if state.average is None:
        raise ValueError("shortcut: expected the averaged network in the run's state, got none")
    average, origin = state.average, state.origin
    x_1 = batch.images
    plain = round(settings.flow_share * x_1.shape[0])
    e = draw_noise(x_1, generator)
    times = draw_times(plain, settings, generator)
    steps = Steps(*(s.to(x_1.device) for s in draw_steps(x_1.shape[0] - plain, settings, generator)))
    t = torch.cat([times.to(x_1.device), steps.start])
    span = torch.cat([torch.zeros(plain, device=x_1.device), steps.end - steps.start])
    n = drifted_noise(e, t, network, state)
    x_t = interpolate(n, x_1, t)

    def ask(teacher: nn.Module, which: Tensor) -> Velocity:
        condition = [part[which] for part in batch.condition]
        return lambda x, *when: teacher(x, *when[:1], *condition, *when[1:]).to(x_1.dtype)

    items = torch.arange(x_1.shape[0], device=x_1.device)
    fine, long = items[plain:][steps.finest], items[plain:][~steps.finest]
    target = x_1 - n
    with torch.no_grad():
        if origin is not None and plain:
            target[:plain] = ask(origin, items[:plain])(x_t[:plain], t[:plain])
        if len(fine):
            velocity = ask(origin or average, fine)
            target[fine] = midpoint_target(velocity, x_t[fine], steps.only(steps.finest))
        if len(long):
            target[long] = halves_target(ask(average, long), x_t[long], steps.only(~steps.finest))
    u = network(x_t, t, *batch.condition, span)
    weights = region_weights(batch.labels, settings, (u.shape[2], u.shape[3])).expand_as(u)
    error = u.to(x_1.dtype) - target
    if not settings.balanced:
        return mean_error(error, weights, settings.coarse)
    pairs = zip(error.split(1), weights.split(1), strict=True)
    return balance(torch.stack([mean_error(e, w, settings.coarse) for e, w in pairs]))


def mean_error(error: Tensor, weights: Tensor, coarse: float) -> Tensor:
    """The weighted mean square error, and the coarse error so many times."""
    fine = (weights * error**2).sum() / weights.sum()
    return fine + coarse * coarse_error(error, weights) if coarse else fine


def balance(errors: Tensor, floor: float = 1e-3) -> Tensor:
    """Mean of e / (sg(e) + floor) over items [B]: each counts alike, however hard it is.

    The adaptive weight of MeanFlow (Geng et al. 2025, p = 1). A mask that leaves the anatomy open has
    an error a hundred times that of a whole one, and would drown it. Where targets are functions of
    the input this leaves the optimum where it is.
    """
    return (errors / (errors.detach() + floor)).mean()


def halves_target(u: Velocity, x: Tensor, steps: Steps) -> Tensor:
    """The average velocity over each step from those over its halves, u(x, t, span): [B, ...].

    x_m = x + (m - a) u(x, a, m),   u*(x, a, b) = ((m - a) u(x, a, m) + (b - m) u(x_m, m, b)) / (b - a),
    which the average velocity of a flow obeys exactly.
    """
    a, m, b, _ = steps
    first = u(x, a, m - a)
    second = u(x + time_like(m - a, x) * first, m, b - m)
    share = time_like((m - a) / (b - a), x)
    return share * first + (1 - share) * second


def midpoint_target(v: Velocity, x: Tensor, steps: Steps) -> Tensor:
    """The average velocity over each step by the midpoint rule, v(x + (m - a) v(x, a), m): [B, ...]."""
    a, m, _, _ = steps
    return v(x + time_like(m - a, x) * v(x, a), m)


def coarse_error(error: Tensor, weights: Tensor, cell: int = 4) -> Tensor:
    """Mean square of the weighted mean error over cells of `cell` x `cell` pixels; both [B, 1, H, W].

    Noise of long waves is a small part of the squared error of all pixels, and an early distilled
    step gets it wrong by a factor. Like any quadratic form of the error this leaves the optimum,
    the conditional mean, where it is.
    """
    total = F.avg_pool2d(weights, cell)
    mean = F.avg_pool2d(weights * error, cell) / total
    return (total * mean**2).sum() / total.sum()


def draw_steps(count: int, settings: ShortcutSettings, generator: torch.Generator) -> Steps:
    """Steps of 1, 2, 4 ... segments, each length equally often, starting at multiples of themselves.

    A chain of steps of one length thus meets only steps that were learned, and the two halves of a
    step are steps too. The middle of a finest step is halfway in t.
    """
    grid = torch.tensor(shifted_grid(settings.segments, settings.shift))
    levels = settings.segments.bit_length()  # lengths 1, 2, ..., segments
    level = torch.randint(levels, (count,), generator=generator)
    length = 2**level
    place = (torch.rand(count, generator=generator) * (settings.segments // length)).long()
    start, end = place * length, (place + 1) * length
    finest = level == 0
    a, b = grid[start], grid[end]
    middle = torch.where(finest, (a + b) / 2, grid[(start + end) // 2])
    return Steps(a, middle, b, finest)
