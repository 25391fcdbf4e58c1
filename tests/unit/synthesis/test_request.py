"""Requests: what makes no sense is refused where it is made, and JSON goes both ways."""

import numpy as np
import pytest

from synthesis.request import Condition, SamplerOptions, SynthesisRequest


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


def test_an_unknown_key_is_named():
    with pytest.raises(ValueError, match="colour"):
        Condition.from_json({"modality": "CT", "colour": "red"})


def test_each_image_has_a_seed_that_makes_it_alone():
    assert request(seed=2**32 - 2, count=4).seeds == [2**32 - 2, 2**32 - 1, 0, 1]
