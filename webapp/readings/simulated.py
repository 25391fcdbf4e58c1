"""Readers who are not people: answers drawn from signal detection theory, for demos, tests and measures.

Only a study that says of itself that its readers are simulated takes them, and every page, figure and
file of it says so again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from django.db import transaction
from django.utils.translation import gettext as _

from webapp.core.errors import Conflict
from webapp.readings.freezing import reading_protocol
from webapp.readings.models import Answer, Assignment, ItemTruth, Place, PlaceEvent, Reading, ReadingItem
from webapp.readings.protocol import Question
from webapp.readings.questions.choice import Choice
from webapp.readings.questions.free_text import FreeText
from webapp.readings.questions.likert import Likert
from webapp.readings.questions.real_or_synthetic import RealOrSynthetic
from webapp.readings.questions.severity_grade import GRADES, SeverityGrade

KNOWN_BAD_SHIFT = 2.5
RECONSTRUCTED_SHIFT = 0.3
BETWEEN_ITEMS_S = 1.5


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """One reader. d_prime: distance of the arms in standard deviations; criterion: leaning to "real".

    item_share: how much of the spread is the item's own and shared by all readers (0 to 1); the rest is
    drawn anew at every showing. seconds: median time per item. attention: chance to pass a check.
    """

    d_prime: float
    criterion: float = 0.0
    item_share: float = 0.4
    seconds: float = 8.0
    attention: float = 1.0
    experience: Mapping[str, Any] | None = None


def readers_simulate(*, reading: Reading, behaviours: Sequence[Behaviour], seed: int) -> int:
    """Let every place of an open simulated study be read to its end; returns how many answers that made.

    x = s d'/2 + sqrt(share) q_item + sqrt(1 - share) e with s = +1 for synthetic and -1 for real items,
    q and e standard normal; the answer is Phi(x - criterion) on the question's scale (Macmillan and
    Creelman 2005, ch. 1 and 3). The same seed gives the same answers.

    Raises Conflict for a study that is not open or not marked as simulated, ValueError for a number of
    behaviours other than the number of readers.
    """
    if not reading.is_simulated or reading.state != Reading.State.OPEN:
        raise Conflict(_("Only an open study that is marked as simulated takes simulated readers."))
    places = list(Place.objects.filter(reading=reading, is_auditor=False).order_by("number"))
    if len(places) != len(behaviours):
        raise ValueError(f"expected {len(places)} behaviours, got {len(behaviours)}")
    questions = reading_protocol(reading).questions
    truths = {truth.item_id: truth for truth in ItemTruth.objects.filter(item__reading=reading)}
    generator = np.random.default_rng(seed)
    numbered = ReadingItem.objects.filter(reading=reading).order_by("number")
    own = {item.pk: float(generator.normal()) for item in numbered}
    made = 0
    with transaction.atomic():
        for place, behaviour in zip(places, behaviours):
            reader = _Reader(
                place, behaviour, questions, truths, own, np.random.default_rng((seed, place.number))
            )
            made += reader.read(reading.launched_at or reading.created_at)
    return made


class _Reader:
    """One simulated reader at work."""

    def __init__(
        self,
        place: Place,
        behaviour: Behaviour,
        questions: Sequence[Question],
        truths: Mapping[UUID, ItemTruth],
        own: Mapping[UUID, float],
        generator: np.random.Generator,
    ) -> None:
        self.place, self.behaviour, self.questions = place, behaviour, questions
        self.truths, self.own, self.generator = truths, own, generator

    def read(self, begin: datetime) -> int:
        """Answer everything in order; returns how many answers that made."""
        rows = list(self.place.assignments.select_related("item").order_by("position"))
        at = begin + timedelta(minutes=5 * self.place.number)
        events = [PlaceEvent(place=self.place, kind="began", at=at)]
        answers: list[Answer] = []
        for row in rows:
            seconds = self.behaviour.seconds * math.exp(0.35 * float(self.generator.normal()))
            row.opened_at = at
            at += timedelta(seconds=seconds)
            row.completed_at = at
            answers += self._answers(row, round(seconds, 2), at)
            at += timedelta(seconds=BETWEEN_ITEMS_S)
        Answer.objects.bulk_create(answers)
        Assignment.objects.bulk_update(rows, ["opened_at", "completed_at"])
        PlaceEvent.objects.bulk_create([*events, PlaceEvent(place=self.place, kind="finished", at=at)])
        self.place.state, self.place.started_at, self.place.finished_at = Place.State.FINISHED, begin, at
        self.place.experience = dict(self.behaviour.experience or {})
        self.place.save()
        return len(answers)

    def _answers(self, row: Assignment, seconds: float, at: datetime) -> list[Answer]:
        truth = self.truths[row.item_id]
        latent = self._latent(truth)
        submission = uuid4()
        values = {question.name: self._value(question, truth, latent) for question in self.questions}
        if row.item.role == ReadingItem.Role.ATTENTION:
            values |= self._check(truth)
        return [
            Answer(assignment=row, question=name, value=value, seconds=seconds, submission=submission, at=at)
            for name, value in values.items()
        ]

    def _latent(self, truth: ItemTruth) -> float:
        share = self.behaviour.item_share
        side = 1.0 if truth.arm == ItemTruth.Arm.SYNTHETIC else -1.0
        shift = {
            ItemTruth.Control.KNOWN_BAD: KNOWN_BAD_SHIFT,
            ItemTruth.Control.RECONSTRUCTED: RECONSTRUCTED_SHIFT,
        }.get(ItemTruth.Control(truth.control), 0.0)
        noise = math.sqrt(share) * self.own[truth.item_id] + math.sqrt(1 - share) * float(
            self.generator.normal()
        )
        return side * self.behaviour.d_prime / 2 + shift + noise

    def _check(self, truth: ItemTruth) -> dict[str, Any]:
        """The answers to an attention check: the expected ones, or the other side."""
        passes = float(self.generator.random()) < self.behaviour.attention
        found = {}
        for question in self.questions:
            expected = truth.expected.get(question.name)
            if expected is not None and isinstance(question.kind, RealOrSynthetic):
                score = question.kind.top if expected["synthetic"] == passes else 1
                found[question.name] = question.kind.validate({"score": score})
            elif expected is not None and passes:
                found[question.name] = dict(expected)
        return found

    def _value(self, question: Question, truth: ItemTruth, latent: float) -> dict[str, Any]:
        kind = question.kind
        if isinstance(kind, RealOrSynthetic):
            return self._side(kind, latent)
        if isinstance(kind, SeverityGrade):
            known = truth.attributes.get(kind.attribute, "none")
            grade = list(GRADES).index(known) if known in GRADES else 0
            seen = round(grade + 0.6 * float(self.generator.normal()))
            return kind.validate({"value": list(GRADES)[min(max(seen, 0), len(GRADES) - 1)]})
        if isinstance(kind, Likert):
            middle = (1 + kind.steps) / 2 - 0.4 * latent + 0.5 * float(self.generator.normal())
            return kind.validate({"value": min(max(round(middle), 1), kind.steps)})
        if isinstance(kind, Choice):
            return kind.validate({"value": kind.choices[int(self.generator.integers(len(kind.choices)))]})
        if isinstance(kind, FreeText):
            return kind.validate({"text": ""})
        raise ValueError(f"expected a question type that readers are simulated for, got {question.type!r}")

    def _side(self, kind: RealOrSynthetic, latent: float) -> dict[str, Any]:
        above = latent - self.behaviour.criterion
        share = 0.5 * (1 + math.erf(above / math.sqrt(2)))
        score = round(100 * share) if kind.scale == "slider" else min(1 + int(kind.top * share), kind.top)
        return kind.validate({"score": score, "synthetic": above > 0})
