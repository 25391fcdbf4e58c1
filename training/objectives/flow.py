"""Rectified flow: the squared error of the velocity (math.md section 0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from synthesis.paths import interpolate
from training.flow_path import draw_times, weighted_error

if TYPE_CHECKING:
    from training.data import Batch
    from training.recipe import FlowSettings
    from training.run_state import RunState


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
    return weighted_error(v, x_1 - n, batch.labels, settings)
