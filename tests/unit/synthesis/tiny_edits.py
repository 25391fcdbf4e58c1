"""An edit as `synthesis.edit.prepare` makes it, of random states of a network that is told words."""

from __future__ import annotations

import numpy as np
import torch

from synthesis.control.captions import captions_of
from synthesis.editing import Edit
from synthesis.latents import LatentNetwork
from synthesis.phantoms import labels as L
from synthesis.request import Condition

NONE = Condition(modality="CT", severity="none", age=40, sex="F")
SEVERE = Condition(modality="CT", severity="severe", age=40, sex="F")


def told_edit(
    network: LatentNetwork, before: Condition = NONE, after: Condition = SEVERE, batch: int = 1
) -> Edit:
    """States [B, 4, 8, 8] of a network that is told words; the upper half is the region."""
    labels = np.full((batch, 16, 16), L.FAT, np.uint8)
    labels[:, 4:12, 4:12] = L.LIVER
    x = torch.randn(batch, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    region = torch.zeros(batch, 1, 8, 8)
    region[:, :, :4] = 1
    return Edit(
        x=x,
        before=_still,
        after=_still,
        region=region,
        start=network.start,
        generator=[torch.Generator().manual_seed(seed) for seed in range(batch)],
        network=network,
        told=tuple(network.condition(labels, [before] * batch)),
        told_after=tuple(network.condition(labels, [after] * batch)),
        said=(captions_of(before),) * batch,
        said_after=(captions_of(after),) * batch,
    )


def _still(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """A method that looks inside the network takes its velocities from there."""
    return torch.zeros_like(x)
