"""Counterfactuals in words: what changed, what each number says, what the difference's colours reach to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from webapp.jobs.edit_maps import LEAST_TOP, round_top
from webapp.jobs.edit_words import (
    changes,
    level_word,
    method_terms,
    number_rows,
    read_level,
    unchanged_rows,
    undone_rows,
    where_words,
)

CT = {"modality": "CT", "severity": "severe", "steatosis": 0, "age": 58.0, "sex": "M"}
NUMBERS: dict[str, Any] = {
    "l1": 1.8, "psnr": 42.0, "ssim": 0.9856, "inside": 12.6, "outside": 1.4, "outside_most": 17.0,
    "undone": {"psnr": 44.9, "inside": 5.0, "outside": 2.5},
    "severity": {"before": {"none": 1.0}, "after": {"mild": 0.5, "severe": 0.5}, "followed": False},
}  # fmt: skip


def rows(**changed: Any) -> dict[str, Any]:
    return {row.name: row for row in number_rows({**NUMBERS, **changed}, CT)}


def test_only_what_differs_is_told() -> None:
    before = {**CT, "severity": "none", "age": 40.0}
    told = changes({"before": before, "condition": {**CT, "steatosis": 2}})
    assert [name for name, _, _ in told] == ["Cirrhosis", "Steatosis", "Age"]
    assert told[0][1:] == ("No cirrhosis", "Severe cirrhosis")
    assert told[2][1:] == ("40 years", "58 years")
    assert changes({"before": CT, "condition": CT}) == []


def test_every_number_has_its_unit_and_a_sentence() -> None:
    found = rows()
    assert found["Change inside"].value == "12.6 HU"
    assert found["Severity as read"].value == "0.0 → 2.5"
    assert found["PSNR"].value == "42.0 dB"
    assert all(row.sentence.endswith(".") for row in found.values())
    assert all(row.is_good for row in found.values())


def test_a_change_that_leaks_or_misses_is_flagged() -> None:
    assert not rows(outside=10.0)["Change outside"].is_good
    missed = {"before": {"none": 1.0}, "after": {"low": 1.0}, "followed": False}
    assert not rows(severity=missed)["Severity as read"].is_good


def test_a_reader_that_was_followed_proves_nothing() -> None:
    followed = {**NUMBERS["severity"], "followed": True}
    assert "proves nothing" in rows(severity=followed)["Severity as read"].sentence


@pytest.mark.parametrize("severity", [{}, {"before": {}, "after": {}, "followed": False}])
def test_an_unread_severity_is_left_out(severity: dict[str, Any]) -> None:
    assert "Severity as read" not in rows(severity=severity)


def test_the_method_alone_and_lpips_are_told_with_a_sentence_where_they_were_measured() -> None:
    assert unchanged_rows(NUMBERS) == []
    (good,), (bad,) = (unchanged_rows({"unchanged": {"psnr": value}}) for value in (41.2, 30.0))
    assert (good.value, good.is_good, bad.is_good) == ("41.2 dB", True, False)
    assert "what the method alone loses" in good.sentence
    assert "LPIPS" not in rows()
    assert rows(lpips=0.1234)["LPIPS"].value == "0.123"


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


def test_equal_images_are_identical_and_lost_nothing() -> None:
    assert rows(psnr=None)["PSNR"].value == "identical"
    lost = undone_rows({"undone": {"psnr": None, "inside": 0.0, "outside": 0.0}}, CT)
    assert (lost[0].value, lost[0].is_good) == ("identical", True)
    assert not undone_rows({"undone": {"psnr": 20.0}}, CT)[0].is_good
    assert undone_rows({}, CT) == []


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
