"""Counterfactuals in words: what changed, what each number says, what the difference's colours reach to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from webapp.jobs.edit_maps import LEAST_TOP, round_top
from webapp.jobs.edit_numbers import read_level
from webapp.jobs.edit_words import (
    change_title,
    changes,
    edit_asked_rows,
    level_word,
    method_terms,
    where_words,
)
from webapp.jobs.models import SynthesisRequest
from webapp.registry.models import GenerativeModel

CT = {"modality": "CT", "severity": "severe", "steatosis": 0, "age": 58.0, "sex": "M"}


def test_only_what_differs_is_told() -> None:
    before = {**CT, "severity": "none", "age": 40.0}
    told = changes({"before": before, "condition": {**CT, "steatosis": 2}})
    assert [name for name, _, _ in told] == ["Cirrhosis", "Steatosis", "Age"]
    assert told[0][1:] == ("No cirrhosis", "Severe cirrhosis")
    assert told[2][1:] == ("40 years", "58 years")
    assert changes({"before": CT, "condition": CT}) == []


@pytest.mark.parametrize(
    ("options", "screen", "header"),
    [
        ({"confined": True}, "only where the change belongs", ""),
        ({"confined": False}, "everywhere", ", acting everywhere"),
        ({"where": "painted"}, "only where it was painted", ", only inside a painted region"),
        ({"where": "spleen"}, "only in one structure: spleen", ", only inside the label spleen"),
    ],
)
def test_where_a_change_may_act_is_said(options: dict[str, Any], screen: str, header: str) -> None:
    assert where_words(options) == screen
    for method in ("guided", "flow_inversion"):
        assert method_terms({"method": method, **options}).endswith(header)


def test_levels_and_methods_in_words() -> None:
    assert (level_word(2.0), level_word(1.5)) == ("Mild", "1.5 (low–mild)")
    assert read_level({"low": 0.5, "severe": 0.5}) == pytest.approx(2.0)
    assert read_level({}) is None
    assert method_terms({"method": "flow_inversion", "strength": None}) == "flow inversion"
    assert method_terms({"method": "flow_inversion", "strength": 0.5, "drift": 0.1}) == (
        "flow inversion, strength 0.5, drift 0.1"
    )
    moved = {"method": "flow_inversion", "drift": 0.1, "drift_scheme": "init_only"}
    assert method_terms(moved) == "flow inversion, drift 0.1 init_only"
    assert method_terms({"method": "guided", "weight": 16.0}) == "guided by a severity reader, weight 16"
    used = {"strength": 1.0, "attention": 0.1, "guidance": 1.0, "regularisation": 0.0, "negative": ""}
    assert method_terms({"method": "pix2pix_zero", **used}) == "pix2pix zero, strength 1, attention 0.1"
    more = used | {"guidance": 5.0, "regularisation": 20.0, "negative": "blurred", "drift": 0.1}
    assert method_terms({"method": "pix2pix_zero", **more}) == (
        "pix2pix zero, strength 1, attention 0.1, guidance 5, regularisation 20, "
        "with words to lead away from, drift 0.1"
    )
    kept = {"strength": 1.0, "guidance": 2.0, "image_guidance": 1.5, "attention": 3.0}
    assert method_terms({"method": "instruct_pix2pix", **kept}) == (
        "instruct pix2pix, guidance 2, image guidance 1.5"
    )


def test_the_colours_end_at_a_round_number_near_the_largest_difference() -> None:
    assert round_top(np.full((4, 4), 37)) == 50
    assert round_top(np.full((4, 4), -101)) == 200
    assert round_top(np.zeros((4, 4))) == LEAST_TOP


def test_every_change_can_be_told_from_its_title_alone() -> None:
    before = {**CT, "severity": "none"}
    after = {**CT, "steatosis": 3, "sex": "F"}

    def titled(**parameters: Any) -> str:
        return change_title(SynthesisRequest(parameters={**parameters, "edit": {}}))

    assert titled(before=before, condition=after) == (
        "No cirrhosis → severe cirrhosis, no steatosis → steatosis grade 3, male → female, CT"
    )
    assert titled(before=CT, condition={**CT, "sex": "F"}) == "Male → female, CT"
    assert titled(before=after, condition={**after, "steatosis": 0}) == "Steatosis grade 3 → no steatosis, CT"


def test_a_strength_that_was_left_open_is_told_once_it_was_chosen() -> None:
    edit: dict[str, Any] = {"method": "flow_inversion"}
    parameters = {"before": CT, "condition": {**CT, "severity": "none"}, "edit": edit}
    item = SynthesisRequest(parameters=parameters, model=GenerativeModel())
    assert dict(edit_asked_rows(item))["Strength"] == "chosen to fit the change"
    assert dict(edit_asked_rows(item, {"strength": 0.4}))["Strength"] == "0.4, chosen to fit the change"
    edit["strength"] = 0.25
    assert dict(edit_asked_rows(item, {"strength": 0.25}))["Strength"] == "0.25"
    assert dict(edit_asked_rows(item))["Seed"] == str(item.seed)
    item.count = 3
    assert "First seed" in dict(edit_asked_rows(item))
