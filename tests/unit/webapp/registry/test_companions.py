"""What lies beside the weights: indices of training cases and later measures, installed with them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.test import Client

from synthesis.metrics.features import Features, FeatureSource
from synthesis.metrics.nearest import NearestIndex
from tests import factories
from tests.unit.webapp.registry.test_install import write
from webapp.registry.companions import companion_name
from webapp.registry.selectors import model_companion
from webapp.registry.services import model_install
from webapp.registry.weights import NotAModel, file_sha256

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]


def index(seed: int = 0) -> NearestIndex:
    values = np.random.default_rng(seed).normal(size=(20, 4))
    source = FeatureSource("Judge", "a" * 64, "scaled")
    return NearestIndex.of(Features(values, source), [f"phantom {i}" for i in range(20)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write(tmp_path / "model")
    (made / "nearest").mkdir()
    index().save(made / "nearest" / "CT.npz")
    return made


def test_an_index_is_copied_with_its_digest(folder: Path) -> None:
    model = model_install(path=folder)
    about = model.companions["nearest/CT.npz"]
    assert about["sha256"] == file_sha256(folder / "nearest" / "CT.npz")
    path = model_companion(model, "nearest/CT.npz")
    assert path is not None
    assert NearestIndex.load(path).cases == index().cases
    assert model_companion(model, "nearest/T1.npz") is None


def test_another_file_in_its_place_is_noticed(folder: Path) -> None:
    model = model_install(path=folder)
    name = companion_name(model.weights_sha256, "nearest/CT.npz")
    path = Path(default_storage.path(name))
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match="got another file"):
        model_companion(model, "nearest/CT.npz")


def test_a_newer_index_replaces_the_older_with_the_same_weights(folder: Path) -> None:
    first = model_install(path=folder).companions
    index(1).save(folder / "nearest" / "CT.npz")
    model = model_install(path=folder)
    assert model.companions != first
    assert model_companion(model, "nearest/CT.npz") is not None


def test_what_is_no_index_is_refused(folder: Path) -> None:
    (folder / "nearest" / "CT.npz").write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(NotAModel, match="not an index of training cases"):
        model_install(path=folder)


def test_other_files_beside_the_weights_are_left_alone(folder: Path) -> None:
    (folder / "nearest" / "notes.txt").write_text("mine")
    (folder / "nearest" / "..npz").write_text("mine")
    assert set(model_install(path=folder).companions) == {"nearest/CT.npz"}


def measures(folder: Path, **changes: Any) -> None:
    document = {
        "weights_sha256": file_sha256(folder / "model.safetensors"),
        "measures": {"MFID": {"value": 12.5}},
    } | changes
    (folder / "measures.json").write_text(json.dumps(document))


def test_measures_taken_later_join_those_of_the_recipe(folder: Path) -> None:
    measures(folder)
    model = model_install(path=folder)
    assert model.measures["MFID"] == {"value": 12.5}
    assert "organ_error_hu" in model.measures


def test_the_page_shows_what_was_measured_and_what_was_not(folder: Path) -> None:
    part = {
        "about": {"setting": "rft-4-whole", "cases": 512, "seed": 0, "network": "Judge",
                  "network_sha256": "c" * 64, "command": "python -m training.card tiny"},
        "rows": [{"name": "MFID", "value": 12.3456, "real": 7.0, "n": 512},
                 {"name": "SSIM, CT", "value": 0.5, "real": None, "n": 256}],
        "not_measured": ["LPIPS: the package is not installed."],
    }  # fmt: skip
    client = Client()
    client.force_login(factories.person("clinician"))
    text = client.get(model_install(path=folder).get_absolute_url()).content.decode()
    assert "Not measured: distances between sets" in text
    assert "Not measured: read its uncertainty maps" in text
    measures(folder, measures={"comparison": part, "uncertainty": "nonsense"})
    text = client.get(model_install(path=folder).get_absolute_url()).content.decode()
    for shown in ("12.35", "rft-4-whole", "c" * 64, "training.card tiny", "LPIPS: the package", "–"):
        assert shown in text
    assert "Not measured: distances between sets" not in text
    assert "Not measured: read its uncertainty maps" in text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_measures_that_are_no_numbers_are_refused(folder: Path, number: float) -> None:
    measures(folder, measures={"kid": {"value": number}})
    with pytest.raises(NotAModel, match=r"measures\.json holds -?(NaN|Infinity), which is no number"):
        model_install(path=folder)


def test_measures_of_other_weights_are_refused(folder: Path) -> None:
    measures(folder, weights_sha256="b" * 64)
    with pytest.raises(NotAModel, match="measured with other weights"):
        model_install(path=folder)
    (folder / "measures.json").write_text("[")
    with pytest.raises(NotAModel, match="cannot be read"):
        model_install(path=folder)
