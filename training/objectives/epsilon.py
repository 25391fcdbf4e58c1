"""Plain diffusion: the squared error of the noise on a variance-preserving schedule (Ho et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from synthesis.paths import time_like
from training.flow_path import draw_noise, weighted_error

if TYPE_CHECKING:
    from training.data import Batch
    from training.recipe import EpsilonSettings
    from training.run_state import RunState


def epsilon(
    network: nn.Module,
    batch: Batch,
    settings: EpsilonSettings,
    generator: torch.Generator,
    state: RunState | None = None,
) -> Tensor:
    """E w |eps(y_k, k / T, c) - n|^2 with y_k = sqrt(A_k) x_1 + sqrt(1 - A_k) n, k even in 0..T-1.

    The network is told the training step as k / T and sees the VP state y, as
    `synthesis.variance_preserving` hands it on when such a network is run as a flow. Noise and
    steps come from `generator`, so a step can be repeated exactly. Under the run's drift n ~ N(mu, I) with
    mu = delta, or (1 - sqrt(A)) / sqrt(1 - A) delta under the scheme `prior` (synthesis/drift.py).
    """
    x_1 = batch.images
    alpha_bars = torch.from_numpy(settings.schedule.alpha_bars)
    e = draw_noise(x_1, generator)
    k = torch.randint(0, len(alpha_bars), (x_1.shape[0],), generator=generator)
    a = time_like(alpha_bars[k].float().to(x_1.device), x_1)
    n = e
    if state is not None and state.drift:
        times = torch.from_numpy(settings.schedule.times)[k].float().to(x_1.device)
        n = e + state.drift.noise_mean(e, times, preserving=True)
    y = torch.as_tensor(a).sqrt() * x_1 + torch.as_tensor(1 - a).sqrt() * n
    t = (k / len(alpha_bars)).float().to(x_1.device)
    return weighted_error(network(y, t, *batch.condition), n, batch.labels, settings)
