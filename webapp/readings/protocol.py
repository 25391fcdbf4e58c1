"""The protocol of a study: what the lead decides, and at launch everything that is then frozen with it.

It is plain data with one canonical text, so that anybody can check the digest: `canonical` writes JSON
with sorted keys and no blanks, `Protocol.sha256` is the SHA-256 of that text in UTF-8. The protocol
holds no arm, stratum or source of any item; the truth is committed to by `truth_sha256` alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _

from webapp.core.errors import ApplicationError
from webapp.readings.questions import PRIMARY, QuestionType, question_make, question_options

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
WINDOWS = ("free", "fixed")
MEASURES = ("accuracy", "auc")
MOST_QUESTIONS = 12
MOST_SESSIONS = 20
SEED_LIMIT = 2**62


def canonical(data: Any) -> str:
    """The one JSON text of some data: keys sorted, no blanks, characters as they are."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(data: Any) -> str:
    """SHA-256 in hex of the canonical text of some data."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question about every item. `kind` is an instance of a type on the shelf `questions`."""

    name: str
    label: str
    type: str
    kind: QuestionType
    required: bool = True

    def __post_init__(self) -> None:
        """Raises ApplicationError for an unusable name or an empty label."""
        if not NAME.fullmatch(self.name):
            raise ApplicationError(
                _(
                    "The short name of a question has up to 40 small letters, digits and underscores, "
                    "beginning with a letter; got “%(name)s”."
                )
                % {"name": self.name},
                field="name",
            )
        if not self.label.strip() or len(self.label) > 300:
            raise ApplicationError(
                _("Write the question as readers will see it, in up to 300 characters."), field="label"
            )

    @classmethod
    def make(cls, *, type: str, name: str, label: str, required: bool = True, **options: Any) -> Question:
        """A question of a type on the shelf, with that type's options."""
        kind = question_make(type, options)
        return cls(type=type, name=name, label=label, required=bool(required), kind=kind)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, the type's options beside the rest."""
        own = {"type": self.type, "name": self.name, "label": self.label, "required": self.required}
        return own | question_options(self.kind)

    def for_reader(self) -> dict[str, Any]:
        """What the reading page draws: name, label, required, and the type's widget."""
        own = {"type": self.type, "name": self.name, "label": self.label, "required": self.required}
        return own | {"widget": self.kind.widget()}


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Hidden repeats: the share of counted items shown twice, and how many items lie between at least."""

    share: float = 0.0
    gap: int = 10

    def __post_init__(self) -> None:
        """Raises ApplicationError for a share outside 0 to 0.5 or a gap below 1."""
        if not 0.0 <= self.share <= 0.5:
            raise ApplicationError(_("At most half of the items can be shown twice."), field="repeat_share")
        if self.gap < 1:
            raise ApplicationError(
                _("At least one other item must lie between the two showings."), field="repeat_gap"
            )


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """How many sittings the items are spread over, and how long must pass between two of them."""

    count: int = 1
    washout_hours: float = 0.0

    def __post_init__(self) -> None:
        """Raises ApplicationError for no session, too many, or a negative washout."""
        if not 1 <= self.count <= MOST_SESSIONS:
            raise ApplicationError(
                _("A study has 1 to %(most)d sessions.") % {"most": MOST_SESSIONS}, field="session_count"
            )
        if not 0 <= self.washout_hours <= 24 * 366:
            raise ApplicationError(_("The washout is between no hours and one year."), field="washout_hours")


@dataclass(frozen=True, kw_only=True)
class Margin:
    """The preregistered margin of equivalence: how far from chance (0.5) still counts as no difference."""

    measure: str = "auc"
    value: float = 0.1

    def __post_init__(self) -> None:
        """Raises ApplicationError for an unknown measure or a margin outside 0 to 0.5."""
        if self.measure not in MEASURES:
            raise ApplicationError(_("The margin is on accuracy or on the AUC."), field="margin_measure")
        if not 0.0 < self.value < 0.5:
            raise ApplicationError(_("The margin lies between 0 and 0.5, such as 0.1."), field="margin_value")


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """What launching adds. items: {"number", "role", "pixels_sha256"} by number. readers: {"number",
    "order", "sessions"}: item numbers in order and the session of each position. prevalence: the share
    of synthetic items where readers are told it, else None."""

    version: int
    items: tuple[Mapping[str, Any], ...]
    readers: tuple[Mapping[str, Any], ...]
    audit: str
    truth_sha256: str
    prevalence: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "version": self.version,
            "items": [dict(item) for item in self.items],
            "readers": [dict(reader) for reader in self.readers],
            "audit": self.audit,
            "truth_sha256": self.truth_sha256,
            "prevalence": self.prevalence,
        }


def _first_question() -> tuple[Question, ...]:
    return (
        Question.make(
            type=PRIMARY, name="real_or_synthetic", label=str(_("Is this image real or synthetic?"))
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One study's decisions. `frozen` is None until launch.

    stratify: attributes of which arms and blocks keep equal shares ("modality" is the image's own).
    block_size: items in a block within which arms and strata are balanced. harmonise: options of the
    harmoniser. seed: every order is made from it.
    """

    questions: tuple[Question, ...] = field(default_factory=_first_question)
    instructions: str = ""
    prevalence_told: bool = False
    window: str = "free"
    going_back: bool = False
    repeats: Repeats = field(default_factory=Repeats)
    sessions: Sessions = field(default_factory=Sessions)
    block_size: int = 10
    stratify: tuple[str, ...] = ("modality",)
    margin: Margin = field(default_factory=Margin)
    alpha: float = 0.05
    one_per_patient: bool = True
    harmonise: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    frozen: Frozen | None = None

    def __post_init__(self) -> None:
        """Raises ApplicationError, in plain sentences, for what makes no sound study."""
        _check_questions(self.questions)
        if len(self.instructions) > 20_000:
            raise ApplicationError(_("Keep the instructions below 20,000 characters."), field="instructions")
        if self.window not in WINDOWS:
            raise ApplicationError(_("Window and level are free or fixed."), field="window")
        if self.block_size < 2 or self.block_size % 2:
            raise ApplicationError(
                _("A block holds as many items of either arm, so its size is an even number."),
                field="block_size",
            )
        if not 0.0 < self.alpha <= 0.2:
            raise ApplicationError(_("The level alpha lies between 0 and 0.2."), field="alpha")
        if not 0 <= self.seed < SEED_LIMIT:
            raise ValueError(f"seed: expected 0 to 2**62 - 1, got {self.seed}.")

    @property
    def primary(self) -> Question:
        """The question that the study is about: the first of type real-or-synthetic."""
        return next(question for question in self.questions if question.type == PRIMARY)

    def question(self, name: str) -> Question | None:
        """The question of that short name."""
        return next((question for question in self.questions if question.name == name), None)

    def changed(self, **values: Any) -> Protocol:
        """The same protocol with some decisions changed."""
        return replace(self, **values)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as kept in `Reading.protocol` and digested at launch."""
        data: dict[str, Any] = {
            "questions": [question.to_json() for question in self.questions],
            "instructions": self.instructions,
            "prevalence_told": self.prevalence_told,
            "window": self.window,
            "going_back": self.going_back,
            "repeats": {"share": self.repeats.share, "gap": self.repeats.gap},
            "sessions": {"count": self.sessions.count, "washout_hours": self.sessions.washout_hours},
            "block_size": self.block_size,
            "stratify": list(self.stratify),
            "margin": {"measure": self.margin.measure, "value": self.margin.value},
            "alpha": self.alpha,
            "one_per_patient": self.one_per_patient,
            "harmonise": dict(self.harmonise),
            "seed": self.seed,
        }
        return data | (self.frozen.to_json() if self.frozen else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Protocol:
        """The protocol that `to_json` wrote; what is missing has its default.

        Raises ValueError for a key that a protocol does not have.
        """
        values = dict(data)
        launched = {name: values.pop(name) for name in _FROZEN if name in values}
        for name, make in _PARTS.items():
            if name in values:
                values[name] = make(values[name])
        unknown = set(values) - set(cls.__dataclass_fields__)
        if unknown:
            raise ValueError(f"protocol: expected keys of a protocol, got {sorted(unknown)}.")
        frozen = None
        if launched:
            frozen = Frozen(
                **launched | {"items": tuple(launched["items"]), "readers": tuple(launched["readers"])}
            )
        return cls(**values, frozen=frozen)

    @property
    def sha256(self) -> str:
        """The digest of the canonical text."""
        return sha256_of(self.to_json())


_FROZEN = ("version", "items", "readers", "audit", "truth_sha256", "prevalence")
_PARTS: dict[str, Any] = {
    "questions": lambda all_: tuple(Question.make(**one) for one in all_),
    "repeats": lambda one: Repeats(**one),
    "sessions": lambda one: Sessions(**one),
    "margin": lambda one: Margin(**one),
    "stratify": tuple,
}


def _check_questions(questions: Sequence[Question]) -> None:
    if not any(question.type == PRIMARY and question.required for question in questions):
        raise ApplicationError(
            _("A study asks at least one “real or synthetic?” that must be answered."), field="questions"
        )
    if len(questions) > MOST_QUESTIONS:
        raise ApplicationError(
            _("A study asks at most %(most)d questions.") % {"most": MOST_QUESTIONS}, field="questions"
        )
    names = [question.name for question in questions]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ApplicationError(
            _("Two questions cannot share the short name “%(name)s”.") % {"name": twice[0]},
            field="questions",
        )
