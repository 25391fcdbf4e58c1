"""Every leak that is known of blinded studies, planted alone into one of two otherwise equal arms, is found.

The list is that of blinding leaks in the literature and in generators: what MAISI's inference script
does to its images, DICOM attributes, and all that an HTTP answer carries beside its body.
"""

from __future__ import annotations

import pytest

from webapp.readings.audit import audit
from webapp.readings.audit.planted import METADATA, PIXELS, pixels
from webapp.readings.audit.simulated import moved, study

ITEMS = 40


@pytest.mark.parametrize("name", PIXELS)
def test_a_leak_of_the_pixels_is_named_and_has_to_be_accepted(name: str) -> None:
    change, feature = PIXELS[name]
    report = audit(study(ITEMS, 1, pixels(change)), seed=2)
    assert [one.feature for one in report.leaks("pixels") if feature in one.feature], report.sentences
    assert not report.leaks("metadata")
    assert report.verdict == "acceptance"
    assert report.needs_acceptance
    assert not report.is_blocked


@pytest.mark.parametrize("name", METADATA)
def test_a_leak_of_what_is_told_is_named_and_blocks_the_launch(name: str) -> None:
    leak, feature = METADATA[name]
    report = audit(study(ITEMS, 1, leak), seed=2)
    named = [one for one in report.leaks("metadata") if feature in one.feature]
    assert named, report.sentences
    assert not report.leaks("pixels")
    assert report.is_blocked
    told = named[0].sentence()
    assert feature in told
    assert "real:" in told


def test_a_running_score_or_a_number_left_is_found_by_its_change() -> None:
    observations = study(ITEMS, 1)
    order = sorted(observations, key=lambda one: one.position)
    left = sum(one.arm == "synthetic" for one in order)
    for one in order:
        state = next(exchange for exchange in one.exchanges if exchange.kind == "state")
        state.body["left"] = left
        left -= one.arm == "synthetic"
    report = audit(observations, seed=2)
    named = [one for one in report.leaks("metadata") if "left" in one.feature]
    assert named
    assert "rises" in named[0].words
    assert named[0].auc > 0.95


@pytest.mark.parametrize("rule", ["blocks", "alternating"])
def test_an_order_that_tells_is_found(rule: str) -> None:
    observations = study(ITEMS, 1)
    seen = {"real": 0, "synthetic": 0}
    positions = []
    for one in observations:
        rank, arm = seen[one.arm], int(one.arm == "synthetic")
        positions.append(rank + arm * ITEMS // 2 if rule == "blocks" else 2 * rank + arm)
        seen[one.arm] += 1
    report = audit(moved(observations, positions), seed=2)
    assert [one for one in report.leaks("metadata") if "position" in one.feature]


def test_equal_arms_are_clear_and_the_report_says_what_could_have_been_found() -> None:
    report = audit(study(ITEMS, 1), seed=2)
    assert report.verdict == "clear"
    assert report.findings == []
    assert report.detectable_auc == pytest.approx(0.83, abs=0.06)
    assert not report.is_blocked
    assert not report.needs_acceptance
