"""Flow with a region-specific contrastive loss for small lesions (MAISI-v2, AAAI 2026; math.md section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthesis.control.painting import without_lesions
from synthesis.paths import interpolate, time_like
from synthesis.phantoms.labels import LESION
from training.flow_path import draw_noise, draw_times, drifted_noise, region_weights, shrink_mask

if TYPE_CHECKING:
    from training.data import Batch
    from training.recipe import RegionContrastSettings
    from training.run_state import RunState

EPSILON = 1e-6


def region_contrast(
    network: nn.Module,
    batch: Batch,
    settings: RegionContrastSettings,
    generator: torch.Generator,
    state: RunState,
) -> Tensor:
    """L_flow + lambda (L_roi + L_bg): answers shall differ in a lesion, and only there, if it is taken away.

    G_o and G_p are the network's answers for the same x_1, n and t under the mask c_o and under
    c_p, in which lesions are liver. L_flow weighs lesions by `region_weights`; lambda is
    settings.weight in the first half of the run, weight_late in the second. With
    settings.on = "image" G is the posterior mean x + (1 - t) v instead of the velocity.
    """
    x_1 = batch.images
    e = draw_noise(x_1, generator)
    t = draw_times(x_1.shape[0], settings, generator).to(x_1.device)
    n = drifted_noise(e, t, network, state)
    x_t, target = interpolate(n, x_1, t), x_1 - n
    v_o = network(x_t, t, *batch.condition).float()
    weights = region_weights(batch.labels, settings, (v_o.shape[2], v_o.shape[3]))
    flow = (weights * (v_o - target).abs() ** settings.power).sum() / (weights.sum() * v_o.shape[1])
    strength = settings.weight if state.progress < 0.5 else settings.weight_late
    if strength == 0:
        return flow
    region = shrink_mask(batch.condition.planes[:, LESION : LESION + 1], (v_o.shape[2], v_o.shape[3]))
    some = region.flatten(1).any(1)  # without a lesion given, c_p = c_o and G_p = G_o
    v_p = v_o.clone()
    if some.any():
        condition = without_lesions(batch.condition).select(some)
        v_p[some] = network(x_t[some], t[some], *condition).float()
    scale = time_like(1 - t, x_1) if settings.on == "image" else torch.ones((), device=x_1.device)
    truth = target if settings.background == "released" else v_o
    roi = roi_loss(scale * v_o, scale * v_p, region, settings.delta)
    background = background_loss(scale * truth, scale * v_p, region, settings.dilate)
    return cast("Tensor", flow + strength * (roi + background))


def roi_loss(g_o: Tensor, g_p: Tensor, region: Tensor, delta: float) -> Tensor:
    """Mean over items of -min(D, delta) = relu(delta - D) - delta, D the mean |G_o - G_p| in the region.

    g [B, C, ...], region [B, 1, ...] of 0 and 1. Where the region is empty D is 0, and so is the loss.
    """
    area = region.flatten(1).sum(1)
    apart = ((g_o - g_p).abs() * region).flatten(1).sum(1) / (g_o.shape[1] * area + EPSILON)
    return (F.relu(delta - apart) - delta).mean()


def background_loss(g_o: Tensor, g_p: Tensor, region: Tensor, dilate: int = 3) -> Tensor:
    """Mean over items of the mean |G_o - G_p| outside the region grown by a square of `dilate` pixels.

    The paper's form; the released code has the true velocity in the place of G_o.
    """
    grown = F.max_pool2d(region, dilate, stride=1, padding=dilate // 2)
    outside = 1 - grown
    area = outside.flatten(1).sum(1) * g_o.shape[1]
    return (((g_o - g_p).abs() * outside).flatten(1).sum(1) / area.clamp(min=1)).mean()
