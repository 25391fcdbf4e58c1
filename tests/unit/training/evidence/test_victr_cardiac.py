"""The evidence on cardiac MR: patients kept apart, a manifest to prepare from, figures of known size."""

import csv
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from synthesis.metrics.kid import case_mean
from synthesis.phantoms.labels import AORTA, BODY
from synthesis.request import Condition
from training.evidence.victr_cardiac import cavity_contrast, over_patients
from training.evidence.victr_cardiac_set import splits_of, write_manifest
from training.held_out import Case
from training.sources import sources_of

GROUPS = {"normal": 5, "hypertrophy": 6}


def the_rows():
    return [
        {"patient": f"{group}{p}", "group": group}
        | {part: f"{part}s/{group}{p}-{i}.png" for part in ("file", "mask")}
        for group, patients in GROUPS.items()
        for p in range(patients)
        for i in range(2)
    ]  # fmt: skip


def test_every_group_has_patients_in_every_split_and_no_patient_is_in_two():
    rows = the_rows()
    splits = splits_of(rows)
    for group, patients in GROUPS.items():
        found = Counter(splits[name] for name in {r["patient"] for r in rows if r["group"] == group})
        assert found == {"test": 2, "validation": 1, "train": patients - 3}
    assert splits == splits_of(rows[::-1])  # the order of the table does not move anyone


def test_the_manifest_is_one_that_can_be_prepared(tmp_path):
    source = tmp_path / "source"
    for part in ("files", "masks"):
        (source / part).mkdir(parents=True)
    rows = the_rows()
    for row in rows:
        for part in ("file", "mask"):
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(source / row[part])
    with (source / "labels.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    found = sources_of(write_manifest(source, tmp_path / "set"))
    assert len(found) == len(rows)
    assert {one.modality for one in found} == {"T2"}
    assert {one.labels[0]["name"] for one in found} == {"aorta"}
    assert {one.patient: one.split for one in found} == splits_of(rows)


def test_the_contrast_is_that_of_the_cavity_against_its_ring():
    mask = np.full((32, 32), BODY, np.uint8)
    mask[12:20, 12:20] = AORTA
    image = np.where(mask == AORTA, 5.0, 2.0).astype(np.float32)
    image[:4] = 99.0  # far from the cavity: of no concern
    case = Case(image, mask, Condition(modality="T2"), 0, 1.0)
    empty = Case(image, np.full((32, 32), BODY, np.uint8), Condition(modality="T2"), 0, 1.0)
    found = cavity_contrast(np.stack([image, image]), [case, empty])
    assert found[0] == pytest.approx(3.0)
    assert np.isnan(found[1])


def test_intervals_are_over_patients():
    """Slices of one patient are alike here: more of them must not narrow the interval."""
    rng = np.random.default_rng(0)
    value = rng.normal(size=6)

    def kernel(slices):
        each = np.repeat(value, slices)
        return np.add.outer(each, each), np.repeat(np.arange(6), slices).astype(str)

    few, many = (over_patients(*kernel(slices)) for slices in (2, 20))
    assert many["high"] - many["low"] == pytest.approx(few["high"] - few["low"], rel=0.15)
    h, _ = kernel(2)
    assert few["value"] == pytest.approx(case_mean(h))
    assert few["low"] < few["value"] < few["high"]
