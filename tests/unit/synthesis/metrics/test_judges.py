"""The judges: what they may see, and that only the published ones are used."""

import json

import numpy as np
import pytest
import torch

from synthesis.errors import SynthesisError
from synthesis.metrics.judges import (
    CROP,
    JUDGES_FILE,
    KINDS,
    SCALE,
    FeatureNet,
    MaskJudge,
    Segmenter,
    liver_crop,
    load_judges,
    save_judge,
)
from synthesis.phantoms import abdomen
from synthesis.phantoms.labels import FAT, LIVER
from training.recipe import load_recipe


@pytest.fixture
def judges_folder(tmp_path):
    torch.manual_seed(0)
    for name, kind in KINDS.items():
        save_judge(tmp_path, name, kind(), {"score_held_back": 0.5})
    return tmp_path


def liver_scene():
    labels = np.full((128, 128), FAT, np.uint8)
    labels[30:80, 20:75] = LIVER
    image = torch.randn(128, 128, generator=torch.Generator().manual_seed(0))
    return image, labels


def test_the_severity_judge_sees_nothing_outside_the_liver():
    image, labels = liver_scene()
    elsewhere = image.clone()
    elsewhere[torch.from_numpy(labels != LIVER)] += 100
    assert torch.equal(liver_crop(image, labels), liver_crop(elsewhere, labels))


def test_nor_the_livers_mean_value():
    image, labels = liver_scene()
    assert torch.allclose(liver_crop(image, labels), liver_crop(image + 3, labels), atol=1e-5)


def test_the_crop_holds_the_whole_inner_liver_even_at_the_border():
    image, labels = liver_scene()
    assert liver_crop(image, labels)[1].sum() == 48 * 53
    shifted = np.roll(labels, (-30, -20), (0, 1))
    assert liver_crop(image, shifted)[1].sum() == 48 * 53  # touches the border; erosion takes that rim
    assert liver_crop(image, np.zeros_like(labels)).abs().sum() == 0


def test_shapes():
    modality = torch.eye(3)[:2]
    image = torch.zeros(2, 1, 64, 64)
    assert Segmenter()(image, modality).shape == (2, 20, 64, 64)
    net = FeatureNet()
    assert net.features(image, modality).shape == (2, net.width) == (2, 640)
    assert KINDS["severity"]()(torch.zeros(2, 2, CROP, CROP), modality).shape == (2, 4)


def test_saved_judges_come_back_and_answer(judges_folder):
    judges = load_judges(judges_folder)
    image, labels = liver_scene()
    images = image[None, None].repeat(3, 1, 1, 1)
    modality = torch.tensor([0, 1, 2])
    assert judges.segment(images, modality).shape == (3, 128, 128)
    assert set(judges.grade(images, np.stack([labels] * 3), modality)) <= {0, 1, 2, 3}
    assert judges.describe(images, modality).shape == (3, 640)
    assert judges.about["severity"]["score_held_back"] == 0.5


def test_the_segmenter_serves_the_quality_checks(judges_folder):
    """In HU or signal, one image at a time, the same answer as on the scale that all judges know."""
    judges = load_judges(judges_folder)
    image = abdomen(5, modality="T1").image
    found = MaskJudge(judges).segment(image, "T1")
    scaled = torch.from_numpy(SCALE["T1"].forward(image))[None, None]
    assert np.array_equal(found, judges.segment(scaled, torch.tensor([1]))[0])


def test_the_judges_scale_is_that_of_the_phantoms_they_were_fitted_to():
    assert load_recipe("abdomen-2d").normalisation == SCALE


def test_an_exchanged_judge_is_refused(judges_folder):
    listing = json.loads((judges_folder / JUDGES_FILE).read_text())
    listing["severity"]["sha256"] = "0" * 64
    (judges_folder / JUDGES_FILE).write_text(json.dumps(listing))
    with pytest.raises(SynthesisError, match="SHA-256 differs"):
        load_judges(judges_folder)


def test_a_missing_judge_is_named(judges_folder, tmp_path):
    (judges_folder / "features.safetensors").unlink()
    with pytest.raises(SynthesisError, match="features"):
        load_judges(judges_folder)
    with pytest.raises(SynthesisError, match="no judges"):
        load_judges(tmp_path / "nowhere")
