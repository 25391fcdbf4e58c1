"""Phantom series: values, place in the patient, and the demo."""

import json

import numpy as np
import pytest

from synthesis.imaging.geometry import Geometry, orientation_letters
from synthesis.phantoms import DEMO_SERIES, SPLIT_OFFSETS, Attributes, SeriesPlan, phantom_series
from synthesis.phantoms import labels as L


def small(modality="CT", **attributes):
    plan = SeriesPlan(name="x", person="x", seed=11, modality=modality, attributes=Attributes(**attributes))
    return phantom_series(plan, shape=(10, 64, 64))


@pytest.mark.parametrize("modality", ["CT", "T1", "T2"])
def test_stored_values_are_the_real_ones_rounded(modality):
    series = small(modality)
    assert series.stored.dtype == np.int16
    inside = series.phantom.image > -1000
    assert np.abs(series.stored[inside] - series.phantom.image[inside]).max() <= 0.5


def test_the_series_lies_as_an_axial_scan_does():
    series = small()
    geometry = Geometry(affine=series.affine, shape=(10, 64, 64), slice_spacing_mm=5.0)
    assert orientation_letters(geometry.orientation) == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert geometry.normal[2] == 1.0
    assert geometry.spacing_mm == pytest.approx((*series.phantom.spacing_mm[1:], 5.0))
    middle = series.affine @ np.array([4.5, 31.5, 31.5, 1.0])
    np.testing.assert_allclose(middle[:3], 0.0, atol=1e-2)


def test_labels_and_facts_are_plain_and_true():
    series = small(severity_texture=3, lesions=1)
    assert {entry["value"] for entry in series.label_set} == set(np.unique(series.labels).tolist()) - {0}
    assert series.facts["severity"] == "severe"
    json.dumps([series.facts, series.label_set])


def test_the_demo_shows_every_modality_and_no_phantom_of_the_training_set():
    assert {plan.modality for plan in DEMO_SERIES} == {"CT", "T1", "T2"}
    assert len({plan.name for plan in DEMO_SERIES}) == len(DEMO_SERIES) >= 6
    assert min(plan.seed for plan in DEMO_SERIES) >= SPLIT_OFFSETS["demo"]


@pytest.mark.parametrize("plan", DEMO_SERIES, ids=lambda plan: plan.name)
def test_every_demo_series_shows_what_its_name_says(plan):
    series = phantom_series(plan, shape=(24, 64, 64))
    assert len(series.label_set) >= 13
    assert (series.labels == L.LIVER).any((1, 2)).mean() > 0.8
    assert (series.labels == L.LESION).any() == (plan.attributes.lesions > 0)
    assert (series.labels == L.ASCITES).any() == (plan.attributes.severity_shape >= 2)
