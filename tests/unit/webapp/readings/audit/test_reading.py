"""What the audit reads out of answers, and its checks that need no statistics."""

from __future__ import annotations

import numpy as np
import pytest

from webapp.core.errors import ApplicationError
from webapp.readings.audit import AuditReport, Exchange, Observation, audit
from webapp.readings.audit.columns import METADATA, as_number, feature
from webapp.readings.audit.exchanges import flat, page, received, shape
from webapp.readings.audit.naming import date_in
from webapp.readings.audit.pictures import pixel_statistics
from webapp.readings.audit.simulated import study


def item(number: int, arm: str, body: object, **exchange: object) -> Observation:
    known = {
        "kind": "state",
        "url": "/x",
        "status": 200,
        "headers": (),
        "length": 9,
        "begun": 1_763_600_000.0,
    }
    return Observation(
        item=str(number),
        arm=arm,
        cluster=str(number),
        position=number,
        exchanges=(Exchange(**{**known, "body": body, **exchange}),),
    )


def few(*bodies: object) -> list[Observation]:
    """A few items, the arms in turn: no statistics can find anything."""
    return [item(k, "synthetic" if k % 2 else "real", body) for k, body in enumerate(bodies)]


# --- reading


def test_json_becomes_paths() -> None:
    found = dict(flat({"a": [1, 2.5], "b": {"c": None}, "d": [{"e": 5}, {"e": 7}], "f": [{"g": "x"}]}))
    assert found["a[0]"] == 1
    assert found["a[1]"] == 2.5
    assert found["b.c"] == "null"
    assert found["f[0].g"] == "x"
    assert (found["d[*].e (first)"], found["d[*].e (last)"], found["d[*].e (step)"]) == (5, 7, 2)
    assert found[" keys"] == "a b d f"


def test_a_page_becomes_words_numbers_and_attributes() -> None:
    found = dict(page('<p data-x="7">Item 3 of 40</p><!-- real --><script>var a = 1</script>'))
    assert found["page: p[data-x] 1"] == "7"
    assert found['page: word "real"'] == 1
    assert (found["page: number 1"], found["page: number 2"]) == (3.0, 40.0)


def test_headers_keep_order_and_the_clock_stays_out() -> None:
    headers = (("B", "1"), ("A", "2"), ("Date", "Mon, 02 Nov 2026 10:00:00 GMT"), ("A", "3"))
    table = received(item(0, "real", None, headers=headers, seconds=(0.3, 0.1, 0.2)))
    assert table["state: headers in order"] == "B, A, Date, A"
    assert table["state: header a"] == "2; 3"
    assert "state: header date" not in table
    assert table["state: time of the first visit"] == 0.3
    assert table["state: usual time"] == pytest.approx(0.15)
    assert table["state: shortest time"] == 0.1


@pytest.mark.parametrize(
    ("text", "expected"), [("0f" * 16, "#32"), ("IM00012", "A9"), ("2.25.17", "9.9.9"), ("read", "a")]
)
def test_names_have_a_shape(text: str, expected: str) -> None:
    assert shape(text) == expected


@pytest.mark.parametrize(
    ("value", "number"), [("0.750", 0.75), (True, 1.0), ("1e3", 1000.0), ("x1", None), (float("nan"), None)]
)
def test_numbers_are_read_from_text(value: object, number: float | None) -> None:
    assert as_number(value) == number


def test_a_feature_that_never_differs_is_none() -> None:
    assert feature("x", METADATA, ["a"] * 5, np.arange(5)) is None


def test_columns_of_numbers_and_of_names() -> None:
    order = np.array([2, 0, 1, 3])
    words = {c.words: c.numbers for c in feature("x", METADATA, [1.5, 2, None, 16], order).columns}
    assert list(words["is more often there"]) == [1, 1, 0, 1]
    assert list(words["is larger"]) == [1.5, 2, 2, 16]
    assert list(words["is written with more digits"]) == [1, 0, 0, 0]
    assert list(words["rises more from the item before"]) == [-0.5, 0.5, 0, 14]
    names = {
        c.words: list(c.numbers) for c in feature("x", METADATA, ["ab1", "ab2", "zZ"], order[:3]).columns
    }
    assert names["is longer"] == [3, 3, 2]
    assert names["comes later in the alphabet"] == [0, 1, 2]
    assert names["more often begins with “ab”"] == [1, 1, 0]
    assert names["has more capitals"] == [0, 0, 0.5]


