"""What a reader may know of their place in a study: the questions, how far they are, the next tokens.

Nothing here tells practice, checks and repeats apart, but for what a practice item says of itself
(after each the reader is told what it was).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Max, QuerySet
from django.urls import reverse
from django.utils import timezone

from webapp.core.errors import NotVisible
from webapp.core.permissions import can
from webapp.readings.models.study import Reading, ReadingItem
from webapp.readings.models.taking import Answer, Assignment, Place, PlaceEvent
from webapp.readings.protocol import Question
from webapp.readings.serving.access import AHEAD
from webapp.readings.serving.uids import uids_of

OPENED = "opened"
"""The kind of event that a page leaves when it begins to take answers; the last one holds the place."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a protocol asks of its readers. `prevalence` is None where they are not told it."""

    questions: tuple[Question, ...]
    instructions: str
    prevalence: float | None
    window: str
    going_back: bool
    session_count: int
    washout: timedelta

    def question(self, name: str) -> Question | None:
        """The question of that short name."""
        return next((one for one in self.questions if one.name == name), None)


def terms_of(reading_id: UUID) -> Terms:
    """The terms of a study; the orders and digests in its protocol are not even read."""
    asked = ("questions", "instructions", "prevalence", "window", "going_back", "sessions")
    parts = Reading.objects.filter(pk=reading_id).values_list(*(F(f"protocol__{name}") for name in asked))
    found: dict[str, Any] = dict(zip(asked, parts.get()))
    sessions = found["sessions"] or {}
    return Terms(
        questions=tuple(Question.make(**one) for one in found["questions"] or ()),
        instructions=found["instructions"] or "",
        prevalence=found["prevalence"],
        window=found["window"] or "free",
        going_back=bool(found["going_back"]),
        session_count=int(sessions.get("count", 1)),
        washout=timedelta(hours=float(sessions.get("washout_hours", 0))),
    )


def place_for(*, user: Any, place_id: UUID) -> Place:
    """The person's own place, without the protocol of its study.

    Raises:
        NotVisible: when there is none, or it is another person's, or they may not read.
    """
    place = (
        Place.objects.select_related("reading")
        .defer("reading__protocol")
        .filter(pk=place_id, user=user)
        .first()
    )
    if place is None or not (place.is_auditor or can(user, "read", place)):
        raise NotVisible
    return place


def present_of(place: Place) -> Assignment | None:
    """The first item of the order that is not completed."""
    return place.assignments.filter(completed_at__isnull=True).order_by("position").first()


def opens_at(place: Place, present: Assignment, washout: timedelta) -> datetime | None:
    """When the session of the present item may begin; None where it may at once, or has begun."""
    if present.opened_at is not None:
        return None
    earlier = place.assignments.filter(session__lt=present.session)
    last = earlier.aggregate(last=Max("completed_at"))["last"]
    if last is None or last + washout <= timezone.now():
        return None
    return last + washout


def holder_of(place: Place) -> str:
    """The page that takes the answers of a place: the one that opened it last; "" before the first."""
    last = PlaceEvent.objects.filter(place=place, kind=OPENED).order_by("-id").first()
    return str(last.detail.get("page", "")) if last else ""


def phase_of(place: Place, present: Assignment | None, washout: timedelta) -> str:
    """Where the reader is: not_open, closed, withdrawn, finished, complete, washout, ready, paused, reading.

    "complete" is an order answered to its end whose reader may still go back; "ready" is a place, or
    its next session, that may begin and has not.
    """
    if place.reading.state not in (Reading.State.OPEN, *_OVER):
        return "reading" if place.is_auditor else "not_open"
    if place.state == Place.State.FINISHED:
        return "finished"
    if place.state == Place.State.WITHDRAWN:
        return "withdrawn"
    if place.reading.state in _OVER:
        return "closed"
    if present is None:
        return "complete"
    if opens_at(place, present, washout) is not None:
        return "washout"
    if present.opened_at is None or place.state == Place.State.INVITED:
        return "ready"
    return "paused" if place.state == Place.State.PAUSED else "reading"


_OVER = (Reading.State.CLOSED, Reading.State.UNBLINDED)


def place_state(*, place: Place, page: str = "", at: int | None = None) -> dict[str, Any]:
    """The state of a place as the reading page asks for it.

    `at` looks back to a position (from 0) where the protocol allows it; a place of the leak audit
    may look anywhere. `page` names the asking page, to tell whether it still holds the place.
    """
    terms = terms_of(place.reading_id)
    present = present_of(place)
    phase = phase_of(place, present, terms.washout)
    shown = list(_first_shown(place, present, terms, at, phase))
    given = answers_of(shown)
    counted = place.assignments.count()
    done = place.assignments.filter(completed_at__isnull=False).count()
    due = opens_at(place, present, terms.washout) if present else None
    return {
        "phase": phase,
        "is_holder": bool(page) and holder_of(place) == page,
        "done": done,
        "total": counted,
        "position": present.position if present else counted,
        "session": {
            "number": present.session if present else terms.session_count,
            "count": terms.session_count,
            "opens_at": due.isoformat() if due else None,
        },
        "items": [_shown(one, place, given[one.pk]) for one in shown],
    }


def _first_shown(
    place: Place, present: Assignment | None, terms: Terms, at: int | None, phase: str
) -> Iterable[Assignment]:
    """The items that the page may load now, in order: the present one (or `at`) and the few after it."""
    if phase not in ("reading", "paused", "complete"):
        return ()
    found: QuerySet[Assignment] = place.assignments.select_related("item").order_by("position")
    if place.is_auditor:
        start = at or 0
        return found.filter(position__gte=start)[: 1 + AHEAD]
    session = present.session if present else terms.session_count
    end = present.position + AHEAD if present else place.assignments.count()
    start = present.position if present else end
    if at is not None and terms.going_back and at < start:
        start = max(at, 0)
    within = found.filter(session=session, position__gte=start, position__lte=end)
    return within[: 1 + AHEAD]


def _shown(assignment: Assignment, place: Place, answers: dict[str, Any]) -> dict[str, Any]:
    """What the page is told of one item."""
    uids = uids_of(assignment.token)
    item = {"place_id": place.pk, "token": assignment.token}
    series = reverse(
        "readings:take-metadata", kwargs=item | {"study": uids.study, "series": uids.series}
    ).removesuffix("/metadata")
    return {
        "token": assignment.token,
        "position": assignment.position,
        "series_url": series,
        "is_practice": assignment.item.role == ReadingItem.Role.TRAINING,
        "answers": answers,
    }


def answers_of(assignments: Iterable[Assignment]) -> dict[int, dict[str, Any]]:
    """Of each assignment: question -> the value that counts, which is the last one given."""
    answers: dict[int, dict[str, Any]] = {one.pk: {} for one in assignments}
    for given in Answer.objects.filter(assignment__in=answers).order_by("revision"):
        answers[given.assignment_id][given.question] = given.value
    return answers


def has_practice(place: Place) -> bool:
    """Whether the order has items after which the reader is told what they were."""
    return place.assignments.filter(item__role=ReadingItem.Role.TRAINING).exists()
