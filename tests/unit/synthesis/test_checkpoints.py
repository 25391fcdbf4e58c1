"""Models to disk and back: exact within fp16, self-describing, refused where they are not what they say."""

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from synthesis.checkpoints import (
    HASH_FILE,
    WEIGHTS_FILE,
    file_sha256,
    load_model,
    read_recipe,
    save_model,
    shifted_grid,
)
from synthesis.control.painting import paint
from synthesis.errors import SynthesisError
from synthesis.request import Condition
from tests.factories_models import tiny_model, tiny_recipe


@pytest.fixture
def folder(tmp_path):
    return tiny_model(tmp_path / "tiny")


def test_round_trip_keeps_weights_recipe_and_digest(folder):
    model = load_model(folder)
    assert model.weights_sha256 == file_sha256(folder / WEIGHTS_FILE)
    assert model.recipe["name"] == "tiny"
    assert model.recipe["backbone"]["channels"] == [8, 16]
    assert not model.network.training
    again = folder.parent / "again"
    assert save_model(again, model.network, model.recipe) == model.weights_sha256
    first, second = (load_file(f / WEIGHTS_FILE) for f in (folder, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_loaded_network_runs_and_listens_to_its_condition(folder):
    model = load_model(folder)
    labels = np.full((1, 128, 128), 6, np.uint8)
    x = torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    severe, none = (
        model.network(x, torch.tensor([0.5]), *paint(labels, [Condition(modality="CT", severity=s)]))
        for s in ("severe", "none")
    )
    assert severe.shape == x.shape
    assert not torch.equal(severe, none)


def test_the_recipe_is_readable_without_the_weights(folder):
    assert read_recipe(folder)["field"]["spacing_mm"] == [2.0, 4.0]


def test_units_come_back(folder):
    model = load_model(folder)
    hu = np.array([-1024.0, -100.0, 40.0, 900.0], np.float32)
    assert model.denormalise(model.normalise(hu, "CT"), "CT") == pytest.approx(hu, abs=1e-2)
    with pytest.raises(SynthesisError, match="not PET"):
        model.normalise(hu, "PET")


def test_kappa_is_interpolated_between_calibrated_calls(folder):
    model = load_model(folder)
    assert model.kappa(4) == pytest.approx(0.1)
    assert 0.1 < model.kappa(6) < 0.5
    assert model.kappa(100) == pytest.approx(1.0)


def test_kappa_may_depend_on_the_modality(tmp_path):
    folder = tiny_model(tmp_path, calibration={"kappa": {"T1": {"4": 0.3}, "4": 0.2}})
    model = load_model(folder)
    assert model.kappa(4, "T1") == pytest.approx(0.3)
    assert model.kappa(4, "CT") == pytest.approx(0.2)


def test_a_model_that_was_never_calibrated_uses_the_exact_values(tmp_path):
    model = load_model(tiny_model(tmp_path, calibration={}))
    assert model.kappa(4, "CT") == 1.0
    assert model.times(4) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_shifted_grids():
    assert shifted_grid(4, 1.0) == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    half = shifted_grid(2, 0.5)
    assert half == pytest.approx([0, 1 - 0.25 / 0.75, 1])  # sigma' = .5 * .5 / (1 - .5 * .5) = 1/3
    for shift in (0.1, 0.2, 0.3, 0.7, 3.0):
        grid = shifted_grid(7, shift)
        assert (grid[0], grid[-1]) == (0.0, 1.0)
        assert grid == sorted(grid)
    with pytest.raises(ValueError, match="shift"):
        shifted_grid(4, 0.0)


def test_tampered_weights_are_refused(folder):
    path = folder / WEIGHTS_FILE
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(SynthesisError, match="SHA-256 differs"):
        load_model(folder)


def test_a_pickle_is_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = tmp_path / WEIGHTS_FILE
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(SynthesisError, match="Pickled checkpoints"):
        load_model(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_torch_checkpoint_is_refused(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / WEIGHTS_FILE)
    with pytest.raises(SynthesisError, match="not a safetensors file"):
        load_model(tmp_path)


def test_weights_without_a_recipe_are_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / WEIGHTS_FILE)
    with pytest.raises(SynthesisError, match="no recipe"):
        load_model(tmp_path)


def test_weights_that_do_not_fit_their_recipe_are_refused(tmp_path):
    recipe = tiny_recipe() | {
        "backbone": {"channels": [8, 16], "blocks": [1, 1], "attention": [], "embedding": 16}
    }
    save_file({"a": torch.zeros(2)}, tmp_path / WEIGHTS_FILE, metadata={"recipe": json.dumps(recipe)})
    with pytest.raises(SynthesisError, match="do not fit"):
        load_model(tmp_path)


def test_an_unknown_backbone_setting_is_named(tmp_path):
    recipe = tiny_recipe() | {"backbone": {"wings": 2}}
    save_file({"a": torch.zeros(2)}, tmp_path / WEIGHTS_FILE, metadata={"recipe": json.dumps(recipe)})
    with pytest.raises(SynthesisError, match="wings"):
        load_model(tmp_path)


def test_a_missing_model_is_said_plainly(tmp_path):
    with pytest.raises(SynthesisError, match="no model"):
        load_model(tmp_path / "nowhere")


def test_the_digest_file_is_what_sha256sum_reads(folder):
    digest, name = (folder / HASH_FILE).read_text().split()
    assert (digest, name) == (file_sha256(folder / WEIGHTS_FILE), WEIGHTS_FILE)
