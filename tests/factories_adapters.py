"""Tiny adapters of tiny models, with random weights, saved as training saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from synthesis.adapters import AdapterOptions, save_adapter, with_adapter
from synthesis.checkpoints import load_model


def adapter_recipe(name: str) -> dict[str, Any]:
    """What an adapter's recipe.json must say."""
    return {
        "name": name,
        "version": "1.0",
        "title": f"Adapter {name}",
        "licence": "CC0-1.0",
        "summary": "Random weights for tests.",
        "method": "LoRA",
        "measures": {"organ_error_hu": {"value": 3.1, "goal": 5, "reached": True}},
    }


def tiny_adapter(
    folder: Path, base: Path, *, seed: int = 0, rank: int = 4, strength: float = 0.1, **recipe: Any
) -> Path:
    """Save an adapter of the model in the folder `base` in `folder`, named like it, and return the folder.

    Both its matrices are random, so that it does change the image.
    """
    model = load_model(base)
    network = with_adapter(model.network, AdapterOptions(rank=rank, alpha=float(rank)))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, strength)
    save_adapter(folder, network, adapter_recipe(folder.name) | recipe, model)
    return folder
