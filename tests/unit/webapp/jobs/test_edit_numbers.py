"""The numbers of a counterfactual in words: units, signs, what is flagged, what is left out."""

from __future__ import annotations

from typing import Any

import pytest

from webapp.jobs.edit_numbers import number_rows, unchanged_rows, undone_rows

CT = {"modality": "CT", "severity": "severe", "steatosis": 0, "age": 58.0, "sex": "M"}
NUMBERS: dict[str, Any] = {
    "l1": 1.8, "psnr": 42.0, "ssim": 0.9856, "inside": 12.6, "inside_mean": -3.04,
    "outside": 1.4, "outside_most": 17.0,
    "undone": {"psnr": 44.9, "inside": 5.0, "outside": 2.5},
    "severity": {"before": {"none": 1.0}, "after": {"mild": 0.5, "severe": 0.5}, "followed": False},
}  # fmt: skip


def rows(**changed: Any) -> dict[str, Any]:
    return {row.name: row for row in number_rows({**NUMBERS, **changed}, CT)}


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


def test_equal_images_are_identical_and_lost_nothing() -> None:
    assert rows(psnr=None)["PSNR"].value == "identical"
    lost = undone_rows({"undone": {"psnr": None, "inside": 0.0, "outside": 0.0}}, CT)
    assert (lost[0].value, lost[0].is_good) == ("identical", True)
    assert not undone_rows({"undone": {"psnr": 20.0}}, CT)[0].is_good
    assert undone_rows({}, CT) == []


def test_the_mean_change_has_its_sign() -> None:
    """RMS hides whether a liver darkens; a mean that rounds to nothing has no sign."""
    assert rows()["Mean change inside"].value == "−3.0 HU"
    assert rows(inside_mean=54.59)["Mean change inside"].value == "+54.6 HU"
    assert rows(inside_mean=-0.04)["Mean change inside"].value == "0.0 HU"
    assert "Mean change inside" not in rows(inside_mean=None)


def test_what_undoing_leaves_is_set_beside_the_change_and_flagged_where_most_of_it_stays() -> None:
    """The whole image can be at 44 dB while most of what changed in the liver has not come back."""
    _, inside, outside = undone_rows(NUMBERS, CT)
    assert (inside.value, inside.is_good) == ("5.0 HU", True)
    assert inside.sentence.endswith("The change itself was 12.6 HU there.")
    assert (outside.value, outside.is_good) == ("2.5 HU", True)
    most = {**NUMBERS, "undone": {"psnr": 43.9, "inside": 9.1, "outside": 2.2}}
    assert [row.is_good for row in undone_rows(most, CT)] == [True, False, True]
