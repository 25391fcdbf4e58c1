"""What an edit may ask for, and where it acts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from synthesis.catalog import COUNTERFACTUALS
from synthesis.edit_request import (
    CounterfactualRequest,
    EditOptions,
    edited_region,
    methods_of,
    softened,
)
from synthesis.phantoms import labels as L
from synthesis.request import Condition

CT = Condition(modality="CT", age=50, sex="F")
LABELS = [{"value": one.value, "name": one.name, "color": one.color} for one in L.LABEL_SET]


def a_mask():
    labels = np.full((16, 16), L.FAT, np.uint8)
    labels[2:10, 2:10] = L.LIVER
    labels[4:6, 4:6] = L.LESION
    return labels


def ask(**changed):
    values = {
        "image": np.zeros((16, 16), np.float32),
        "labels": a_mask(),
        "spacing_mm": (2.0, 2.0),
        "before": CT,
        "after": CT,
    }
    return CounterfactualRequest(**values | changed)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"image": np.full((16, 16), np.nan, np.float32)}, "finite"),
        ({"labels": a_mask()[:8]}, "labels: expected"),
        ({"labels_after": a_mask().astype(int)}, "labels_after: expected"),
        ({"after": Condition(modality="T1")}, "modality CT, got T1"),
        ({"count": 0}, "count >= 1"),
    ],
)
def test_requests_that_make_no_sense_are_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        ask(**changed)


@pytest.mark.parametrize(
    "wrong", [{"strength": 1.1}, {"steps": 0}, {"variety": -0.1}, {"contrast": 11.0}, {"reach": 1.0}]
)
def test_options_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EditOptions(**wrong)


def test_options_are_plain_json_and_come_back():
    options = EditOptions(strength=0.3, contrast=1.2, undo=True)
    assert EditOptions.from_json(options.to_json()) == options
    with pytest.raises(ValueError, match="unknown power"):
        EditOptions.from_json({"power": 9})


def test_each_change_has_its_own_region():
    labels, same = a_mask(), a_mask()
    assert not edited_region(labels, same, CT, CT).any()
    severe = Condition(modality="CT", age=50, sex="F", severity="severe")
    assert np.array_equal(edited_region(labels, same, CT, severe), labels == L.LIVER)
    fat = Condition(modality="CT", age=50, sex="F", steatosis=2)
    assert np.array_equal(edited_region(labels, same, CT, fat), np.isin(labels, (L.LIVER, L.LESION)))
    assert edited_region(labels, same, CT, Condition(modality="CT", age=51, sex="F")).all()
    healed = np.where(labels == L.LESION, np.uint8(L.LIVER), labels)
    assert edited_region(labels, healed, CT, CT).sum() == 12  # 2 x 2 pixels and their neighbours
    between = Condition(modality="CT", age=50, sex="F", severity_level=0.5)
    assert np.array_equal(edited_region(labels, same, CT, between), labels == L.LIVER)


def test_a_softened_edge_stays_near_the_region():
    region = np.zeros((16, 16), bool)
    region[4:12, 4:12] = True
    soft = softened(region)
    assert soft[8, 8] == pytest.approx(1.0, abs=1e-3)
    assert 0.05 < soft[3, 8] < 0.5
    assert soft[0, 8] == pytest.approx(0.0, abs=1e-6)
    assert np.array_equal(softened(np.ones((4, 4), bool)), np.ones((4, 4), np.float32))


def test_a_severity_that_nobody_stated_is_neither_more_nor_less():
    unknown = Condition(modality="CT", age=50, sex="F", severity=None)
    assert np.array_equal(edited_region(a_mask(), a_mask(), unknown, CT), a_mask() == L.LIVER)
    assert not edited_region(a_mask(), a_mask(), unknown, unknown).any()


def test_seeds_run_on_from_the_first():
    assert ask(seed=7, count=3).seeds == [7, 8, 9]
    assert ask(seed=2**32 - 1, count=2).seeds == [2**32 - 1, 0]


def test_requests_need_no_torch():
    code = "import sys; sys.modules['torch'] = None; import synthesis.edit_request"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("recipe", "methods"),
    [
        ({}, ("flow_inversion",)),
        ({"label_set": LABELS}, ("flow_inversion", "guided")),
        ({"label_set": LABELS[:-1]}, ("flow_inversion",)),
        ({"backbone": {"name": "unet"}, "label_set": LABELS}, ("flow_inversion", "guided")),
        ({"backbone": {"name": "stable_diffusion"}}, ("flow_inversion", "pix2pix_zero")),
        ({"backbone": {"name": "sdxl"}, "label_set": LABELS}, ("flow_inversion", "pix2pix_zero", "guided")),
        (
            {"backbone": {"name": "sdxl"}, "label_set": LABELS, "prompts": {"image": "MRI"}},
            ("flow_inversion", "pix2pix_zero"),
        ),
        ({"backbone": {"name": "sd3"}}, ("flow_inversion",)),
        ({"backbone": {"name": "unet", "takes_image": True}, "label_set": LABELS}, ("instruct_pix2pix",)),
        ({"backbone": {"name": "stable_diffusion", "takes_image": True}}, ("instruct_pix2pix",)),
    ],
)
def test_what_a_model_offers_stands_in_its_recipe(recipe, methods):
    assert methods_of(recipe) == methods
    assert set(methods) <= set(COUNTERFACTUALS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attention": -1.0}, "attention: expected 0 to 100"),
        ({"regularisation": 101.0}, "regularisation: expected 0 to 100"),
        ({"guidance": -0.5}, "guidance: expected 0 to 100"),
        ({"negative": "x" * 301}, "negative: expected at most 300"),
        ({"drift_scheme": "sideways"}, "drift_scheme: expected one of noise, prior, init_only, literal"),
    ],
)
def test_options_of_methods_have_limits(options, words):
    with pytest.raises(ValueError, match=words):
        EditOptions(**options)


def test_what_is_left_to_the_method_is_not_written_down():
    assert set(EditOptions().to_json()) & {"attention", "regularisation", "negative", "guidance"} == set()
    said = EditOptions(method="pix2pix_zero", attention=0.0, negative="fat")
    assert EditOptions.from_json(said.to_json()) == said
