"""Rectified flow: the squared error of the velocity (math.md section 0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from synthesis.paths import interpolate

if TYPE_CHECKING:
    from training.data import Batch
    from training.objectives.state import RunState
    from training.recipe import FlowSettings


def flow(
    network: nn.Module,
    batch: Batch,
    settings: FlowSettings,
    generator: torch.Generator,
    state: RunState | None = None,
) -> Tensor:
    """E w |v(x_t, t, c) - (x_1 - n)|^2 with x_t = (1 - t) n + t x_1, n ~ N(0, I).

    p = 2 on purpose: only the squared error makes v a conditional mean, on which every identity of
    math.md section 1 rests. The weights w depend on the place alone, which leaves that optimum
    where it is. Noise and times come from `generator`, so a step can be repeated exactly.
    """
    x_1 = batch.images
    n = torch.randn(x_1.shape, generator=generator).to(x_1.device)
    t = draw_times(x_1.shape[0], settings, generator).to(x_1.device)
    v = network(interpolate(n, x_1, t), t, *batch.condition)
    weights = region_weights(batch.labels, settings)
    return (weights * (v.float() - (x_1 - n)) ** 2).sum() / weights.sum()


def draw_times(count: int, settings: FlowSettings, generator: torch.Generator) -> Tensor:
    """Logit-normal times in (0, 1), a share uniform and a share exactly 0 instead: [count].

    Every sampler begins at t = 0, which a logit-normal law never visits: an organ that starts with
    the wrong mean keeps it, for later calls trust what they are given.
    """
    normal = torch.sigmoid(settings.time_mean + settings.time_std * torch.randn(count, generator=generator))
    uniform = torch.rand(count, generator=generator)
    which = torch.rand(count, generator=generator)
    start, even = settings.time_start, settings.time_start + settings.time_uniform
    return torch.where(which < start, torch.zeros(count), torch.where(which < even, uniform, normal))


def region_weights(labels: Tensor, settings: FlowSettings) -> Tensor:
    """[B, H, W] labels to [B, 1, H, W] weights, 1 wherever no weight is set."""
    weights = torch.ones_like(labels, dtype=torch.float32)
    for label, weight in settings.region_weights.items():
        weights[labels == int(label)] = weight
    return weights[:, None]
