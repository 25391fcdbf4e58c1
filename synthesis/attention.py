"""Where a U-Net that is told words looks while it draws: its cross-attention maps, seen beside its answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn


def cross_attentions(trunk: nn.Module) -> list[Attention]:
    """The layers of a network in which pixels look at the words of a prompt, as it lists them."""
    return [part for part in trunk.modules() if isinstance(part, Attention) and part.is_cross_attention]


@contextmanager
def watched(trunk: nn.Module) -> Iterator[list[Tensor]]:
    """Fill a list with the maps [B, heads, pixels, words] of every call that is made of `trunk` meanwhile.

    M = softmax(Q K^T / sqrt(d)), one map per cross-attention layer in the order in which they work. They
    are computed beside the network's own attention, which stays fused and answers bit for bit what it
    always does. They carry gradients where those are taken.
    """
    maps: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(partial(_look, maps), with_kwargs=True)
        for layer in cross_attentions(trunk)
    ]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def attention_distance(maps: Sequence[Tensor], reference: Sequence[Tensor]) -> Tensor:
    """sum |M - M_ref|^2 over layers, pixels and words, the mean over each layer's heads: [B] float32.

    Parmar et al., SIGGRAPH 2023, section 3.3. Raises ValueError where the maps are not of the same layers.
    """
    if not maps or [one.shape for one in maps] != [one.shape for one in reference]:
        raise ValueError(f"maps: expected those of the same layers, got {len(maps)} and {len(reference)}.")
    apart = [
        (one.float() - other.float()).square().sum((2, 3)).mean(1)
        for one, other in zip(maps, reference, strict=True)
    ]
    return torch.stack(apart).sum(0)


def _look(maps: list[Tensor], layer: Attention, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Add the map of one layer's call to the list."""
    pixels: Tensor = args[0] if args else kwargs["hidden_states"]
    words = args[1] if len(args) > 1 else kwargs.get("encoder_hidden_states")
    if words is None:
        return
    if layer.norm_cross:
        words = layer.norm_encoder_hidden_states(words)
    query = layer.head_to_batch_dim(layer.to_q(pixels))
    key = layer.head_to_batch_dim(layer.to_k(words))
    scores: Tensor = layer.get_attention_scores(query, key)
    maps.append(scores.reshape(len(pixels), layer.heads, *scores.shape[1:]))
