"""Distances between sets, likeness in pairs, and nearest training cases: known answers at both ends."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from synthesis.checkpoints import load_model
from synthesis.imaging.intensity import Normalisation
from synthesis.metrics.feature_nets import judge_features
from synthesis.metrics.judges import load_judges
from synthesis.metrics.nearest import NearestIndex
from synthesis.phantoms.contrast import WINDOWS
from tests.factories_models import tiny_model
from training.held_out import held_out
from training.set_measures import by_modality, compare, flat, likeness, nearness, set_distances

JUDGES = Path(__file__).parents[3] / "weights" / "judges"


@pytest.fixture(scope="module")
def judges():
    if not (JUDGES / "judges.json").is_file():
        pytest.skip("the judges' weights are not here")
    return load_judges(JUDGES)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(tiny_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def cases():
    return held_out("test", 32, (128, 128))


@pytest.fixture(scope="module")
def real(cases, model):
    return np.stack([model.normalise(c.image, c.condition.modality) for c in cases])


@pytest.fixture(scope="module")
def ideal(real, cases, model, judges):
    return compare(real, real, cases, model, judges)


def test_a_set_against_itself_is_at_no_distance(ideal, judges):
    figures = ideal
    assert figures["n"] == 32
    assert figures["mfid"]["value"] == pytest.approx(0, abs=1e-3)
    assert figures["mfid"]["n"] == figures["mfid"]["m"] == 32
    assert figures["mfid"]["weights_sha256"] == judges.about["features"]["sha256"]
    assert {"precision": 1, "recall": 1, "coverage": 1}.items() <= figures["manifold"].items()
    for one in figures["radiomics"].values():
        assert one["value"] == pytest.approx(0, abs=1e-6)
    for one in figures["likeness"].values():
        assert (one["ssim"], one["ms_ssim"]) == (pytest.approx(1), pytest.approx(1))
        assert one["psnr"] == np.inf
    assert "nearest" not in figures  # no index was given


def test_a_model_of_another_scale_is_at_the_same_distances(ideal, cases, model, judges):
    """The same images in HU or signal, blurred, on two scales."""
    scales = {name: Normalisation(units=(-300.0, 1700.0), scaled=(-1.0, 1.0)) for name in model.normalisation}
    found = []
    for one in (model, replace(model, normalisation=scales)):
        blurred, real = (
            np.stack([one.normalise(how(c.image), c.condition.modality) for c in cases])
            for how in (lambda image: ndimage.gaussian_filter(image, 1.0), np.asarray)
        )
        found.append(flat(set_distances(blurred, cases, real, cases, one, judges)))
    assert found[1] == pytest.approx(found[0], rel=1e-2)
    assert found[0]["kid"] > ideal["kid"]


def test_noise_of_known_strength_has_its_psnr(real, cases, model):
    """20 HU in a window of 500 HU: 10 log10(500^2 / 20^2) = 27.96 dB where nothing is clipped."""
    quiet = list(by_modality(cases)["CT"])[:4]
    flat_image = np.zeros((4, 128, 128), np.float32)
    noisy = 20 * np.random.default_rng(0).standard_normal(flat_image.shape).astype(np.float32)
    low, high = WINDOWS["CT"]
    assert high - low == 500
    some = [cases[i] for i in quiet]
    made, truth = (np.stack([model.normalise(one, "CT") for one in images]) for images in (noisy, flat_image))
    assert likeness(made, truth, some, model)["CT"]["psnr"] == pytest.approx(27.96, abs=0.05)


def test_blurred_images_lose_on_every_count(ideal, real, cases, model, judges):
    blurred = np.stack([ndimage.gaussian_filter(one, 1.0) for one in real])
    worse = compare(blurred, real, cases, model, judges)
    assert worse["mfid"]["value"] > ideal["mfid"]["value"] + 0.01
    assert worse["kid"] > ideal["kid"]
    for modality in worse["radiomics"]:
        assert worse["radiomics"][modality]["value"] > 1
        assert worse["likeness"][modality]["ssim"] < 0.98


def test_unpaired_sets_have_distances_too(real, cases, model, judges):
    other = held_out("test", 24, (128, 128), first=100)
    images = np.stack([model.normalise(c.image, c.condition.modality) for c in other])
    floor = set_distances(images, other, real, cases, model, judges)
    assert (floor["mfid"]["n"], floor["mfid"]["m"]) == (24, 32)
    assert floor["mfid"]["value"] > 0


def test_a_copied_training_case_shows(real, cases, model, judges, tmp_path):
    members = by_modality(cases)["CT"]
    features = judge_features(judges, real[members], np.zeros(len(members), int))
    NearestIndex.of(features, [f"phantom {i}" for i in members]).save(tmp_path / "CT.npz")
    found = nearness(real, cases, model, judges, tmp_path)
    assert set(found) == {"CT"}  # the others have no index
    assert found["CT"]["mean_share"] == 1
    assert found["CT"]["median_distance"] < 0.1
    assert found["CT"]["n"] == len(members)


def test_the_flat_row_names_every_headline(ideal):
    row = flat(ideal)
    assert {"mfid", "mfid_infinity", "kid", "coverage", "radiomics CT", "ssim T1", "psnr T2"} <= set(row)
