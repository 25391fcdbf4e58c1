"""Every question type: what it stores, what it refuses, how it is drawn; parametrised over the shelf."""

import json
from dataclasses import fields

import pytest

from webapp.core.errors import ApplicationError
from webapp.readings.protocol import Question
from webapp.readings.questions import QUESTION_TYPES, question_make, question_options

OPTIONS = {"choice": {"choices": ("arterial", "portal")}}
GOOD = {
    "real_or_synthetic": (
        {"score": 4},
        {"score": 4, "synthetic": True, "scale": "5"},
        4.0,
        "Probably synthetic",
    ),
    "likert": ({"value": 2}, {"value": 2}, 2.0, "2 of 5"),
    "severity_grade": ({"value": "mild"}, {"value": "mild"}, 2.0, "Mild"),
    "choice": ({"value": "portal"}, {"value": "portal"}, None, "portal"),
    "free_text": ({"text": " seen \x00"}, {"text": "seen"}, None, "seen"),
}
HOSTILE = [
    None,
    3,
    "x",
    [],
    {},
    {"value": []},
    {"score": True},
    {"value": 99},
    {"score": 2.5},
    {"text": "x" * 2001},
]


@pytest.mark.parametrize("name", QUESTION_TYPES)
def test_a_good_answer_is_stored_scored_and_said(name: str) -> None:
    kind = question_make(name, OPTIONS.get(name, {}))
    given, stored, score, words = GOOD[name]
    assert kind.validate(given) == stored
    assert kind.score(stored) == score
    assert kind.words(stored) == words
    assert json.loads(json.dumps(stored)) == stored


@pytest.mark.parametrize("name", QUESTION_TYPES)
def test_every_other_answer_is_refused_in_words(name: str) -> None:
    kind = question_make(name, OPTIONS.get(name, {}))
    for value in HOSTILE:
        with pytest.raises(ApplicationError) as caught:
            kind.validate(value)
        assert str(caught.value).endswith((".", "?"))


@pytest.mark.parametrize("name", QUESTION_TYPES)
def test_the_widget_is_json_and_its_choices_are_answers(name: str) -> None:
    kind = question_make(name, OPTIONS.get(name, {}))
    widget = json.loads(json.dumps(kind.widget()))
    assert widget["kind"] in {"targets", "slider", "text"}
    keys = [choice["key"] for choice in widget.get("choices", []) if choice["key"]]
    assert len(keys) == len(set(keys))
    for choice in widget.get("choices", []):
        extra = {"synthetic": False} if widget["forced"] else {}
        kind.validate({widget["field"]: choice["value"]} | extra)


@pytest.mark.parametrize("name", QUESTION_TYPES)
def test_options_come_back_from_json_and_have_labels(name: str) -> None:
    question = Question.make(type=name, name="q", label="What?", **OPTIONS.get(name, {}))
    assert Question.make(**json.loads(json.dumps(question.to_json()))) == question
    kind = QUESTION_TYPES[name].load()
    assert set(question_options(question.kind)) == {one.name for one in fields(kind)}
    assert all(one.metadata["label"] for one in fields(kind))


@pytest.mark.parametrize(
    ("scale", "middle", "top"), [("4", None, 4), ("5", 3, 5), ("6", None, 6), ("slider", 50, 100)]
)
def test_the_side_of_the_middle_is_the_decision(scale: str, middle: int | None, top: int) -> None:
    kind = question_make("real_or_synthetic", {"scale": scale})
    low = 0 if scale == "slider" else 1
    for score in range(low, top + 1):
        if score == middle:
            continue
        expected = score > (low + top) / 2
        assert kind.validate({"score": score, "synthetic": not expected})["synthetic"] is expected
    if middle is not None:
        with pytest.raises(ApplicationError, match="If you had to choose"):
            kind.validate({"score": middle})
        assert kind.validate({"score": middle, "synthetic": True})["synthetic"] is True
        free = question_make("real_or_synthetic", {"scale": scale, "forced": False})
        assert free.validate({"score": middle, "synthetic": True})["synthetic"] is None
    with pytest.raises(ApplicationError):
        kind.validate({"score": top + 1})
    with pytest.raises(ApplicationError):
        kind.validate({"score": low - 1})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("likert", {"steps": 2}),
        ("likert", {"steps": 10}),
        ("likert", {"low": " "}),
        ("choice", {"choices": ("one",)}),
        ("choice", {"choices": ("a", "a")}),
        ("choice", {"choices": ("a", "b" * 81)}),
        ("real_or_synthetic", {"scale": "7"}),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict) -> None:
    with pytest.raises(ApplicationError):
        question_make(name, options)


def test_unknown_types_and_options_are_a_programmers_mistake() -> None:
    with pytest.raises(ValueError, match="expected one of"):
        question_make("smell", {})
    with pytest.raises(ValueError, match="options of likert"):
        question_make("likert", {"colour": "red"})
