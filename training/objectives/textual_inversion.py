"""Textual Inversion (Gal et al., ICLR 2023): the flow's error, by which nothing learns but a new word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from training.flow_path import flow_loss
from training.tokens import spoken

if TYPE_CHECKING:
    from training.data import Batch
    from training.recipe import TextualInversionSettings
    from training.run_state import RunState


def textual_inversion(
    network: nn.Module,
    batch: Batch,
    settings: TextualInversionSettings,
    generator: torch.Generator,
    state: RunState | None = None,
) -> Tensor:
    """min over the word's vector of E w |v(x_t, t, c(vector)) - (x_1 - n)|^2, the network as it is.

    The prompts c go through the frozen text encoder with a gradient (`spoken`). What trains is decided by
    `training.backbones.starting_backbone`. Raises ValueError where the batch has no words.
    """
    return flow_loss(network, spoken(network, batch), settings, generator, state)