def test_pixel_statistics_of_a_known_image() -> None:
    image = np.zeros((2, 16, 16), np.int16)
    image[:, 4:12, 4:12] = 100
    image[:, 7, 7] = 104
    found = pixel_statistics(image, (0, 104))
    assert found["step between values"] == 4
    assert found["gap above the lowest value"] == 100
    assert found["share of pixels at the lowest value"] == 0.75
    assert found["border: lowest value at the top"] == 1
    assert found["corner upper left: contrast"] == 0
    assert found["mean change between neighbouring frames"] == 0
    assert all(np.isfinite(value) for value in found.values())


@pytest.mark.parametrize("image", [np.zeros((1, 9, 9), np.int16), np.full((3, 5, 8), -7, np.int16)])
def test_pixel_statistics_of_nothing_are_finite(image: np.ndarray) -> None:
    assert all(np.isfinite(value) for value in pixel_statistics(image, (-8, 8)).values())


# --- checks without statistics


@pytest.mark.parametrize(
    ("text", "is_date"),
    [
        ("20261102", True),
        ("2026-11-02T10:00:00Z", True),
        ("Mon, 02 Nov 2026 10:00:00 GMT", True),
        ("99999999", False),
        ("20261399", False),
        ("0.20261102", False),
    ],
)
def test_dates_are_recognised(text: str, is_date: bool) -> None:
    assert (date_in(text) is not None) == is_date


@pytest.mark.parametrize(
    ("bodies", "words"),
    [
        (({"t": "a"}, {"t": "b"}) * 3, "the same for every item of one arm"),
        (({"t": "Liver"}, {"t": "Liver"}, {"t": "SYNTHETIC liver"}, {"t": "Liver"}), "names a source"),
        (({"seed": 1}, {}, {}, {}), "names a source"),
        (({"t": "x"}, {"t": "2019-05-01"}, {"t": "y"}, {"t": "z"}), "a date"),
        (
            ({"00080070": {"vr": "LO", "Value": ["Siemens"]}}, {}, {}, {}),
            "Manufacturer (0008,0070)",
        ),
    ],
)
def test_a_few_items_are_enough_for_what_names_its_source(bodies: tuple[object, ...], words: str) -> None:
    report = audit(few(*bodies), seed=0, permutations=99)
    assert any(words in one.words for one in report.findings), report.findings
    assert report.is_blocked


def test_two_items_of_an_arm_are_no_pattern() -> None:
    report = audit(few({"t": "a"}, {"t": "b"}, {"t": "a"}, {"t": "b"}), seed=0, permutations=99)
    assert not report.findings
    assert report.needs_acceptance


def test_words_that_every_item_has_are_no_leak_but_attributes_are_named() -> None:
    same = {"question": "Is it real or synthetic?", "00080070": {"vr": "LO", "Value": ["X"]}}
    report = audit(few(same, same, same, same), seed=0, permutations=99)
    assert not report.findings
    assert any("Manufacturer" in note for note in report.notes)
    assert not any("question" in note for note in report.notes)


def test_the_servers_own_clock_is_no_date_of_the_item() -> None:
    moments = [f"2025-11-20T00:5{k}:00Z" for k in range(4)]
    observations = [
        item(k, "synthetic" if k % 2 else "real", {"saved_at": moments[k]}, begun=date_in(moments[k]))
        for k in range(4)
    ]
    assert not audit(observations, seed=0, permutations=99).findings


def test_too_few_items_are_not_called_clear() -> None:
    report = audit(few({"v": 1}, {"v": 2}, {"v": 3}, {"v": 4}), seed=0, permutations=99)
    assert report.verdict == "acceptance"
    assert report.needs_acceptance
    assert report.detectable_auc is None
    assert "too few" in report.sentences[0]


def test_an_arm_that_is_missing_is_said_in_words() -> None:
    with pytest.raises(ApplicationError, match="no synthetic item"):
        audit([item(k, "real", {}) for k in range(4)], seed=0)


def test_an_observation_is_checked() -> None:
    with pytest.raises(ValueError, match="arm"):
        item(0, "fake", {})
    with pytest.raises(ValueError, match="int16"):
        Observation(item="0", arm="real", cluster="0", position=0, pixels=np.zeros((1, 2, 2)))


def test_the_report_survives_json() -> None:
    import json

    report = audit(study(16, 1, lambda one: one.state.update(kind=one.arm == "real")), seed=0)
    assert report.findings
    again = AuditReport.from_json(json.loads(json.dumps(report.to_json())))
    assert again == report
    plain = report.to_json()["findings"][0]
    assert plain["sentence"].startswith("In what the browser is told, “state: body kind”")
