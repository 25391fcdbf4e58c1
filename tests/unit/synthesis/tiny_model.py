"""A real network of tiny size with random weights: fast, and everything but beautiful."""

from __future__ import annotations

from typing import Any

import torch

from synthesis.backbones.unet import Options, UNet
from synthesis.checkpoints import LoadedModel
from synthesis.imaging.intensity import normalisations
from synthesis.phantoms.labels import LABEL_SET

SIDE = 32


def tiny_recipe() -> dict[str, Any]:
    return {
        "name": "tiny",
        "version": "1.0",
        "title": "Tiny",
        "method": "rectified flow",
        "image": {
            "rows": SIDE,
            "columns": SIDE,
            "normalisation": {
                "CT": {"units": [-1000, -200, 300, 1300], "scaled": [-4.5, -2.5, 2.5, 5.0]},
                "T1": {"units": [0, 900], "scaled": [-2.0, 3.0]},
                "T2": {"units": [0, 810, 1530], "scaled": [-2.0, 2.5, 4.5]},
            },
        },
        "label_set": [{"value": one.value, "name": one.name, "color": one.color} for one in LABEL_SET],
        "modalities": ["CT", "T1", "T2"],
        "field": {"spacing_mm": [1.5, 4.5], "fov_mm": [250.0, 520.0]},
        "calibration": {"kappa": {"2": 0.2, "4": 0.1, "8": 0.3}},
        "attributes": {"age": [18, 90]},
    }


def tiny_model(seed: int = 0, **more: Any) -> LoadedModel:
    """A network [B, 1, 32, 32] whose every weight is random, so that every input matters.

    `more` are other options of the U-Net; with takes_image it is a model that changes images.
    """
    torch.manual_seed(seed)
    options = Options(
        channels=(8, 16), blocks=(1, 1), attention=(1,), head_width=8, groups=4, embedding=16, **more
    )
    network = UNet(options)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn_like(weight) * 0.15)
    recipe = tiny_recipe() | {"backbone": network.recipe()}
    return LoadedModel(network.eval().requires_grad_(False), recipe, f"{seed:064x}", normalisations(recipe))
