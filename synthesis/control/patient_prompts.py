"""Prompts built from what is known of a patient: age, sex, diagnosis. Free of torch: a screen may show them.

    A chest X-ray of a 67-year-old woman with cardiomegaly.

What is not known is left out, and the sentence stays a sentence. The paper's order of usefulness, least first
(Latent Drifting, CVPR 2025): generic, diagnosis, patient, diverse; age as a number did best.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, Protocol

# Every wording there is. {image} and {person} are noun phrases with their article, {finding} is "with ..." or
# nothing. The first of a style is the one that is used outside of training.
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "generic": ("{image}.",),
    "diagnosis": ("{image} {finding}.",),
    "patient": ("{image} of {person} {finding}.",),
    "diverse": (
        "{image} of {person} {finding}.",
        "{image} showing {person} {finding}.",
        "{image} taken of {person} {finding}.",
        "This is {image} of {person} {finding}.",
        "{person} {finding}, seen on {image}.",
        "{person} {finding}, examined by {image}.",
    ),
}
STYLES = tuple(TEMPLATES)
AGE_FORMATS = ("binned", "word", "numerical")

# binned: ranges of ten years, by the age in completed years; the last is open.
BIN_YEARS, LAST_BIN = 10, 90
# word: from that age on, in years; below ADULT a person is a girl, a boy or a child.
AGE_WORDS: tuple[tuple[float, str], ...] = (
    (0, "infant"),
    (2, "young"),
    (13, "adolescent"),
    (18, "young"),
    (40, "middle-aged"),
    (65, "elderly"),
)
ADULT = 18
PERSONS = {None: "patient", "F": "woman", "M": "man"}
CHILDREN = {None: "child", "F": "girl", "M": "boy"}
MOST_WORDS = 200  # characters of anything that a recipe puts into a prompt


class Told(Protocol):
    """What a prompt reads of a request's condition."""

    @property
    def age(self) -> float | None:
        """Years."""

    @property
    def sex(self) -> str | None:
        """F or M."""

    @property
    def diagnosis(self) -> str | None:
        """As the recipe names it."""


@dataclass(frozen=True, kw_only=True)
class PatientPrompts:
    """How prompts are worded: what a recipe says under `prompts`.

    image: what is shown, without an article ("chest X-ray"). style: one of STYLES; `diverse` draws one of
    several wordings in training. age: one of AGE_FORMATS. diagnoses: the data's name of a diagnosis ->
    what stands after "with" ("HF-I": "ischaemic heart failure", "N": "no heart disease"); left empty, the
    data's own words are used. token: a word that stands for what is learned, before `image`.
    token_from: the known word whose embedding a new token begins with; left empty, the token is a word
    that the text encoder knows already. Raises ValueError for what makes no sentence.
    """

    image: str = "medical image"
    style: str = "patient"
    age: str = "numerical"
    diagnoses: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    token_from: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "diagnoses", dict(self.diagnoses))
        words = (self.image, self.token, self.token_from, *self.diagnoses, *self.diagnoses.values())
        if any(
            not isinstance(one, str) or len(one) > MOST_WORDS or one != " ".join(one.split()) for one in words
        ):
            raise ValueError(
                f"prompts: expected words of at most {MOST_WORDS} characters, single spaces between them."
            )
        if self.style not in STYLES or self.age not in AGE_FORMATS:
            raise ValueError(
                f"prompts: expected a style ({', '.join(STYLES)}) and an age ({', '.join(AGE_FORMATS)}), "
                f"got {self.style!r} and {self.age!r}."
            )
        if not self.image and not self.token:
            raise ValueError("prompts: expected what the image is, or a token that stands for it.")
        if " " in self.token or (self.token_from and not self.token):
            raise ValueError(f"prompts: expected the token as one word, got {self.token!r}.")
        if any(not words for pair in self.diagnoses.items() for words in pair):
            raise ValueError("prompts: expected every diagnosis with a name and words.")

    def to_json(self) -> dict[str, Any]:
        """As a recipe says it."""
        return asdict(self)

    @property
    def templates(self) -> tuple[str, ...]:
        """The wordings of the style, the canonical one first."""
        return TEMPLATES[self.style]

    def prompt(self, told: Told, template: int = 0) -> str:
        """The sentence for a person, in one of the style's wordings.

        Raises ValueError for a diagnosis that is none of `diagnoses`, a sex or an age that is none.
        """
        image = with_article(" ".join(part for part in (self.token, self.image) if part))
        person = person_of(told.age, told.sex, self.age)
        filled = self.templates[template].format(
            image=image, person=person, finding=self._finding(told.diagnosis)
        )
        sentence = re.sub(r" +([.,])", r"\1", re.sub(r" +", " ", filled))
        return sentence[0].upper() + sentence[1:]

    def drawn(self, told: Told, rng: Any) -> str:
        """The sentence for a person in a wording that a numpy generator draws."""
        return self.prompt(told, int(rng.integers(len(self.templates))))

    def without_token(self) -> PatientPrompts:
        """The same prompts for what the token is one of: those of prior preservation."""
        return PatientPrompts(**asdict(self) | {"token": "", "token_from": ""})

    def _finding(self, diagnosis: str | None) -> str:
        if not diagnosis:
            return ""
        if self.diagnoses and diagnosis not in self.diagnoses:
            raise ValueError(f"diagnosis: expected one of {', '.join(self.diagnoses)}, got {diagnosis!r}.")
        return f"with {self.diagnoses.get(diagnosis, diagnosis)}"


