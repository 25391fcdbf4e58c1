"""Whatever makes pixels asks the GPU libraries for the same bits each time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthesis.edit import edit
from synthesis.edit_request import CounterfactualRequest, EditOptions
from synthesis.generate import generate
from synthesis.imaging.uncertainty import Options
from synthesis.phantoms import labels as L
from synthesis.request import Condition, SamplerOptions, SynthesisRequest
from synthesis.uncertainty import uncertainty_map
from tests.unit.synthesis.tiny_model import SIDE, tiny_model

IMAGE = np.zeros((SIDE, SIDE), np.float32)
MASK = np.full((SIDE, SIDE), L.LIVER, np.uint8)
CT = Condition(modality="CT")
SEVERE = Condition(modality="CT", severity="severe")


def drawn(model):
    sampler = SamplerOptions(name="euler", steps=1)
    generate(
        model,
        SynthesisRequest(
            labels=MASK, spacing_mm=(3.0, 3.0), condition=CT, seed=1, sampler=sampler
        ),
    )  # fmt: skip


def edited(model):
    options = EditOptions(strength=0.5, steps=2, undo=True)
    edit(
        model,
        CounterfactualRequest(
            image=IMAGE, labels=MASK, spacing_mm=(3.0, 3.0), before=CT, after=SEVERE, options=options
        ),
    )  # fmt: skip


def mapped(model):
    uncertainty_map(model, IMAGE, MASK, CT, seed=1, options=Options(rounds=1, spacing=1))


@pytest.mark.parametrize("work", [drawn, edited, mapped])
def test_every_call_of_the_network_is_repeatable_and_the_settings_are_put_back(work):
    model, seen = tiny_model(), []
    cudnn = torch.backends.cudnn
    model.network.register_forward_pre_hook(
        lambda *_: seen.append((cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32))
    )
    before = (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32)
    work(model)
    assert seen
    assert set(seen) == {(True, False, False)}
    assert (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32) == before
