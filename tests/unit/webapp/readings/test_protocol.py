"""The protocol: one canonical text, one digest, and no protocol that makes no sound study."""

import hashlib
import json

import pytest

from webapp.core.errors import ApplicationError
from webapp.readings.protocol import (
    Frozen,
    Margin,
    Protocol,
    Question,
    Repeats,
    Sessions,
    canonical,
    sha256_of,
)

FROZEN = Frozen(
    version=1,
    items=({"number": 1, "role": "main", "pixels_sha256": "a" * 64},),
    readers=({"number": 1, "order": [1], "sessions": [1]},),
    audit="b" * 64,
    truth_sha256="c" * 64,
    prevalence=0.5,
)


def test_the_digest_can_be_checked_by_hand() -> None:
    text = '{"a":[1,"ü"],"b":null}'
    assert canonical({"b": None, "a": [1, "ü"]}) == text
    assert sha256_of({"b": None, "a": [1, "ü"]}) == hashlib.sha256(text.encode()).hexdigest()
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})


@pytest.mark.parametrize("frozen", [None, FROZEN])
def test_it_comes_back_from_json(frozen: Frozen | None) -> None:
    questions = (
        Question.make(type="real_or_synthetic", name="first", label="Real?"),
        Question.make(type="choice", name="phase", label="Phase?", required=False, choices=("a", "b")),
    )
    protocol = Protocol(
        questions=questions,
        instructions="Look.",
        repeats=Repeats(share=0.25, gap=3),
        sessions=Sessions(count=2, washout_hours=336),
        margin=Margin(measure="accuracy", value=0.05),
        stratify=("modality", "severity"),
        harmonise={"field_mm": 200.0},
        seed=2**61,
        frozen=frozen,
    )
    kept = json.loads(json.dumps(protocol.to_json()))
    assert Protocol.from_json(kept) == protocol
    assert Protocol.from_json(kept).sha256 == protocol.sha256 == sha256_of(kept)


def test_changing_any_decision_changes_the_digest() -> None:
    base = Protocol(seed=1)
    changes = {
        "instructions": "x",
        "prevalence_told": True,
        "window": "fixed",
        "going_back": True,
        "repeats": Repeats(share=0.1),
        "sessions": Sessions(count=2),
        "block_size": 8,
        "stratify": (),
        "margin": Margin(value=0.2),
        "alpha": 0.1,
        "one_per_patient": False,
        "harmonise": {"frames": 1},
        "seed": 2,
        "frozen": FROZEN,
    }
    digests = {base.changed(**{name: value}).sha256 for name, value in changes.items()} | {base.sha256}
    assert len(digests) == len(changes) + 1


def test_an_empty_json_is_a_protocol_of_defaults() -> None:
    assert Protocol.from_json({}) == Protocol()
    assert Protocol().primary.type == "real_or_synthetic"
    with pytest.raises(ValueError, match="expected keys"):
        Protocol.from_json({"surprise": 1})


@pytest.mark.parametrize(
    "make",
    [
        lambda: Protocol(questions=()),
        lambda: Protocol(questions=(Question.make(type="likert", name="q", label="How good?"),)),
        lambda: Protocol(questions=(Protocol().primary, Protocol().primary)),
        lambda: Protocol(block_size=5),
        lambda: Protocol(window="wide"),
        lambda: Protocol(alpha=0.5),
        lambda: Protocol(instructions="x" * 20_001),
        lambda: Repeats(share=0.6),
        lambda: Repeats(share=0.1, gap=0),
        lambda: Sessions(count=0),
        lambda: Sessions(count=2, washout_hours=-1),
        lambda: Margin(value=0.5),
        lambda: Margin(measure="kappa"),
        lambda: Question.make(type="likert", name="Bad name", label="x"),
        lambda: Question.make(type="likert", name="q", label=" "),
    ],
)
def test_what_makes_no_sound_study_is_refused_in_words(make) -> None:
    with pytest.raises(ApplicationError) as caught:
        make()
    assert str(caught.value).endswith(".")
