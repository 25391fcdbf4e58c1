"""A tiny model of the shipped kind with random weights, saved as a real checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from synthesis.backbones.unet import Options, UNet
from synthesis.checkpoints import save_model
from synthesis.phantoms.labels import LABEL_SET

TINY = Options(channels=(8, 16), blocks=(1, 1), attention=(1,), embedding=16, head_width=8, plane_embedding=2)


def tiny_recipe(rows: int = 128, columns: int = 128) -> dict[str, Any]:
    """A complete recipe, as the shipped model carries it."""
    return {
        "name": "tiny",
        "version": "0.1",
        "title": "Tiny test model",
        "method": "flow",
        "licence": "Apache-2.0",
        "summary": "Random weights for tests; its images mean nothing.",
        "modalities": ["CT", "T1", "T2"],
        "image": {
            "rows": rows,
            "columns": columns,
            "normalisation": {
                "CT": {"units": [-1000, -200, 300, 1300], "scaled": [-4.5, -2.5, 2.5, 5.0]},
                "T1": {"units": [0, 900], "scaled": [-2.0, 3.0]},
                "T2": {"units": [0, 810, 1530], "scaled": [-2.0, 2.5, 4.5]},
            },
        },
        "label_set": [{"value": l.value, "name": l.name, "color": l.color} for l in LABEL_SET],  # noqa: E741
        "field": {"spacing_mm": [2.0, 4.0], "fov_mm": [300.0, 500.0]},
        "calibration": {"kappa": {"1": 0.0, "2": 0.2, "4": 0.1, "8": 0.5, "30": 1.0}},
        "training": {"seed": 0, "steps": 0},
        "measures": {},
    }


def tiny_model(folder: Path, *, seed: int = 0, options: Options = TINY, **recipe: Any) -> Path:
    """Save a model with random weights in `folder` (a directory) and return the folder.

    The zero-initialised last layers are randomised, so that conditions do change the image.
    """
    torch.manual_seed(seed)
    network = UNet(options)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.abs().sum() == 0:
                parameter.normal_(0, 0.05)
    save_model(folder, network, tiny_recipe() | recipe)
    return folder
