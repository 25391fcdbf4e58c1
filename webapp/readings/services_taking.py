"""What a reader does in their place: begin, answer, look, pause, go on, finish. Nothing given is ever lost.

An answer counts once, in the order of the items. One that came too late to count (another tab was
faster, the study was closed meanwhile) is kept beside the answers, as an event of the place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.core.errors import ApplicationError, Conflict, NotVisible
from webapp.core.services import audit_record
from webapp.readings.models.study import Reading
from webapp.readings.models.taking import Answer, Assignment, Place, PlaceEvent, ViewingLog
from webapp.readings.selectors_taking import (
    OPENED,
    Terms,
    holder_of,
    opens_at,
    place_for,
    present_of,
    terms_of,
)
from webapp.readings.viewing import viewing_checked

LONGEST_SECONDS = 24 * 3600.0
MOST_REVISIONS = 100
SET_ASIDE = "answer_set_aside"


@dataclass(frozen=True, kw_only=True)
class Given:
    """What became of an answer: `outcome` is "stored" or "set_aside"; `feedback` follows practice items."""

    outcome: str
    feedback: str = ""


# --- beginning, pausing, finishing


@transaction.atomic
def place_open(*, user: Any, place_id: UUID, page: UUID) -> Place:
    """Begin or go on reading on one page, which from now on is the one that takes the answers.

    Raises:
        Conflict: when the study is not open, the place is finished or withdrawn, or its next session
            may not begin yet.
        NotVisible: for a place of somebody else.
    """
    place = _locked(user, place_id)
    terms = terms_of(place.reading_id)
    _require_open(place)
    present = present_of(place)
    if present is None and not terms.going_back:
        raise Conflict(_("Every item is answered already."))
    if present is not None and opens_at(place, present, terms.washout) is not None:
        raise Conflict(_("The next session may not begin yet."))
    now = timezone.now()
    if place.started_at is None:
        place.started_at = now
        _note(place, "began")
        audit_record(actor=user, action="place.started", obj=place)
    elif place.state == Place.State.PAUSED:
        _note(place, "resumed")
    place.state = Place.State.READING
    place.save(update_fields=["state", "started_at", "updated_at"])
    if present is not None and present.opened_at is None:
        _note(place, "session_began", session=present.session)
        Assignment.objects.filter(pk=present.pk).update(opened_at=now)
    if holder_of(place) != str(page):
        _note(place, OPENED, page=str(page))
    return place


@transaction.atomic
def place_pause(*, user: Any, place_id: UUID, page: UUID) -> Place:
    """Pause the page that reads; what another page has taken over, or is paused, stays as it is.

    Raises:
        NotVisible: for a place of somebody else.
    """
    place = _locked(user, place_id)
    if place.state == Place.State.READING and holder_of(place) == str(page):
        place.state = Place.State.PAUSED
        place.save(update_fields=["state", "updated_at"])
        _note(place, "paused")
    return place


@transaction.atomic
def place_finish(*, user: Any, place_id: UUID) -> Place:
    """End a reading whose items are all answered; ending it twice does nothing.

    Raises:
        Conflict: while items are waiting, or when the study is not open.
        NotVisible: for a place of somebody else.
    """
    place = _locked(user, place_id)
    if place.state == Place.State.FINISHED:
        return place
    _require_open(place)
    if place.started_at is None or present_of(place) is not None:
        raise Conflict(_("Some items are not answered yet. Everything answered so far is kept."))
    _finish(place)
    return place


@transaction.atomic
def experience_set(*, user: Any, place_id: UUID, experience: Mapping[str, Any]) -> Place:
    """Keep what the reader says of their profession and experience, until they begin to read.

    Raises:
        Conflict: once reading has begun.
        NotVisible: for a place of somebody else.
    """
    place = _locked(user, place_id)
    if place.started_at is not None:
        raise Conflict(_("You have begun to read; what you said of your experience stays as it was."))
    place.experience = dict(experience)
    place.save(update_fields=["experience", "updated_at"])
    return place


# --- answering


@transaction.atomic
def answer_give(
    *,
    user: Any,
    place_id: UUID,
    token: str,
    page: UUID,
    submission: UUID,
    answers: Mapping[str, Any],
    seconds: float,
    is_complete: bool,
) -> Given:
    """Store the answers to some questions about one item; the same submission again changes nothing.

    Args:
        page: the page that sends it; whether it still holds the place decides between two tabs.
        submission: the browser's name for this sending.
        answers: short name of the question -> value, as the question's type reads it.
        seconds: how long the item was in view before this answer.
        is_complete: the reader is done with the item.

    Raises:
        ApplicationError: for an unknown question, a value that it does not allow, a time that cannot
            be, or a required question left out of a completed item. Nothing is stored then.
        NotVisible: for a token that is not this reader's.
    """
    place = _locked(user, place_id)
    assignment = place.assignments.select_related("item").filter(token=token).first()
    if assignment is None:
        raise NotVisible
    terms = terms_of(place.reading_id)
    values = _validated(terms, answers)
    _check_seconds(seconds)
    is_over = not values and assignment.completed_at is not None
    if is_over or _is_known(assignment, submission):
        return Given(outcome="stored", feedback=_feedback(assignment))
    now_at = present_of(place)
    sent = _Sent(page=str(page), submission=submission, values=values, seconds=seconds)
    if not _may_store(place, assignment, now_at, terms, sent):
        _set_aside(place, assignment, sent)
        return Given(outcome="set_aside", feedback=_feedback(assignment))
    revisions = _revisions(assignment)
    Answer.objects.bulk_create(
        Answer(
            assignment=assignment,
            question=name,
            value=value,
            revision=revisions.get(name, 0),
            seconds=seconds,
            submission=submission,
        )
        for name, value in values.items()
    )
    if is_complete and assignment.completed_at is None:
        _complete(place, assignment, terms)
    return Given(outcome="stored", feedback=_feedback(assignment))


@dataclass(frozen=True, kw_only=True)
class _Sent:
    """An answer as it arrived, its values checked."""

    page: str
    submission: UUID
    values: dict[str, Any]
    seconds: float


def _validated(terms: Terms, answers: Mapping[str, Any]) -> dict[str, Any]:
    values = {}
    for name, value in answers.items():
        question = terms.question(str(name))
        if question is None:
            raise ApplicationError(_("This study does not ask that question."), field="answers")
        values[question.name] = question.kind.validate(value)
    return values


def _check_seconds(seconds: float) -> None:
    if not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_SECONDS:
        raise ApplicationError(
            _("The time in view must lie between 0 and 24 hours, in seconds."), field="seconds"
        )


def _is_known(assignment: Assignment, submission: UUID) -> bool:
    """Whether this submission has been stored or set aside already.

    Raises:
        ApplicationError: when its name was used for another item.
    """
    elsewhere = Answer.objects.filter(submission=submission).exclude(assignment=assignment)
    if elsewhere.exists():
        raise ApplicationError(_("This submission belongs to another item."), field="submission")
    if Answer.objects.filter(submission=submission).exists():
        return True
    aside = PlaceEvent.objects.filter(place_id=assignment.place_id, kind=SET_ASIDE)
    return aside.filter(detail__submission=str(submission)).exists()


def _may_store(
    place: Place, assignment: Assignment, present: Assignment | None, terms: Terms, sent: _Sent
) -> bool:
    """Whether the answer still counts: its item is before the reader, or they may go back to it."""
    if place.reading.state != Reading.State.OPEN or place.started_at is None:
        return False
    if place.state not in (Place.State.READING, Place.State.PAUSED):
        return False
    given = _revisions(assignment)
    if max(given.values(), default=0) >= MOST_REVISIONS:
        return False
    is_present = present is not None and present.pk == assignment.pk and present.opened_at is not None
    again = any(name in given for name in sent.values) or assignment.completed_at is not None
    if not again:
        return is_present
    if holder_of(place) != sent.page:
        return False  # another page has gone on since
    session = present.session if present else terms.session_count
    return is_present or (
        terms.going_back and assignment.completed_at is not None and assignment.session == session
    )


def _revisions(assignment: Assignment) -> dict[str, int]:
    """Question -> how many answers it has had."""
    counted = Answer.objects.filter(assignment=assignment).order_by()
    return dict(counted.values_list("question").annotate(times=Count("id")))


def _set_aside(place: Place, assignment: Assignment, sent: _Sent) -> None:
    if sent.values:
        _note(
            place,
            SET_ASIDE,
            token=assignment.token,
            submission=str(sent.submission),
            answers=sent.values,
            seconds=sent.seconds,
            page=sent.page,
        )


def _complete(place: Place, assignment: Assignment, terms: Terms) -> None:
    """Close an item and bring the next one of its session before the reader.

    Raises:
        ApplicationError: when a required question has no answer.
    """
    given = _revisions(assignment)
    missing = [one for one in terms.questions if one.required and one.name not in given]
    if missing:
        raise ApplicationError(
            _("Please answer “%(question)s” as well.") % {"question": missing[0].label}, field="answers"
        )
    now = timezone.now()
    Assignment.objects.filter(pk=assignment.pk).update(completed_at=now)
    following = present_of(place)
    if following is not None and following.session == assignment.session:
        Assignment.objects.filter(pk=following.pk).update(opened_at=now)
        return
    _note(place, "session_ended", session=assignment.session)
    if following is None and not terms.going_back:
        _finish(place)


def _feedback(assignment: Assignment) -> str:
    """What a practice item says once it is completed; nothing for all others."""
    done = Assignment.objects.filter(pk=assignment.pk, completed_at__isnull=False).exists()
    return assignment.item.feedback if done else ""


# --- looking


@transaction.atomic
def viewing_record(
    *, user: Any, place_id: UUID, token: str, submission: UUID, log: Mapping[str, Any]
) -> None:
    """Keep one report of how an item was looked at; the same report again changes nothing.

    Raises:
        ApplicationError: for a report that no page of ours would send.
        NotVisible: for a token that is not this reader's, or an item that was not before them yet.
    """
    place = _locked(user, place_id)
    assignment = place.assignments.select_related("item").filter(token=token).first()
    if assignment is None or assignment.opened_at is None:
        raise NotVisible
    checked = viewing_checked(log, frames=assignment.item.frames)
    if not ViewingLog.objects.filter(submission=submission).exists():
        ViewingLog.objects.create(assignment=assignment, submission=submission, log=checked)


# --- what all share


def _locked(user: Any, place_id: UUID) -> Place:
    """The person's place, held against every other writer until the transaction ends."""
    Place.objects.select_for_update().filter(pk=place_id, user=user).order_by().first()
    place = place_for(user=user, place_id=place_id)
    if place.is_auditor:
        raise NotVisible
    return place


def _require_open(place: Place) -> None:
    if place.reading.state in (Reading.State.CLOSED, Reading.State.UNBLINDED):
        raise Conflict(_("The study has been closed. Everything you answered is kept."))
    if place.reading.state != Reading.State.OPEN:
        raise Conflict(_("The study is not open for reading yet."))
    if place.state == Place.State.WITHDRAWN:
        raise Conflict(_("Your place in this study was withdrawn. Everything you answered is kept."))
    if place.state == Place.State.FINISHED:
        raise Conflict(_("You have finished this study."))


def _finish(place: Place) -> None:
    place.state = Place.State.FINISHED
    place.finished_at = timezone.now()
    place.save(update_fields=["state", "finished_at", "updated_at"])
    _note(place, "finished")
    audit_record(actor=place.user, action="place.finished", obj=place)


def _note(place: Place, kind: str, **detail: Any) -> None:
    PlaceEvent.objects.create(place=place, kind=kind, detail=detail)
