"""Who may do what to reader studies.

A study belongs to its lead, who designs, launches, watches, closes and unblinds it. A reader has a
place in it and sees nothing but that place. A lead never reads in a study of their own, and what
tells the arms apart is seen by the lead alone; administrators look after people, not studies.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from webapp.accounts.models import Role, User
from webapp.core.permissions import register
from webapp.jobs.rules import may_request
from webapp.readings.models import (
    Answer,
    Assignment,
    ItemTruth,
    Place,
    PlaceEvent,
    Preparation,
    Reading,
    ReadingItem,
    ReadingReport,
    ViewingLog,
)

READERS = (Role.ANNOTATOR, Role.CLINICIAN, Role.RESEARCHER)
"""The roles that may be invited to read."""


def may_lead(user: User) -> bool:
    """Whether the person's roles let them run reader studies."""
    return user.has_role(Role.STUDY_LEAD)


def may_read(user: User) -> bool:
    """Whether the person's roles let them take part in reader studies."""
    return user.has_role(*READERS)


def usable_results(user: User) -> Q:
    """The filter on `jobs.Result` that leaves what a lead may put into a study: own and offered results."""
    if not may_lead(user):
        return Q(pk__in=[])
    return Q(is_offered=True) | (Q(request__owner=user) if may_request(user) else Q(pk__in=[]))


def _leads(user: User, reading: Any) -> bool:
    if isinstance(reading, type):
        return may_lead(user)
    return may_lead(user) and reading.owner_id == user.pk


def _editable(user: User, reading: Any) -> bool:
    return _leads(user, reading) and not isinstance(reading, type) and reading.is_editable


def _unblind(user: User, reading: Any) -> bool:
    return _leads(user, reading) and reading.state == Reading.State.CLOSED


def _unblinded(user: User, reading: Any) -> bool:
    return _leads(user, reading) and reading.state == Reading.State.UNBLINDED


def _place_view(user: User, place: Any) -> bool:
    if isinstance(place, type):
        return may_read(user)
    return _place_read(user, place) or _leads(user, place.reading)


def _place_read(user: User, place: Any) -> bool:
    if place.is_auditor:  # the leak audit looks through the lead's eyes
        return _leads(user, place.reading)
    return may_read(user) and place.user_id == user.pk


def _of_reading(user: User, part: Any) -> bool:
    return may_lead(user) if isinstance(part, type) else _leads(user, part.reading)


def _of_item(user: User, part: Any) -> bool:
    return may_lead(user) if isinstance(part, type) else _leads(user, part.item.reading)


def _of_place(user: User, part: Any) -> bool:
    return may_lead(user) if isinstance(part, type) else _leads(user, part.place.reading)


def _of_assignment(user: User, part: Any) -> bool:
    return may_lead(user) if isinstance(part, type) else _leads(user, part.assignment.place.reading)


register(
    Reading,
    {
        "view": _leads,
        "create": lambda user, _: may_lead(user),
        "manage": _editable,
        "launch": _editable,
        "delete": _editable,
        "unblind": _unblind,
        "export": _unblinded,
    },
)
register(ReadingItem, {"view": _of_reading})
register(Place, {"view": _place_view, "read": _place_read})
register(Assignment, {"view": _of_place})
register(Answer, {"view": _of_assignment})
register(ViewingLog, {"view": _of_assignment})
register(PlaceEvent, {"view": _of_place})
register(ItemTruth, {"view": _of_item})
register(Preparation, {"view": _of_reading})
register(ReadingReport, {"view": _of_reading})
