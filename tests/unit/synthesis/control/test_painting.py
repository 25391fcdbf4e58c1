"""What the network is told: one-hot labels, grades inside the liver, attributes with an unknown."""

import numpy as np
import pytest
import torch

from synthesis.control.painting import (
    AGE_KNOWN,
    AGE_PLANES,
    AGE_VALUE,
    ATTRIBUTES,
    LABEL_COUNT,
    LESION,
    LIVER,
    PLANES,
    SEVERITY_PLANES,
    SEX_ENTRIES,
    STEATOSIS_PLANES,
    paint,
    unconditional,
    without_lesions,
)
from synthesis.control.text import TextCondition
from synthesis.phantoms import labels as names
from synthesis.request import Condition


@pytest.fixture
def labels():
    drawn = np.full((1, 8, 8), names.FAT, np.uint8)
    drawn[:, 2:5, 2:5] = names.LIVER
    drawn[:, 3, 3] = names.LESION
    return drawn


def test_the_liver_is_the_phantoms_liver():
    assert names.LIVER == LIVER
    assert len(names.LABEL_SET) == LABEL_COUNT


def test_labels_are_one_hot(labels):
    planes, attributes = paint(labels, [Condition(modality="CT")])
    assert planes.shape == (1, PLANES, 8, 8)
    assert attributes.shape == (1, ATTRIBUTES)
    assert torch.equal(planes[:, :LABEL_COUNT].argmax(1), torch.from_numpy(labels).long())
    assert torch.all(planes[:, :LABEL_COUNT].sum(1) == 1)


@pytest.mark.parametrize(("severity", "grade"), [("none", 0), ("low", 1), ("mild", 2), ("severe", 3)])
def test_severity_is_painted_inside_the_liver_only(labels, severity, grade):
    planes, _ = paint(labels, [Condition(modality="T1", severity=severity)])
    painted = planes[0, SEVERITY_PLANES]
    assert torch.equal(painted[grade], torch.from_numpy(labels[0] == names.LIVER).float())
    assert painted.sum() == painted[grade].sum()


@pytest.mark.parametrize(("level", "word"), [(0.0, "none"), (1.0, "low"), (2.0, "mild"), (3.0, "severe")])
def test_a_whole_level_is_its_grade_to_the_last_bit(labels, level, word):
    wanted = paint(labels, [Condition(modality="CT", severity=word, steatosis=1)])
    got = paint(labels, [Condition(modality="CT", severity_level=level, steatosis=1)])
    assert torch.equal(got.planes, wanted.planes)
    assert got.planes.dtype == wanted.planes.dtype
    assert torch.equal(got.attributes, wanted.attributes)


@pytest.mark.parametrize(
    ("level", "shares"), [(0.25, [0.75, 0.25, 0, 0]), (1.5, [0, 0.5, 0.5, 0]), (2.75, [0, 0, 0.25, 0.75])]
)
def test_between_two_grades_each_has_its_share(labels, level, shares):
    planes, _ = paint(labels, [Condition(modality="CT", severity_level=level)])
    painted = planes[0, SEVERITY_PLANES]
    assert painted[:, 2, 2].tolist() == shares
    assert torch.all(painted[:, labels[0] != names.LIVER] == 0)


def test_a_mixed_batch_and_one_that_states_no_severity(labels):
    both = np.concatenate([labels, labels])
    planes, _ = paint(
        both, [Condition(modality="CT", severity_level=2.5), Condition(modality="CT", severity="low")]
    )
    assert planes[:, SEVERITY_PLANES, 2, 2].tolist() == [[0, 0, 0.5, 0.5], [0, 1, 0, 0]]
    unstated, _ = paint(labels, [Condition(modality="CT", severity=None)])
    assert unstated[:, SEVERITY_PLANES].sum() == 0


@pytest.mark.parametrize("level", [-0.5, 3.5, float("nan")])
def test_a_level_outside_of_the_scale_is_refused(labels, level):
    with pytest.raises(ValueError, match="severity_level"):
        paint(labels, [Condition(modality="CT", severity_level=level)])


def test_steatosis_is_painted_too(labels):
    planes, _ = paint(labels, [Condition(modality="T2", steatosis=2)])
    assert planes[0, STEATOSIS_PLANES].sum((1, 2)).tolist() == [0, 0, 8, 0]


def test_unknown_age_is_not_an_age_of_zero_years(labels):
    _, unknown = paint(labels, [Condition(modality="CT")])
    _, middle = paint(labels, [Condition(modality="CT", age=60)])
    _, old = paint(labels, [Condition(modality="CT", age=80, sex="M")])
    assert unknown[0, AGE_KNOWN] == 0
    assert middle[0, [AGE_KNOWN, AGE_VALUE]].tolist() == [1, 0]
    assert old[0, AGE_VALUE] == 1
    assert unknown[0, SEX_ENTRIES].sum() == 0
    assert old[0, SEX_ENTRIES].tolist() == [0, 1]


def test_unconditional_keeps_mask_and_modality(labels):
    full = paint(labels, [Condition(modality="T2", severity="severe", steatosis=3, age=40, sex="F")])
    bare = unconditional(full)
    assert torch.equal(bare.planes[:, :LABEL_COUNT], full.planes[:, :LABEL_COUNT])
    assert bare.planes[:, LABEL_COUNT:].sum() == 0
    assert bare.attributes[0].tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert full.planes[:, SEVERITY_PLANES].sum() > 0  # the original is left alone


def test_each_image_has_its_own_condition(labels):
    both = np.concatenate([labels, labels])
    tensors = paint(
        both, [Condition(modality="CT", severity="low"), Condition(modality="T1", severity="severe")]
    )
    assert torch.equal(
        tensors.select(slice(1, 2)).planes,
        paint(labels, [Condition(modality="T1", severity="severe")]).planes,
    )


def test_words_and_shapes_that_do_not_fit_are_named(labels):
    with pytest.raises(ValueError, match="grave"):
        paint(labels, [Condition(modality="CT", severity="grave")])
    with pytest.raises(ValueError, match=r"\[2, H, W\]"):
        paint(labels, [Condition(modality="CT")] * 2)
    with pytest.raises(ValueError, match=r"0\.\.19"):
        paint(labels + 20, [Condition(modality="CT")])


def test_age_is_painted_inside_bone_and_muscle(labels):
    labels[0, 6, :3] = [names.BONE, names.RIBS, names.MUSCLE]
    planes, _ = paint(labels, [Condition(modality="CT", age=80)])
    bone, muscle = planes[0, AGE_PLANES]
    assert bone[6, :3].tolist() == [1, 1, 0]
    assert muscle[6, :3].tolist() == [0, 0, 1]
    assert bone.sum() == 2
    assert muscle.sum() == 1
    unknown, _ = paint(labels, [Condition(modality="CT")])
    assert unknown[:, AGE_PLANES].abs().sum() == 0


def test_without_lesions_leaves_what_else_a_network_is_told():
    told = TextCondition(
        *paint(np.full((1, 4, 4), LESION, np.uint8), [Condition(modality="CT")]),
        torch.tensor([1.0]),
        *(torch.ones(1, n) for n in (5, 6, 7)),
        torch.ones(1, 0),
    )
    without = without_lesions(told)
    assert without.planes[:, LESION].sum() == 0
    assert all(torch.equal(a, b) for a, b in zip(without[1:], told[1:], strict=True))
    with pytest.raises(ValueError, match="picture"):
        without_lesions(told._replace(picture=torch.ones(1, 3, 4, 4)))
