"""Requests: what makes no sense is refused where it is made, and JSON goes both ways."""

import numpy as np
import pytest

from synthesis.request import SEVERITIES, Condition, SamplerOptions, SynthesisRequest


def request(**changes):
    values = {
        "labels": np.zeros((8, 8), np.uint8),
        "spacing_mm": (3.0, 3.0),
        "condition": Condition(modality="CT"),
        "sampler": SamplerOptions(),
        "seed": 1,
    }
    return SynthesisRequest(**{**values, **changes})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("labels", np.zeros((8, 8), np.int64)),
        ("labels", np.zeros((2, 8, 8), np.uint8)),
        ("spacing_mm", (0.0, 1.0)),
        ("spacing_mm", (float("nan"), 1.0)),
        ("count", 0),
        ("seed", -1),
        ("seed", 2**32),
    ],
)
def test_a_senseless_request_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        request(**{field: value})


def test_conditions_and_samplers_go_through_json():
    condition = Condition(modality="T2", severity="severe", steatosis=2, age=61.0, sex="F")
    assert Condition.from_json(condition.to_json()) == condition
    sampler = SamplerOptions(name="euler", steps=8)
    assert SamplerOptions.from_json(sampler.to_json()) == sampler


def test_a_condition_of_which_no_level_is_said_is_written_as_ever():
    assert Condition(modality="CT", severity="low").to_json() == {
        "modality": "CT",
        "severity": "low",
        "steatosis": 0,
        "age": None,
        "sex": None,
    }


@pytest.mark.parametrize(
    ("level", "word"),
    [(0, "none"), (0.4, "none"), (0.5, "low"), (1.49, "low"), (1.5, "mild"), (2.5, "severe"), (3, "severe")],
)
def test_a_level_decides_and_carries_the_nearest_word(level, word):
    condition = Condition(modality="CT", severity="none", severity_level=level)
    assert (condition.severity, condition.level) == (word, level)
    assert condition.to_json()["severity_level"] == float(level)
    assert Condition.from_json(condition.to_json()) == condition


def test_without_a_level_the_word_decides():
    assert [Condition(modality="CT", severity=word).level for word in SEVERITIES] == [0, 1, 2, 3]


@pytest.mark.parametrize("word", ["awful", "", None])
def test_an_unknown_word_is_named_with_those_that_are_known(word):
    with pytest.raises(ValueError, match="expected one of none, low, mild, severe, got"):
        _ = Condition(modality="CT", severity=word).level


@pytest.mark.parametrize("level", [-0.1, 3.1, float("nan"), "much"])
def test_a_level_that_makes_no_sense_leaves_the_word(level):
    assert Condition(modality="CT", severity="mild", severity_level=level).severity == "mild"


def test_an_unknown_key_is_named():
    with pytest.raises(ValueError, match="colour"):
        Condition.from_json({"modality": "CT", "colour": "red"})


def test_each_image_has_a_seed_that_makes_it_alone():
    assert request(seed=2**32 - 2, count=4).seeds == [2**32 - 2, 2**32 - 1, 0, 1]
