"""Quality checks: true phantoms pass, and what is wrong with an image is named."""

import json

import numpy as np
import pytest

from synthesis.metrics.quality import expected_range, quality
from synthesis.phantoms import abdomen
from synthesis.phantoms import labels as L
from synthesis.request import SEVERITIES, Condition


def condition_of(phantom, modality):
    a = phantom.attributes
    return Condition(
        modality=modality,
        severity=SEVERITIES[a.severity_texture],
        steatosis=a.steatosis,
        age=a.age,
        sex=a.sex,
    )


@pytest.mark.parametrize("modality", ["CT", "T1", "T2"])
def test_true_phantoms_pass(modality):
    for seed in range(20_000_000, 20_000_012):
        phantom = abdomen(seed, modality=modality)
        report = quality(phantom.image, phantom.labels, condition_of(phantom, modality), {})
        assert report["passed"], report["notes"]
        json.dumps(report)


def test_a_liver_of_the_wrong_density_is_named():
    phantom = abdomen(20_000_001)
    image = phantom.image.copy()
    image[phantom.labels == L.LIVER] -= 90
    report = quality(image, phantom.labels, condition_of(phantom, "CT"), {})
    assert not report["passed"]
    assert [row["name"] for row in report["organs"] if not row["within"]] == ["liver"]
    assert any(note.startswith("liver") and "below" in note for note in report["notes"])


def test_an_image_beside_its_mask_is_named():
    phantom = abdomen(20_000_001)
    shifted = np.roll(phantom.image, 25, axis=1)
    report = quality(shifted, phantom.labels, condition_of(phantom, "CT"), {})
    assert any("overlaps its mask" in note for note in report["notes"])


def test_an_unstated_age_widens_what_is_expected():
    known = expected_range(L.BONE, Condition(modality="CT", age=60.0), {})
    unknown = expected_range(L.BONE, Condition(modality="CT"), {})
    assert unknown[0] < known[0]
    assert unknown[1] > known[1]


def test_a_recipe_may_bring_its_own_ranges():
    recipe = {"expected": {"CT": {"6": [40, 60]}}}
    assert expected_range(L.LIVER, Condition(modality="CT"), recipe) == (40.0, 60.0)
    assert expected_range(L.SPLEEN, Condition(modality="CT"), recipe)[0] > 60


def test_a_segmenter_that_misses_the_liver_is_reported():
    class Blind:
        name = "blind"

        def segment(self, image, modality):
            return np.zeros(image.shape, np.uint8)

    phantom = abdomen(20_000_001)
    report = quality(phantom.image, phantom.labels, condition_of(phantom, "CT"), {}, Blind())
    assert report["judge"]["dice"]["liver"] == 0.0
    assert any(note.startswith("liver: the segmenter") for note in report["notes"])


def test_an_empty_image_is_no_crash():
    labels = np.zeros((32, 32), np.uint8)
    report = quality(np.full((32, 32), -1000, np.float32), labels, Condition(modality="CT"), {})
    assert report["organs"] == []
