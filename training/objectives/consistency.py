"""Stage 2: adapt a frozen network by LoRA without leaving what it knew (ViCTr; math.md section 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthesis.paths import interpolate, posterior_mean
from training.flow_path import draw_noise, draw_times, drifted_noise, path_loss, start_of, unlikeness

if TYPE_CHECKING:
    from training.data import Batch
    from training.recipe import ConsistencySettings
    from training.run_state import RunState


def consistency(
    network: nn.Module,
    batch: Batch,
    settings: ConsistencySettings,
    generator: torch.Generator,
    state: RunState,
) -> Tensor:
    """L_flow + w_c L_consistency + w_t L_temporal + w_s L_spatial; a weight of 0 leaves its term out.

    L_consistency compares the hidden activations of settings.layers with those of the network as it
    was: the same network with its adapter switched off where it has one (`disable_adapter`, as
    peft's have), else the run's origin. Noise and times come from `generator`. Raises ValueError
    where there is neither an adapter nor an origin, or a layer is not there.
    """
    x_1 = batch.images
    e = draw_noise(x_1, generator)
    t = draw_times(x_1.shape[0], settings, generator, start_of(network)).to(x_1.device)
    later = t + (1 - t) * torch.rand(t.shape, generator=generator).to(x_1.device)
    n = drifted_noise(e, t, network, state)
    x_t = interpolate(n, x_1, t)
    layers = settings.layers if settings.weight_consistency else ()
    with hidden(network, layers) as adapted:
        v = network(x_t, t, *batch.condition).float()
    loss = path_loss(v, x_t, t, (n, x_1), batch.labels, settings, network)
    if settings.weight_consistency:
        base = base_activations(network, state, layers, (x_t, t, *batch.condition))
        loss = loss + settings.weight_consistency * feature_loss(adapted, base)
    if settings.weight_temporal:
        with torch.no_grad():
            x_later = interpolate(drifted_noise(e, later, network, state), x_1, later)
            v_later = network(x_later, later, *batch.condition).float()
        ahead = posterior_mean(x_later, v_later, later)
        loss = loss + settings.weight_temporal * temporal_loss(posterior_mean(x_t, v, t), ahead)
    if settings.weight_spatial:
        estimate = posterior_mean(x_t, v, t)
        loss = loss + settings.weight_spatial * spatial_loss(estimate, x_1, settings.data_range)
    return loss


def feature_loss(adapted: Sequence[Tensor], base: Sequence[Tensor]) -> Tensor:
    """sum over layers of |h_adapted - stop(h_base)|^2 / numel."""
    if len(adapted) != len(base) or not base:
        raise ValueError(f"expected the same layers twice, got {len(adapted)} and {len(base)}.")
    return torch.stack([F.mse_loss(a.float(), b.detach().float()) for a, b in zip(adapted, base)]).sum()


def temporal_loss(estimate: Tensor, later: Tensor) -> Tensor:
    """Mean square of the image expected at t less the image expected at a later t': the latter is held fixed.

    Both lie on one path (same noise, same image). Not zero at the optimum, for a later state knows
    more: 0.0918 for N(.7, .5^2) at .3 and .7; velocities in place of estimates would give 0.4591
    (math.md 6). Hence a small weight.
    """
    return F.mse_loss(estimate, later.detach())


def spatial_loss(estimate: Tensor, x_1: Tensor, data_range: float) -> Tensor:
    """Mean square error of the estimated image plus 1 - SSIM; [B, C, H, W]."""
    return F.mse_loss(estimate, x_1) + unlikeness(estimate, x_1, data_range)


def base_activations(
    network: nn.Module, state: RunState, layers: Sequence[str], inputs: Sequence[Tensor]
) -> list[Tensor]:
    """The activations of the network as it was before its adapter, without a gradient."""
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        plain: Any = getattr(network, "module", network)
        if hasattr(plain, "disable_adapter"):
            stack.enter_context(plain.disable_adapter())
            base = network
        elif state.origin is not None:
            base = state.origin
        else:
            raise ValueError("consistency: expected an adapter or the run's origin, got neither")
        found = stack.enter_context(hidden(base, layers))
        base(*inputs)
    return found


@contextmanager
def hidden(network: nn.Module, layers: Sequence[str]) -> Iterator[list[Tensor]]:
    """The outputs of these layers, in the order in which they are reached while the block runs.

    A name is that of a module or its end ("middle.0" finds "base_model.model.middle.0"). Of several
    outputs the last tensor counts: in the blocks of SD3 and Flux, which answer for text and image, the image.
    """
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        parts = output if isinstance(output, tuple) else (output,)
        found.append([part for part in parts if isinstance(part, Tensor)][-1])

    handles = []
    try:
        for wanted in layers:
            modules = [m for name, m in network.named_modules() if f".{name}".endswith(f".{wanted}")]
            if len(modules) != 1:
                raise ValueError(f"layers: expected one module called {wanted}, found {len(modules)}.")
            handles.append(modules[0].register_forward_hook(keep))
        yield found
    finally:
        for handle in handles:
            handle.remove()
