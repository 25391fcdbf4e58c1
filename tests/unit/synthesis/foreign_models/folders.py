"""Folders of diffusers on the spot, and the question whether what was made of them draws the same."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthesis.checkpoints import load_model
from synthesis.foreign_models.about import About, read_about
from synthesis.foreign_models.convert import Converted, convert
from synthesis.latents import LatentNetwork
from synthesis.request import Condition
from tests.unit.synthesis.tiny_backbones import tiny_pipeline

FAMILIES = ("stable_diffusion", "sdxl", "sd3", "pixart", "flux")
SIDE = 32
ABOUT = """
name: tiny-foreign
version: "1"
title: Tiny foreign
licence: Apache-2.0
rows: 32
columns: 32
spacing_mm: [8, 16]
modalities:
  CT: [-1000, 1000]
"""


def own_pipeline(family: str, **instead: Any) -> Any:
    """A tiny pipeline of the test's own: its components are shared with nobody."""
    return deepcopy(tiny_pipeline(family, **instead))


def about(folder: Path, more: str = "") -> About:
    """The about-file, with more settings below."""
    return read_about(ABOUT + more, folder)


def brought_in(path: Path, more: str = "") -> tuple[Converted, LatentNetwork]:
    """The model at `path` converted beside it, and read again."""
    made = convert(path, path.parent / "converted", about(path.parent, more))
    network = load_model(made.folder).network
    assert isinstance(network, LatentNetwork)
    return made, network


def answers(network: LatentNetwork) -> list[Tensor]:
    """The velocity at one place under one condition, its picture, and the velocity without the condition."""
    labels = np.zeros((1, SIDE, SIDE), np.uint8)
    labels[:, 8:24, 8:24] = 6
    told = network.condition(labels, [Condition(modality="CT", severity="mild", age=60.0, sex="F")])
    drawn = torch.Generator().manual_seed(0)
    x = torch.randn(1, *network.state_shape(SIDE, SIDE), generator=drawn)
    with torch.no_grad():
        v = network(x, torch.tensor([0.5]), *told)
        without = network(x, torch.tensor([0.5]), *network.unconditional(told))
        return [v, network.decode(v), without]


def same(network: LatentNetwork, reference: LatentNetwork) -> bool:
    """Whether both answer the same to the bit, the reference with the other's tokenizers."""
    reference.use_tokenizers(network.tokenizers)
    pairs: Any = zip(answers(network), answers(reference), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)
