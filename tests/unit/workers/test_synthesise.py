"""What a drawing job refuses, and that it does so before it draws."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from synthesis.checkpoints import load_model
from synthesis.errors import SynthesisError
from synthesis.footprint import SEQUENTIAL
from synthesis.placement import Placement, place
from tests import factories
from tests.factories_models import tiny_model
from webapp.jobs.services import job_claim
from workers import synthesise
from workers.lease import Work

WISH = {
    "condition": {"modality": "CT", "severity": "mild"},
    "sampler": {"name": "euler", "steps": 1},
    "phantom_seed": 3,
    "uncertainty": True,
}


@pytest.mark.django_db
def test_a_map_of_a_model_that_comes_layer_by_layer_is_refused_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, calls = load_model(tiny_model(tmp_path)), []
    place(model.network, Placement(device=torch.device("cpu"), dtype=torch.float32, plan=SEQUENTIAL))
    model.network.register_forward_pre_hook(lambda *_: calls.append(1))
    monkeypatch.setattr(synthesise.warm, "get", lambda *_, **__: model)
    factories.synthesis_request(factories.person("clinician"), parameters=WISH)
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    with pytest.raises(SynthesisError, match="Leave the map out"):
        synthesise.synthesise(Work(claim))
    assert not calls
