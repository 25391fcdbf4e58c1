"""What ships: the model and its judges, whole, small enough, as good on a few phantoms as its card says."""

from pathlib import Path

import numpy as np
import pytest

from synthesis.checkpoints import HASH_FILE, WEIGHTS_FILE, file_sha256, load_model
from synthesis.metrics.judges import load_judges
from synthesis.phantoms.labels import LABEL_SET
from training.held_out import Setting, held_out, make
from training.measures import grades, measure, truth_of
from training.recipe import load_recipe

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "weights" / "abdomen-2d"
FAST = ROOT / "weights" / "abdomen-2d-fast"
JUDGES = ROOT / "weights" / "judges"
SETTING = Setting(sampler="rft", calls=4)


@pytest.fixture(scope="module")
def model():
    return load_model(FOLDER)


@pytest.fixture(scope="module")
def judges():
    return load_judges(JUDGES)


def test_sizes_and_digests(model, judges):
    assert (FOLDER / WEIGHTS_FILE).stat().st_size <= 25e6
    assert sum(path.stat().st_size for path in JUDGES.iterdir()) <= 10e6
    assert (FOLDER / HASH_FILE).read_text().split()[0] == model.weights_sha256
    for about in judges.about.values():
        assert file_sha256(JUDGES / about["file"]) == about["sha256"]
        assert about["score_held_back"] > 0.9


def test_the_recipe_inside_is_complete_and_agrees_with_the_training_recipe(model):
    recipe, trained = model.recipe, load_recipe("abdomen-2d")
    assert (recipe["name"], recipe["licence"]) == ("abdomen-2d", "Apache-2.0")
    assert [entry["value"] for entry in recipe["label_set"]] == [entry.value for entry in LABEL_SET]
    assert recipe["image"]["normalisation"].keys() == trained.normalisation.keys()
    assert recipe["training"]["steps"] == trained.steps
    assert 2 < recipe["field"]["spacing_mm"][0] < recipe["field"]["spacing_mm"][1] < 5
    for calls in (1, 2, 4, 8, 30):
        for modality in recipe["modalities"]:
            assert 0 <= model.kappa(calls, modality) <= 3
    assert all({"value", "goal", "reached"} == set(row) for row in recipe["measures"].values())
    assert recipe["measures"]


@pytest.mark.slow
def test_a_few_held_out_phantoms_look_as_measured(model, judges):
    cases = held_out("validation", 12, (128, 128))
    truth = truth_of(cases, model, judges)
    images = np.zeros_like(truth.images)
    for modality in ("CT", "T1", "T2"):
        members = [i for i, c in enumerate(cases) if c.condition.modality == modality]
        images[members] = make(model, [cases[i] for i in members], SETTING, members)
    figures, _ = measure(images, truth, model, judges, SETTING)
    assert figures["dice_share"] > 0.9
    assert abs(figures["organ_errors"]["CT"]["signed"]["liver"]) < 8
    assert all(0.4 < ratio < 2.5 for ratios in figures["spectrum"].values() for ratio in ratios)


@pytest.mark.slow
def test_severity_at_one_mask_is_read_back_in_order(model, judges):
    read = []
    for texture in (0, 3):
        case = held_out("validation", 1, (128, 128), texture=texture)[0]
        read.append(int(grades(make(model, [case], SETTING, [0]), [case], model, judges)[0]))
    assert read[0] <= 1
    assert read[1] >= 2


@pytest.fixture(scope="module")
def fast():
    return load_model(FAST)


def test_the_fast_model_is_small_and_knows_its_steps(fast):
    recipe, trained = fast.recipe, load_recipe("abdomen-2d-fast")
    assert (FAST / WEIGHTS_FILE).stat().st_size <= 21e6
    assert (FAST / HASH_FILE).read_text().split()[0] == fast.weights_sha256
    assert (recipe["name"], recipe["method"], recipe["licence"]) == (
        "abdomen-2d-fast",
        "shortcut",
        "Apache-2.0",
    )
    assert recipe["training"]["steps"] == trained.steps
    assert recipe["sampler"] == {"name": "shortcut", "steps": 2}
    assert recipe["shortcut"] == {"segments": trained.objective.segments, "shift": trained.objective.shift}
    assert len(fast.times(2, "CT", "shortcut")) == 3
    for calls in (1, 2):
        for modality in recipe["modalities"]:
            assert 0.5 <= fast.temperature(calls, modality) <= 1
    gap = recipe["measures"]["(KID(2) - KID(30)) / K_ref"]
    assert gap["reached"]
    assert all(row["reached"] for name, row in recipe["measures"].items() if "spectrum" in name)


@pytest.mark.slow
def test_two_calls_look_as_measured_on_a_few_held_out_phantoms(fast, judges):
    setting = Setting(sampler="shortcut", calls=2)
    cases = held_out("validation", 12, (128, 128))
    truth = truth_of(cases, fast, judges)
    images = np.zeros_like(truth.images)
    for modality in ("CT", "T1", "T2"):
        members = [i for i, c in enumerate(cases) if c.condition.modality == modality]
        images[members] = make(fast, [cases[i] for i in members], setting, members)
    figures, _ = measure(images, truth, fast, judges, setting)
    assert figures["dice_share"] > 0.9
    assert abs(figures["organ_errors"]["CT"]["signed"]["liver"]) < 10
    assert all(0.4 < ratio < 2.5 for ratios in figures["spectrum"].values() for ratio in ratios)
