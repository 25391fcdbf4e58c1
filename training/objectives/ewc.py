"""Flow with elastic weight consolidation: learn the new without losing the old (Kirkpatrick et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from synthesis.paths import interpolate
from training.fisher import load_fisher
from training.flow_path import draw_noise, draw_times, drifted_noise, path_loss, plain, start_of

if TYPE_CHECKING:
    from training.data import Batch
    from training.recipe import EwcSettings
    from training.run_state import RunState


def ewc(
    network: nn.Module,
    batch: Batch,
    settings: EwcSettings,
    generator: torch.Generator,
    state: RunState,
) -> Tensor:
    """L + (lambda / 2) sum_i F_i (theta_i - theta*_i)^2, L the flow with stage 1's terms (math.md section 6).

    theta* are the weights of the recipe's `init_from`, which the run keeps as its origin, and F is
    read from settings.fisher, as `training.fisher` writes it. Raises ValueError without an origin.
    """
    if state.origin is None:
        raise ValueError("ewc: expected the network of init_from as the run's origin, got none")
    anchor = dict(plain(state.origin).named_parameters())
    x_1 = batch.images
    e = draw_noise(x_1, generator)
    t = draw_times(x_1.shape[0], settings, generator, start_of(network)).to(x_1.device)
    n = drifted_noise(e, t, network, state)
    x_t = interpolate(n, x_1, t)
    v = network(x_t, t, *batch.condition)
    learned = path_loss(v, x_t, t, (n, x_1), batch.labels, settings, network)
    kept = penalty(plain(network), anchor, _fisher(settings.fisher))
    return learned + settings.strength * kept


def penalty(network: nn.Module, anchor: Mapping[str, Tensor], fisher: Mapping[str, Tensor]) -> Tensor:
    """(1 / 2) sum_i F_i (theta_i - theta*_i)^2 over the tensors that F knows and that train.

    Raises ValueError that names a tensor of F which the network or the anchor does not have.
    """
    weights = dict(network.named_parameters())
    strange = sorted(name for name in fisher if name not in weights or name not in anchor)
    if strange:
        raise ValueError(f"The Fisher information does not fit the network: {', '.join(strange)}.")
    terms = [
        (values.to(weights[name].device) * (weights[name] - anchor[name].detach()) ** 2).sum()
        for name, values in fisher.items()
        if weights[name].requires_grad
    ]
    return sum(terms, torch.zeros(())) / 2 if terms else torch.zeros(())


@lru_cache(maxsize=1)
def _fisher(path: str) -> Mapping[str, Tensor]:
    return load_fisher(Path(path))
