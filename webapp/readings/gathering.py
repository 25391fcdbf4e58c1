"""What readers were shown and said, joined with the truth: only for a study that is unblinded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from webapp.core.errors import ApplicationError, Conflict
from webapp.readings.models import Answer, Assignment, ItemTruth, Place, Reading, ReadingItem
from webapp.readings.protocol import Protocol, Question
from webapp.readings.statistics.data import Grades, Ratings, Role

GRADED = ("likert", "severity_grade")


@dataclass(frozen=True, kw_only=True)
class Said:
    """One answer as it was given. `is_final` where no later revision of it exists."""

    question: str
    value: Mapping[str, Any]
    revision: int
    is_final: bool
    seconds: float
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Showing:
    """One item as one reader was shown it: what the reader said, and what it truly was."""

    place: Place
    assignment: Assignment
    item: ReadingItem
    truth: ItemTruth
    cluster: str
    position: int
    repeat_of: int | None
    said: Sequence[Said] = field(default_factory=tuple)

    @property
    def reader(self) -> str:
        """The reader's label in every table and export."""
        return reader_label(self.place)

    @property
    def label(self) -> str:
        """The item's label in every table and export."""
        return item_label(self.item)

    @property
    def role(self) -> Role | None:
        """What it counts for; None for training, which counts for nothing."""
        if self.item.role == ReadingItem.Role.TRAINING:
            return None
        if self.item.role == ReadingItem.Role.ATTENTION:
            return Role.ATTENTION
        return {
            ItemTruth.Control.KNOWN_BAD: Role.POSITIVE_CONTROL,
            ItemTruth.Control.RECONSTRUCTED: Role.NEGATIVE_CONTROL,
        }.get(ItemTruth.Control(self.truth.control), Role.MAIN)

    @property
    def is_synthetic(self) -> bool:
        """The truth that the study is about."""
        return self.truth.arm == ItemTruth.Arm.SYNTHETIC

    @property
    def not_counted(self) -> str:
        """Why no main figure counts it; empty where they do."""
        if self.item.role == ReadingItem.Role.TRAINING:
            return "training"
        if self.place.state == Place.State.WITHDRAWN:
            return "reader withdrawn"
        if self.item.role == ReadingItem.Role.ATTENTION:
            return "attention check"
        if self.truth.control:
            return "control"
        return "repeat" if self.repeat_of is not None else ""

    def final(self, question: str) -> Said | None:
        """The answer in force to a question."""
        return next((one for one in self.said if one.question == question and one.is_final), None)

    def passed(self) -> bool | None:
        """Whether an attention check was answered as anybody who looks would; None where it is none or open.

        Of real-or-synthetic only the side is compared, of every other question the whole value.
        """
        expected = self.truth.expected
        given = {name: self.final(name) for name in expected}
        if self.item.role != ReadingItem.Role.ATTENTION or not expected or None in given.values():
            return None
        return all(_as_expected(said.value, expected[name]) for name, said in given.items() if said)


def reader_label(place: Place) -> str:
    """ "Reader 3": readers are numbered, never named, in figures and exports."""
    return f"Reader {place.number}"


def item_label(item: ReadingItem) -> str:
    """ "Item 12": the random number that the item got when the study was prepared."""
    return f"Item {item.number}"


def require_unblinded(reading: Reading) -> None:
    """Pass for an unblinded study. Raises Conflict, saying what has to happen first, for any other."""
    if reading.state == Reading.State.UNBLINDED:
        return
    if reading.state == Reading.State.CLOSED:
        raise Conflict(
            _("This study is still blinded. Unblind it first: the report needs the truth."), code="blinded"
        )
    raise Conflict(
        _("This study is not finished. Close it and unblind it first: the report needs the truth."),
        code="blinded",
    )


def showings_of(reading: Reading) -> list[Showing]:
    """Every position of every reader's order, answered or not, by reader and position.

    Raises Conflict unless the study is unblinded.
    """
    require_unblinded(reading)
    places = Place.objects.filter(reading=reading, is_auditor=False).in_bulk()
    truths = ItemTruth.objects.filter(item__reading=reading).select_related("item")
    truth_of = {truth.item_id: truth for truth in truths}
    assignments = list(Assignment.objects.filter(place__in=places).order_by("place__number", "position"))
    said: dict[int, list[Answer]] = defaultdict(list)
    answers = Answer.objects.filter(assignment__place__reading=reading)
    for answer in answers.order_by("assignment_id", "question", "revision"):
        said[answer.assignment_id].append(answer)
    patients = sorted({truth.patient for truth in truth_of.values()})
    cluster = {patient: f"Case {number}" for number, patient in enumerate(patients, start=1)}
    position = {one.pk: one.position + 1 for one in assignments}
    found = []
    for one in assignments:
        truth = truth_of[one.item_id]
        found.append(
            Showing(
                place=places[one.place_id],
                assignment=one,
                item=truth.item,
                truth=truth,
                cluster=cluster[truth.patient],
                position=one.position + 1,
                repeat_of=position.get(one.repeats_id) if one.repeats_id else None,
                said=_said(said[one.pk]),
            )
        )
    return found


