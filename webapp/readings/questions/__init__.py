"""The question types that a study may ask, one per file; a new one is a file and a line here.

A type is a frozen dataclass whose fields are its options. It says how the reading page draws it
(`widget`), turns what a browser sent into the value that is stored (`validate`), and gives the
number that the statistics read (`score`). A type that needs more than one image or marks on the
image says so in its widget's "kind"; nothing else knows the types by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from synthesis.catalog import Entry


class QuestionType(Protocol):
    """What every file on this shelf provides."""

    about: ClassVar[str | Promise]

    def validate(self, value: Any) -> dict[str, Any]:
        """The value as it is stored. Raises ApplicationError, in a plain sentence, for any other."""

    def widget(self) -> dict[str, Any]:
        """How the reading page draws it, as JSON: "kind", the "field" of the value, choices with keys."""

    def score(self, value: Mapping[str, Any]) -> float | None:
        """The stored value as the statistics read it; None where it is no number."""

    def words(self, value: Mapping[str, Any]) -> str:
        """The stored value in words, for exports and reports."""


def _shelf(*entries: Entry) -> Mapping[str, Entry]:
    return MappingProxyType({entry.name: entry for entry in entries})


QUESTION_TYPES = _shelf(
    Entry(
        "real_or_synthetic",
        _("Real or synthetic, with confidence"),  # type: ignore[arg-type]
        "webapp.readings.questions.real_or_synthetic:RealOrSynthetic",
    ),
    Entry("likert", _("Quality on a scale"), "webapp.readings.questions.likert:Likert"),  # type: ignore[arg-type]
    Entry(
        "severity_grade",
        _("Severity grade"),  # type: ignore[arg-type]
        "webapp.readings.questions.severity_grade:SeverityGrade",
    ),
    Entry("choice", _("One of your own choices"), "webapp.readings.questions.choice:Choice"),  # type: ignore[arg-type]
    Entry("free_text", _("Free text"), "webapp.readings.questions.free_text:FreeText"),  # type: ignore[arg-type]
)

PRIMARY = "real_or_synthetic"
"""The type whose first question decides what the study finds."""


def question_make(name: str, options: Mapping[str, Any]) -> QuestionType:
    """The type called `name` with these options.

    Raises ValueError for a type that is not on the shelf or an option that it does not have, and
    ApplicationError for an option out of its range.
    """
    if name not in QUESTION_TYPES:
        raise ValueError(f"question type: expected one of {', '.join(QUESTION_TYPES)}, got {name!r}.")
    try:
        made: QuestionType = QUESTION_TYPES[name].load()(**options)
    except TypeError as error:
        raise ValueError(f"options of {name}: {error}.") from None
    return made


def question_options(kind: Any) -> dict[str, Any]:
    """The options of a type as plain JSON."""
    return {name: _plain(value) for name, value in asdict(kind).items()}


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
