"""Uncertainty maps of every network on the shelf: through its decoder, after it has drawn."""

import numpy as np
import pytest

from synthesis.catalog import BACKBONES
from synthesis.generate import generate
from synthesis.imaging.uncertainty import Options
from synthesis.phantoms import labels as L
from synthesis.request import Condition, SamplerOptions, SynthesisRequest
from synthesis.uncertainty import uncertainty_map
from tests.unit.synthesis.tiny_backbones import SIDE, tiny_latent_model
from tests.unit.synthesis.tiny_model import tiny_model

CONDITION = Condition(modality="CT", severity="mild")


@pytest.mark.parametrize("name", BACKBONES)
def test_a_drawn_image_has_a_map_on_its_own_grid(name):
    model = tiny_model() if name == "unet" else tiny_latent_model(name)
    mask = np.full((SIDE, SIDE), L.FAT, np.uint8)
    mask[8:24, 6:20] = L.LIVER
    if name == "unet":
        side = int(model.recipe["image"]["rows"])
        mask = np.kron(mask, np.ones((side // SIDE, side // SIDE), np.uint8))
    request = SynthesisRequest(
        labels=mask, spacing_mm=(2.5, 2.5), condition=CONDITION, seed=1,
        sampler=SamplerOptions(name="euler", steps=1),
    )  # fmt: skip
    drawn = generate(model, request)
    made = uncertainty_map(
        model, drawn.images[0], mask, CONDITION, seed=1, options=Options(rounds=2, spacing=2)
    )
    assert made.std.shape == mask.shape
    assert np.isfinite(made.std).all()
    assert made.std.max() > 0
