"""Adapters on warm models: the network is loaded once; nobody draws with what another asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workers.models
from synthesis.adapters import active
from synthesis.checkpoints import LoadedModel, load_model
from synthesis.errors import SynthesisError
from synthesis.generate import generate
from synthesis.phantoms import abdomen
from synthesis.reproduction import differences
from synthesis.request import Condition, SamplerOptions, SynthesisRequest
from tests.factories_adapters import tiny_adapter
from tests.factories_models import tiny_model
from webapp.registry.models import Adapter, GenerativeModel
from webapp.registry.selectors import adapter_folder
from webapp.registry.services import model_install
from webapp.registry.services_adapters import adapter_install
from workers.adapters import LaidAdapters, recorded
from workers.models import WarmModels

pytestmark = pytest.mark.django_db

PHANTOM = abdomen(3)
WISH = SynthesisRequest(
    labels=PHANTOM.labels,
    spacing_mm=(3.0, 3.0),
    condition=Condition(modality="CT", severity="mild"),
    sampler=SamplerOptions(name="euler", steps=1),
    seed=4,
)


@dataclass
class Installed:
    """A base with three adapters, and how often its network was read from disk."""

    base: GenerativeModel
    adapters: dict[str, Adapter]
    loads: list[str]


@pytest.fixture
def installed(storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    base = model_install(path=tiny_model(tmp_path / "base"))
    adapters = {
        name: adapter_install(path=tiny_adapter(tmp_path / name, tmp_path / "base", seed=seed))
        for seed, name in enumerate("abc")
    }
    loads: list[str] = []

    def counted(folder: Path, **options: Any) -> LoadedModel:
        loads.append(str(folder))
        return load_model(folder, **options)

    monkeypatch.setattr(workers.models, "load_model", counted)
    return Installed(base, adapters, loads)


@pytest.fixture
def draw(installed: Installed) -> Callable[..., str]:
    """Draws with an adapter, by its letter, on one warm model; the digest of the pixels."""
    warm, laid = WarmModels(), LaidAdapters()

    def give(name: str = "") -> str:
        adapter = installed.adapters.get(name)
        with laid.using(warm.get(installed.base, device="cpu"), adapter) as model:
            return generate(model, WISH).pixel_sha256[0]

    return give


def test_the_base_is_loaded_once_and_every_adapter_draws_its_own(installed, draw) -> None:
    plain, a, b, a_again, plain_again = draw(), draw("a"), draw("b"), draw("a"), draw()
    assert len({plain, a, b}) == 3
    assert (a_again, plain_again) == (a, plain)
    assert len(installed.loads) == 1


def test_the_least_recently_used_goes_and_comes_back_the_same(installed) -> None:
    laid = LaidAdapters(kept=2)
    model = WarmModels().get(installed.base, device="cpu")

    def made(name: str) -> str:
        with laid.using(model, installed.adapters[name]) as ready:
            return generate(ready, WISH).pixel_sha256[0]

    first = made("a")
    made("b")
    made("a")
    made("c")
    kept = [f"sha{installed.adapters[name].weights_sha256[:24]}" for name in "ac"]
    assert laid.names(model) == kept
    assert made("a") == first
    made("b")
    assert made("a") == first
    assert active(model) is None


def test_two_at_once_never_draw_with_the_others_adapter(installed, draw) -> None:
    alone = {name: draw(name) for name in ("", "a", "b")}
    gate = threading.Barrier(6)

    def at_once(name: str) -> tuple[str, str]:
        gate.wait(timeout=300)
        return name, draw(name)

    with ThreadPoolExecutor(6) as pool:
        for name, digest in pool.map(at_once, ["", "a", "b", "a", "", "b"]):
            assert digest == alone[name]


def test_files_that_were_exchanged_are_refused_and_the_model_draws_on(installed, draw) -> None:
    plain = draw()
    path = adapter_folder(installed.adapters["a"]) / "adapter_model.safetensors"
    path.write_bytes((adapter_folder(installed.adapters["b"]) / "adapter_model.safetensors").read_bytes())
    with pytest.raises(SynthesisError, match="are not those that were installed"):
        draw("a")
    assert draw() == plain


def test_the_recipe_names_the_adapter_and_a_repetition_says_what_differs(installed) -> None:
    laid, model = LaidAdapters(), WarmModels().get(installed.base, device="cpu")
    made = {}
    for name in ("", "a", "b"):
        adapter = installed.adapters.get(name)
        with laid.using(model, adapter) as ready:
            made[name] = recorded(generate(ready, WISH), adapter).recipe
    assert "adapter" not in made[""]
    adapter = installed.adapters["a"]
    assert made["a"]["adapter"] == {
        "name": "a",
        "version": "1.0",
        "weights_sha256": adapter.weights_sha256,
        "rank": 4,
        "alpha": 4.0,
    }
    assert made["a"]["model"] == made[""]["model"]
    assert differences(made["a"], made["a"]) == []
    (line,) = differences(made["a"], made[""])
    assert line.startswith(
        f"adapter: a 1.0 ({adapter.weights_sha256[:12]}; rank 4, alpha 4.0) then, none now"
    )


def test_what_the_adapter_says_of_images_holds_while_it_lies_on_the_model(storage, tmp_path) -> None:
    base = model_install(path=tiny_model(tmp_path / "base"))
    image = {"normalisation": {"CT": {"units": [0, 100], "scaled": [-1.0, 1.0]}}}
    adapter = adapter_install(
        path=tiny_adapter(tmp_path / "narrow", tmp_path / "base", modalities=["CT"], image=image)
    )
    model = WarmModels().get(base, device="cpu")
    with LaidAdapters().using(model, adapter) as ready:
        assert ready.network is model.network
        assert list(ready.normalisation) == ["CT"]
        assert np.allclose(ready.denormalise(np.zeros((2, 2)), "CT"), 50)
        assert ready.recipe["image"]["rows"] == 128
    assert set(model.normalisation) == {"CT", "T1", "T2"}
