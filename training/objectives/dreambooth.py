"""DreamBooth (Ruiz et al., CVPR 2023): learn the new, and keep drawing the old as before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from training.flow_path import flow_loss

if TYPE_CHECKING:
    from training.data import Batch
    from training.recipe import DreamBoothSettings
    from training.run_state import RunState


def dreambooth(
    network: nn.Module,
    batch: Batch,
    settings: DreamBoothSettings,
    generator: torch.Generator,
    state: RunState | None = None,
) -> Tensor:
    """L_flow(new images) + weight_prior L_flow(images that the network drew itself before the first step).

    The second term is the paper's class-specific prior preservation (equation 2, lambda = weight_prior):
    its prompts are those of the first without the token. Noise and times of both come from `generator`,
    the new images' first. Raises ValueError where the batch has no images of the network's own.
    """
    if batch.prior is None:
        raise ValueError("prior: expected images that the network drew itself (training/prior.py), got none")
    learned = flow_loss(network, batch, settings, generator, state)
    return learned + settings.weight_prior * flow_loss(network, batch.prior, settings, generator, state)
