"""What lies under weights/ is on offer after the start, the shipped model first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.factories_adapters import tiny_adapter
from tests.factories_models import tiny_model
from webapp.launch import prepare
from webapp.registry.models import Adapter, GenerativeModel

pytestmark = pytest.mark.django_db


def lay(folder: Path, *names: str) -> None:
    """Tiny models under a folder, a different one for each name."""
    for seed, name in enumerate(names):
        tiny_model(folder / name, seed=seed, name=name)
        (folder / name / "card.md").write_text(f"# {name}\n\nFor tests.\n", encoding="utf-8")


def test_every_shipped_model_is_installed(storage: Any, settings: Any, tmp_path: Path) -> None:
    settings.WEIGHTS_DIR = tmp_path
    lay(tmp_path, "abdomen-2d", "abdomen-2d-fast", "a-third")
    (tmp_path / "judges").mkdir()
    prepare._install_models()
    prepare._install_models()  # a later start changes nothing
    assert {model.name for model in GenerativeModel.objects.all()} == {
        "abdomen-2d",
        "abdomen-2d-fast",
        "a-third",
    }
    first = GenerativeModel.objects.order_by("created_at").first()
    assert first is not None
    assert first.name == "abdomen-2d"


def test_adapters_come_after_the_models_that_they_belong_to(
    storage: Any, settings: Any, tmp_path: Path
) -> None:
    settings.WEIGHTS_DIR = tmp_path
    lay(tmp_path, "abdomen-2d", "z-model")
    tiny_adapter(tmp_path / "a-first", tmp_path / "z-model")
    prepare._install_models()
    prepare._install_models()
    adapter = Adapter.objects.get()
    assert (adapter.name, adapter.base.name, adapter.is_offered) == ("a-first", "z-model", True)


def test_one_that_cannot_be_installed_does_not_stop_the_start(
    storage: Any, settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.WEIGHTS_DIR = tmp_path
    lay(tmp_path, "abdomen-2d")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"not safetensors")
    prepare._install_models()
    assert [model.name for model in GenerativeModel.objects.all()] == ["abdomen-2d"]
    assert "was not installed" in capsys.readouterr().out


def test_without_the_shipped_model_the_start_says_how_to_make_it(
    storage: Any, settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.WEIGHTS_DIR = tmp_path
    prepare._install_models()
    assert "make train-demo" in capsys.readouterr().out
