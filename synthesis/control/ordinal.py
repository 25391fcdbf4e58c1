"""Severity as a place on a scale: what words of a prompt cannot say between two grades."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from synthesis.request import SEVERITIES

HIGHEST = len(SEVERITIES) - 1


class OrdinalEmbedding(nn.Module):
    """A level 0..HIGHEST, whole numbers being the grades, as a vector that is added to every token.

    The level, with its sine and cosine at half a turn over the scale (slow, so that what was learned at
    the grades alone holds between them), then two layers, the last of which starts at zero: fresh, it
    adds nothing. A level of NaN is not stated and adds nothing either.
    """

    def __init__(self, width: int, *, hidden: int = 256) -> None:
        super().__init__()
        self.enter = nn.Linear(3, hidden)
        self.leave = nn.Linear(hidden, width)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, level: Tensor) -> Tensor:
        """level [B] -> [B, width] in the type of the weights."""
        known = torch.isfinite(level)
        share = torch.where(known, level, torch.zeros_like(level)).float() / HIGHEST  # [B]
        angle = math.pi * share
        features = torch.stack([share, angle.sin(), angle.cos()], dim=1)  # [B, 3]
        added: Tensor = self.leave(nn.functional.silu(self.enter(features.to(self.enter.weight.dtype))))
        return added * known[:, None].to(added.dtype)
