"""Rectified flow: the squared error of the velocity (math.md section 0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from training.flow_path import flow_loss

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
    """E w |v(x_t, t, c) - (x_1 - n)|^2 with x_t = (1 - t) n + t x_1, n ~ N(delta, I); and stage 1's terms.

    p = 2 on purpose: only the squared error makes v a conditional mean, on which every identity of
    math.md section 1 rests. The weights w depend on the place alone, which leaves that optimum
    where it is. settings.weight_l2 and weight_ssim add the terms of the expected image (`path_loss`).
    delta is the run's drift, 0 without one. Noise and times come from `generator`, so a step can be
    repeated exactly.
    """
    return flow_loss(network, batch, settings, generator, state)
