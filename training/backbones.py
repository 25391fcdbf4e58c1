"""Networks from elsewhere in training: what of them trains, and the model that comes of it.

Their autoencoder and text encoders never train. What trains is held in float32 (mixed precision computes in
less); everything else may be held in less too, the recipe's `frozen`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from synthesis.adapters import with_adapter
from synthesis.checkpoints import LoadedModel, load_model
from synthesis.components import ENCODERS
from synthesis.latents import LatentNetwork
from synthesis.networks import Network
from training.recipe import Recipe
from training.tokens import new_tokens, with_new_token

TOGETHER = ("ordinal",)  # trains with whatever trains
WORD_ATTENTION = {
    "crossattn_kv": r"\.attn2\.(to_k|to_v)$",
    "crossattn": r"\.attn2\.(to_q|to_k|to_v|to_out)$",
}


def starting_backbone(recipe: Recipe) -> nn.Module:
    """The network of `init_from` with what the recipe trains unfrozen: all of it, what lets the mask in, or
    a fresh adapter.

    To let the mask in, a network that knows no mask gets fresh parts for it, a ControlNet with the
    weights of the network itself as diffusers makes it. Raises ValueError for a network of another family.
    """
    network = backbone_of(load_model(Path(recipe.init_from), dtype=None), recipe)
    network.requires_grad_(False)
    for name in trained_parts(network, recipe.trained):
        network.get_submodule(name).requires_grad_(True)
    for rows in new_tokens(network):
        rows.requires_grad_(True)
    if recipe.gradient_checkpointing:
        enable_checkpointing(network)
    begun: nn.Module = with_adapter(network, recipe.adapter) if recipe.adapter else network
    hold(begun, getattr(torch, recipe.frozen))
    return begun.train()


def backbone_of(model: LoadedModel, recipe: Recipe) -> LatentNetwork:
    """The loaded network, ready to be told of masks or shown an image where the recipe trains that."""
    network: Network = model.network
    image = model.recipe["image"]
    if recipe.adapter and recipe.shape != (int(image["rows"]), int(image["columns"])):
        raise ValueError(
            f"image: an adapter draws as large as its network, {image['rows']} x {image['columns']} pixels, "
            f"not {recipe.shape[0]} x {recipe.shape[1]}"
        )
    if network.name != recipe.family or not isinstance(network, LatentNetwork):
        raise ValueError(f"init_from: expected a {recipe.family}, {recipe.init_from} holds a {network.name}")
    network.use_drift(None)  # the run draws its own noise
    if recipe.is_paired and not network.takes_image:
        network = network.with_image()
    elif recipe.trained == "controlnet" and not network.options.control:
        network = network.with_control()
    network.use_prompts(recipe.prompts)
    if recipe.prompts and recipe.prompts.token_from:
        with_new_token(network, recipe.prompts)
    return network


def trained_parts(network: LatentNetwork, trained: str) -> list[str]:
    """The parts that train where `trained` is "all" or "controlnet", or the layers of the attention to words.

    An "adapter" and new "tokens" bring their own.
    """
    if trained in WORD_ATTENTION:
        layers = (name for name, _ in network.get_submodule(network.trunk).named_modules())
        return [f"{network.trunk}.{name}" for name in layers if re.search(WORD_ATTENTION[trained], name)]
    rest = {network.trunk, "vae", *ENCODERS, *TOGETHER}
    control = [name for name, _ in network.named_children() if name not in rest]
    return {"all": [network.trunk, *control, *TOGETHER], "controlnet": [*control, *TOGETHER]}.get(trained, [])


def enable_checkpointing(network: nn.Module) -> None:
    """Compute activations again on the way back instead of keeping them, wherever a component can."""
    for part in network.children():
        if getattr(part, "_supports_gradient_checkpointing", False):
            cast("Any", part).enable_gradient_checkpointing()


def hold(network: nn.Module, frozen: torch.dtype) -> None:
    """Take weights out of the file they are mapped from: what trains in float32, the rest in `frozen`.

    The autoencoder and the buffers keep their type. Memory of its own makes a run repeatable: where in a
    file a tensor lies may change the last bits of what is computed with it.
    """
    for name, weight in network.named_parameters():
        own = weight.dtype if ".vae." in f".{name}" else frozen
        weight.data = weight.data.to(torch.float32 if weight.requires_grad else own, copy=True)
    for buffer in network.buffers():
        buffer.data = buffer.data.clone()


def finished_backbone(recipe: Recipe, weights: Mapping[str, Tensor]) -> tuple[LatentNetwork, LoadedModel]:
    """The network of `init_from` with trained weights in the place of its own, and the base.

    They are in the network's type; the level's embedding, which is small, stays in float32. Raises
    ValueError that names weights which do not fit.
    """
    base = load_model(Path(recipe.init_from), dtype=None)
    network = backbone_of(base, recipe)
    own = network.state_dict()
    strange = sorted(set(weights) - set(own))
    if strange:
        raise ValueError(f"the checkpoint does not fit {recipe.init_from}: {', '.join(strange)}")
    trunk = next(network.get_submodule(network.trunk).parameters()).dtype
    kept = {
        name: tensor.to(torch.float32 if name.startswith(TOGETHER) else trunk)
        for name, tensor in weights.items()
    }
    network.load_state_dict(kept, strict=False, assign=True)
    return network, base
