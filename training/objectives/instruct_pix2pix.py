"""InstructPix2Pix (Brooks et al., CVPR 2023): the flow's error of a network that sees the image before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from synthesis.paths import interpolate, time_like
from training.data import without
from training.flow_path import (
    draw_noise,
    draw_times,
    drifted_noise,
    native_weights,
    plain,
    start_of,
    weighted_error,
)

if TYPE_CHECKING:
    from training.data import Batch
    from training.recipe import InstructPix2PixSettings
    from training.run_state import RunState


def instruct_pix2pix(
    network: nn.Module,
    batch: Batch,
    settings: InstructPix2PixSettings,
    generator: torch.Generator,
    state: RunState | None = None,
) -> Tensor:
    """E w(t) |v(x_t, t, c, I) - (x_1 - n)|^2, I the image before and x_1 the one after, n ~ N(delta, I).

    With p = settings.dropout and u even in 0..1 the condition is not told where u < 2 p and the image not
    shown (zeros stand for it) where p <= u < 3 p, so that both guidances have something to start from.
    delta is the run's drift. Noise, times and u come from `generator`, so a step can be repeated exactly.
    """
    if batch.source is None:
        raise ValueError("source: expected pairs of images, got single ones (training/pairs.py)")
    inner: Any = plain(network)
    x_1 = batch.images
    e = draw_noise(x_1, generator)
    t = draw_times(x_1.shape[0], settings, generator, start_of(network)).to(x_1.device)
    n = drifted_noise(e, t, network, state)
    u, p = torch.rand(x_1.shape[0], generator=generator), settings.dropout
    condition = without(inner, batch.condition, u < 2 * p)
    seen = ((u < p) | (u >= 3 * p)).to(x_1.device)
    source = inner.shown(batch.source) * time_like(seen.to(x_1.dtype), x_1)
    v = network(interpolate(n, x_1, t), t, *condition, source=source)
    left = (1 - t) ** 2
    weights = left / (left + settings.late**2) if settings.late else torch.ones_like(t)
    if settings.loss_on == "native":
        weights = weights * native_weights(t, network)
    return weighted_error(v, x_1 - n, batch.labels, settings, weights)
