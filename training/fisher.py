"""How much each weight matters to what a network knows: the diagonal Fisher information (math.md section 6).

    per sample   F = E_i[(d l_i / d theta)^2]                  the loss's own gradients, one sample at a time
    label-free   F = E_r[(d (r . v_theta) / d theta)^2]        r ~ N(0, I): the diagonal of E[J' J]

The square of a batch's mean gradient is neither: it is smaller by about the batch's size. For a
regression the label-free one is preferred: it does not fade where the network fits its data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from synthesis.errors import SynthesisError

Fisher = Mapping[str, Tensor]

SELECTIONS = ("unfreeze_top", "freeze_top")


def fisher_per_sample(network: nn.Module, losses: Iterable[Callable[[], Tensor]]) -> dict[str, Tensor]:
    """F from the loss of each sample by itself; `losses` compute one scalar each with `network`."""
    total, count = _nothing(network), 0
    for loss in losses:
        _add_square(total, network, loss())
        count += 1
    return _mean(total, count)


def fisher_label_free(
    network: nn.Module, outputs: Iterable[Callable[[], Tensor]], generator: torch.Generator
) -> dict[str, Tensor]:
    """F from random projections of outputs [B, ...], each item of which counts as one sample.

    One draw r per item: in the square of the summed gradient the cross terms between items, like
    those between outputs, have mean zero, so a batch costs one backward pass.
    """
    total, count = _nothing(network), 0
    for output in outputs:
        v = output()
        r = torch.randn(v.shape, generator=generator).to(v.device, v.dtype)
        _add_square(total, network, (r * v).sum())
        count += v.shape[0]
    return _mean(total, count)


def ranked(fisher: Fisher) -> list[str]:
    """The names of the tensors by their mean F, the most important first."""
    return sorted(fisher, key=lambda name: (-float(fisher[name].double().mean()), name))


def selected(fisher: Fisher, selection: str, share: float) -> set[str]:
    """The tensors that shall train: "unfreeze_top" the leading share of the ranking, "freeze_top" the rest.

    The share is of tensors, rounded to the nearest whole number. Raises ValueError for another word
    or a share outside 0..1.
    """
    if selection not in SELECTIONS:
        raise ValueError(f"selection: expected one of {', '.join(SELECTIONS)}, got {selection}.")
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected 0 to 1, got {share}.")
    order = ranked(fisher)
    top = round(share * len(order))
    return set(order[:top] if selection == "unfreeze_top" else order[top:])


def train_only(network: nn.Module, names: set[str]) -> None:
    """Let these tensors train and freeze all others; ValueError that names a tensor that is not there."""
    known = dict(network.named_parameters())
    strange = sorted(names - set(known))
    if strange:
        raise ValueError(f"The network has no {', '.join(strange)}.")
    for name, weight in known.items():
        weight.requires_grad_(name in names)
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.register_forward_pre_hook(_ask_for_gradient)


def _ask_for_gradient(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Let a norm that trains on the answers of frozen layers find a gradient for its input too.

    torch 2.13 on a CPU ends the whole process where GroupNorm has to do without, in channels_last.
    """
    x = inputs[0]
    trains = torch.is_grad_enabled() and any(weight.requires_grad for weight in module.parameters())
    return (x.detach().requires_grad_(), *inputs[1:]) if trains and not x.requires_grad else inputs


def save_fisher(path: Path, fisher: Fisher) -> None:
    """Write F as one safetensors file."""
    save_file({name: values.detach().float().cpu().contiguous() for name, values in fisher.items()}, path)


def load_fisher(path: Path) -> dict[str, Tensor]:
    """Read F; SynthesisError where there is none."""
    try:
        return load_file(path)
    except (FileNotFoundError, SafetensorError):
        raise SynthesisError(f"There is no Fisher information at {path}.") from None


def _nothing(network: nn.Module) -> dict[str, Tensor]:
    return {name: torch.zeros_like(w) for name, w in network.named_parameters() if w.requires_grad}


def _add_square(total: dict[str, Tensor], network: nn.Module, scalar: Tensor) -> None:
    weights = dict(network.named_parameters())
    gradients = torch.autograd.grad(scalar, [weights[name] for name in total], allow_unused=True)
    for name, gradient in zip(total, gradients, strict=True):
        if gradient is not None:
            total[name] += gradient.detach() ** 2


def _mean(total: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    if count == 0:
        raise ValueError("Fisher information needs at least one sample.")
    return {name: values / count for name, values in total.items()}
