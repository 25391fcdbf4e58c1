"""Which networks stay warm: as many as are kept, and no more than the device has room for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from synthesis.checkpoints import load_model, read_recipe
from synthesis.errors import SynthesisError
from synthesis.footprint import WHOLE, footprint, footprint_of_edit
from tests.factories_models import tiny_model
from tests.unit.synthesis.foreign_models.folders import about, own_pipeline
from workers import models
from workers.models import WarmModels


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three models of one family, as the registry names them."""
    from synthesis.foreign_models.convert import convert

    own_pipeline("pixart").save_pretrained(tmp_path / "pipe")
    found = []
    for number in range(3):
        folder = tmp_path / str(number)
        made = convert(tmp_path / "pipe", folder, about(tmp_path, f"steps: {number + 1}"))
        recipe = read_recipe(folder)
        found.append(
            SimpleNamespace(
                name=str(number), version="1", weights_sha256=made.digest, recipe=recipe, at=folder
            )
        )
    monkeypatch.setattr(models, "model_folder", lambda model: model.at)
    return found


def give(monkeypatch: pytest.MonkeyPatch, room: float) -> None:
    for module in ("workers.models", "synthesis.placement"):
        monkeypatch.setattr(f"{module}.device_memory", lambda device: int(room))


def test_others_are_given_up_where_there_is_no_room(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    need = footprint(installed[0].recipe)
    assert need is not None
    held = 4 * sum(part.parameters for part in need.parts.values())
    give(monkeypatch, (need.need(WHOLE, 4) + held) / 0.9 + 10)
    warm = WarmModels()
    for model in installed[:2]:
        assert warm.get(model, device="cpu").network.dtype == torch.float32
    assert warm.names() == ["0 1", "1 1"]
    warm.get(installed[0], device="cpu")  # used again: the other one is now the oldest
    warm.get(installed[2], device="cpu")
    assert warm.names() == ["0 1", "2 1"]


def test_a_small_device_computes_in_16_bits_and_a_tiny_one_refuses(
    installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    need = footprint(installed[0].recipe)
    assert need is not None
    give(monkeypatch, need.need(WHOLE, 2) / 0.9 + 10)
    assert WarmModels().get(installed[0], device="cpu").network.dtype == torch.bfloat16
    give(monkeypatch, 1000)
    with pytest.raises(SynthesisError, match="can be used there"):
        WarmModels().get(installed[0], device="cpu")


def test_models_of_our_own_are_loaded_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_model(tiny_model(tmp_path))
    model = SimpleNamespace(
        name="tiny", version="0.1", weights_sha256=loaded.weights_sha256, recipe=loaded.recipe, at=tmp_path
    )
    monkeypatch.setattr(models, "model_folder", lambda model: model.at)
    give(monkeypatch, 1000)  # its needs are not known, so they are not held against the room
    again = WarmModels().get(model, device="cpu")  # type: ignore[arg-type]
    for name, weight in loaded.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], weight)


def test_work_that_takes_more_room_lies_as_that_allows(
    installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight images at once leave no room for 32 bits: the network that draws one stays as it is."""
    recipe = installed[0].recipe
    many = footprint_of_edit(recipe, method="flow_inversion", count=8)
    assert many is not None
    give(monkeypatch, many.need(WHOLE, 2) / 0.9 + 10)
    one = footprint(recipe)
    assert one is not None
    assert one.need(WHOLE, 4) < many.need(WHOLE, 2)
    warm = WarmModels()
    single = warm.get(installed[0], device="cpu")
    assert single.network.dtype == torch.float32
    assert warm.get(installed[0], device="cpu", need=many).network.dtype == torch.bfloat16
    give(monkeypatch, 1000 + 2 * one.need(WHOLE, 4))
    with pytest.raises(SynthesisError, match="can be used there"):
        warm.get(installed[0], device="cpu", need=many)
