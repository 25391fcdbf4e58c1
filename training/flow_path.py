"""What the objectives share: where on the flow's path to learn, and how errors there are weighed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from training.recipe import FlowSettings


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


def weighted_error(v: Tensor, target: Tensor, labels: Tensor, settings: FlowSettings) -> Tensor:
    """sum w |v - target|^2 / sum w, with the weights of the regions that `labels` [B, H, W] name."""
    weights = region_weights(labels, settings)
    return (weights * (v.float() - target) ** 2).sum() / weights.sum()
