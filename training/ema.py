"""An exponential moving average of the weights whose memory grows with the run."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


class PowerEma:
    """Weights averaged with the power-law profile of Karras et al. 2024 (EDM2, section 3.1).

    After step n the average moves by beta = (1 - 1/n)^(exponent + 1): the memory is a constant
    share of the run so far (exponent 12: about 7 %), so a short run and a long one need no
    different setting and the start is forgotten on its own. `network` is a copy that carries the
    averaged weights: the teacher of objectives that learn from themselves. With `trained_only` there is
    no such copy, and nothing is kept of the weights that do not train.
    """

    def __init__(self, network: nn.Module, exponent: float, *, trained_only: bool = False) -> None:
        self.exponent = exponent
        self.network = None if trained_only else deepcopy(network).requires_grad_(False)
        self.weights: dict[str, Tensor]
        if self.network is None:
            self.weights = {name: w.detach().clone() for name, w in trained_weights(network).items()}
        else:
            self.weights = self.network.state_dict()  # the same storage

    def to(self, device: torch.device) -> None:
        """Move the average to a device."""
        if self.network is None:
            self.weights = {name: weight.to(device) for name, weight in self.weights.items()}
        else:
            self.network.to(device)
            self.weights = self.network.state_dict()

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after `step` (counted from 1)."""
        beta = (1 - 1 / step) ** (self.exponent + 1)
        current = trained_weights(network) if self.network is None else network.state_dict()
        names = list(self.weights)
        torch._foreach_lerp_([self.weights[n] for n in names], [current[n] for n in names], 1 - beta)

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged weights, by name."""
        return self.weights

    def load_state_dict(self, weights: dict[str, Tensor]) -> None:
        """Continue from averaged weights that were saved; the names must be the same."""
        if set(weights) != set(self.weights):
            raise ValueError("the saved average belongs to another network")
        for name, tensor in weights.items():
            self.weights[name].copy_(tensor)


def trained_weights(network: nn.Module) -> dict[str, Tensor]:
    """The weights that train, by name."""
    return {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