def _said(answers: Sequence[Answer]) -> list[Said]:
    last = {answer.question: answer.revision for answer in answers}  # they come by revision
    return [
        Said(
            question=answer.question,
            value=answer.value,
            revision=answer.revision,
            is_final=answer.revision == last[answer.question],
            seconds=answer.seconds,
            at=answer.at,
        )
        for answer in answers
    ]


def _as_expected(value: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    if "synthetic" in expected:
        return bool(value.get("synthetic") == expected["synthetic"])
    return dict(value) == dict(expected)


# --- as the statistics take it


def counts_at_all(showing: Showing) -> bool:
    """Whether any figure counts it: training and withdrawn readers enter none."""
    return showing.role is not None and showing.place.state != Place.State.WITHDRAWN


def ratings_of(
    showings: Sequence[Showing], protocol: Protocol, *, with_undecided: bool = False
) -> tuple[Ratings, int]:
    """The answers in force to the primary question, and how many of them chose no side.

    Without a forced choice, "cannot tell" is no decision: such answers are left out, unless
    `with_undecided` (for what needs the score alone), where their decision is written as "real".
    The decision on an attention check is the true side where the check was passed, else the other one.
    """
    rows: list[tuple[Showing, Said, bool]] = []
    undecided = 0
    for showing in showings:
        said = showing.final(protocol.primary.name) if counts_at_all(showing) else None
        if said is None:
            continue
        decision = said.value.get("synthetic")
        undecided += decision is None
        if decision is not None or with_undecided:
            rows.append((showing, said, _decision(showing, bool(decision))))
    readers = _numbers(showing.reader for showing, _, _ in rows)
    items = _numbers(showing.label for showing, _, _ in rows)
    cases = _numbers(showing.cluster for showing, _, _ in rows)
    strata = _numbers(showing.truth.stratum or "all" for showing, _, _ in rows)
    kind = protocol.primary.kind
    ratings = Ratings(
        reader=_whole([readers[showing.reader] for showing, _, _ in rows]),
        item=_whole([items[showing.label] for showing, _, _ in rows]),
        case=_whole([cases[showing.cluster] for showing, _, _ in rows]),
        is_synthetic=np.array([showing.is_synthetic for showing, _, _ in rows], bool),
        decision=np.array([decision for _, _, decision in rows], bool),
        score=np.array([kind.score(said.value) for _, said, _ in rows], np.float64),
        repeat=np.array([showing.repeat_of is not None for showing, _, _ in rows], bool),
        seconds=np.array([said.seconds for _, said, _ in rows], np.float64),
        position=_whole([showing.position for showing, _, _ in rows]),
        stratum=_whole([strata[showing.truth.stratum or "all"] for showing, _, _ in rows]),
        role=_whole([int(showing.role or Role.MAIN) for showing, _, _ in rows]),
        readers=tuple(readers),
        items=tuple(items),
        strata=tuple(strata) or ("all",),
    )
    return ratings, undecided


def grades_of(showings: Sequence[Showing], protocol: Protocol) -> list[Grades]:
    """Likert and severity answers in force to counted items, one table per question that has any."""
    found = []
    for question in protocol.questions:
        if question.type not in GRADED:
            continue
        rows = [(showing, said) for showing in showings if (said := _graded(showing, question)) is not None]
        if rows:
            found.append(_grades(question, rows))
    return found


def _graded(showing: Showing, question: Question) -> Said | None:
    return None if showing.not_counted else showing.final(question.name)


def _grades(question: Question, rows: Sequence[tuple[Showing, Said]]) -> Grades:
    readers = _numbers(showing.reader for showing, _ in rows)
    items = _numbers(showing.label for showing, _ in rows)
    cases = _numbers(showing.cluster for showing, _ in rows)
    return Grades(
        question=question.label,
        reader=_whole([readers[showing.reader] for showing, _ in rows]),
        item=_whole([items[showing.label] for showing, _ in rows]),
        case=_whole([cases[showing.cluster] for showing, _ in rows]),
        grade=np.array([question.kind.score(said.value) for _, said in rows], np.float64),
        intended=np.array([intended_grade(showing, question) for showing, _ in rows], np.float64),
        readers=tuple(readers),
        items=tuple(items),
    )


def intended_grade(showing: Showing, question: Question) -> float:
    """The grade that is known of a real item or was asked of a synthetic one; nan where there is none."""
    known = showing.truth.attributes.get(getattr(question.kind, "attribute", ""), None)
    try:
        grade = question.kind.score(question.kind.validate({"value": known}))
    except ApplicationError:
        grade = None
    return float("nan") if grade is None else grade


def _decision(showing: Showing, decision: bool) -> bool:
    passed = showing.passed()
    return decision if passed is None else passed == showing.is_synthetic


def _numbers(labels: Any) -> dict[str, int]:
    return {label: number for number, label in enumerate(dict.fromkeys(labels))}


def _whole(values: Sequence[int]) -> np.ndarray:
    return np.array(values, np.int64)
