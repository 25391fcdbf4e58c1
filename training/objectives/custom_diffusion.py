"""Custom Diffusion (Kumari et al., CVPR 2023): a new word, and what the image reads of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from training.flow_path import flow_loss
from training.tokens import spoken

if TYPE_CHECKING:
    from training.data import Batch
    from training.recipe import CustomDiffusionSettings
    from training.run_state import RunState


def custom_diffusion(
    network: nn.Module,
    batch: Batch,
    settings: CustomDiffusionSettings,
    generator: torch.Generator,
    state: RunState | None = None,
) -> Tensor:
    """L_flow over the new word's vector and the keys and values of the attention to words (`attn2`).

    With weight_prior above 0 the flow's error on images that the network drew itself is added, as in
    DreamBooth; the paper takes images of the same kind there. What trains is decided by
    `training.backbones.starting_backbone`. Raises ValueError where the batch lacks words or those images.
    """
    loss = flow_loss(network, spoken(network, batch), settings, generator, state)
    if not settings.weight_prior:
        return loss
    if batch.prior is None:
        raise ValueError("prior: expected images that the network drew itself (training/prior.py), got none")
    return loss + settings.weight_prior * flow_loss(
        network, spoken(network, batch.prior), settings, generator, state
    )