def prompts_in(recipe: Mapping[str, Any]) -> PatientPrompts | None:
    """The prompts that a model's recipe asks for; None where it was told in another way.

    Raises ValueError where the recipe says something else under `prompts`.
    """
    told = recipe.get("prompts")
    if told is None:
        return None
    known = set(PatientPrompts.__dataclass_fields__)
    if (
        not isinstance(told, Mapping)
        or not set(told) <= known
        or not isinstance(told.get("diagnoses", {}), Mapping)
    ):
        raise ValueError(f"prompts: expected {', '.join(sorted(known))}, got {told!r}.")
    return PatientPrompts(**told)


def told_in(prompts: Mapping[str, Any]) -> frozenset[str]:
    """Which of "age", "sex" and "diagnosis" the sentences of a recipe's `prompts` tell."""
    wordings = TEMPLATES.get(str(prompts.get("style", PatientPrompts.style)), ())
    places = {"age": "{person}", "sex": "{person}", "diagnosis": "{finding}"}
    return frozenset(name for name, place in places.items() if any(place in one for one in wordings))


def person_of(age: float | None, sex: str | None, form: str) -> str:
    """A noun phrase with its article: "a 67-year-old woman", "an elderly man", "a patient aged 60 to 69"."""
    if sex not in PERSONS:
        raise ValueError(f"sex: expected F, M or None, got {sex!r}.")
    if age is None:
        return with_article(PERSONS[sex])
    if not (isfinite(age) and age >= 0):
        raise ValueError(f"age: expected a number of years from 0, got {age!r}.")
    if form == "numerical":
        years = int(age + 0.5)
        return with_article(f"{years}-year-old {_noun(years, sex)}")
    if form == "word":
        return with_article(f"{age_word(age)} {_noun(age, sex)}")
    return f"{with_article(_noun(age, sex))} aged {age_bin(age)}"


def age_bin(age: float) -> str:
    """The range of ten years that an age lies in: "60 to 69", at last "90 or over"."""
    low = min(int(age) // BIN_YEARS * BIN_YEARS, LAST_BIN)
    return f"{low} or over" if low == LAST_BIN else f"{low} to {low + BIN_YEARS - 1}"


def age_word(age: float) -> str:
    """The word for an age: the last of AGE_WORDS whose years are reached."""
    return AGE_WORDS[bisect_right([years for years, _ in AGE_WORDS], age) - 1][1]


def with_article(words: str) -> str:
    """a or an, as it is spoken: an 8-year-old, an MRI, a CT, a FLAIR image, an <eye>.

    Capitals are read letter by letter, unless they are four or more with a vowel among them.
    """
    found = re.match(r"[<\[({]*([A-Za-z]+|\d+)?(?=([^A-Za-z]?))", words)
    first, following = (found.group(1) or "", found.group(2)) if found else ("", "")
    if first.isdigit():
        vowel = first[0] == "8" or first in ("11", "18")
    elif (
        first.isupper()
        and (len(first) > 1 or following)
        and not (len(first) >= 4 and set(first) & set("AEIOU"))
    ):
        vowel = first[0] in "AEFHILMNORSX"
    else:
        vowel = first[:1].lower() in tuple("aeiou")
    return f"{'an' if vowel else 'a'} {words}"


def _noun(age: float, sex: str | None) -> str:
    return (CHILDREN if age < ADULT else PERSONS)[sex]
