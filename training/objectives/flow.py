"""Rectified flow: the squared error of the velocity (math.md section 0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from synthesis.paths import interpolate
from training.flow_path import draw_noise, draw_times, drifted_noise, path_loss, start_of

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
    x_1 = batch.images
    e = draw_noise(x_1, generator)
    t = draw_times(x_1.shape[0], settings, generator, start_of(network)).to(x_1.device)
    n = drifted_noise(e, t, network, state)
    x_t = interpolate(n, x_1, t)
    v = network(x_t, t, *batch.condition)
    return path_loss(v, x_t, t, (n, x_1), batch.labels, settings, network)
