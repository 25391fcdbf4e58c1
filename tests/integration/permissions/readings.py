"""Rows about reader studies: a lead's own, nobody else's; a reader's own place, and no truth."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.utils import timezone

from tests import factories
from tests.integration.permissions.rows import Row
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
from webapp.readings.protocol import sha256_of
from webapp.readings.services import reading_create

READERS = "annotator clinician researcher"
LEADS = "study_lead"
BOTH = f"{LEADS} {READERS}"
SHA = "0" * 64


def lead_of(person: Any) -> Any:
    """The person where they may lead studies, else a study lead."""
    return person if person is not None and person.has_role("study_lead") else factories.person("study_lead")


def draft(person: Any) -> Any:
    """A draft of the person, or of a study lead where the person may not lead."""
    return reading_create(user=lead_of(person), title="Livers")


def in_state(person: Any, state: str) -> Any:
    """A study of the person, launched and further, by its record alone."""
    reading = draft(person)
    frozen = {"truth_sha256": SHA, "version": 1, "items": [], "readers": [], "audit": SHA, "prevalence": None}
    reading.protocol = reading.protocol | frozen
    reading.protocol_sha256 = sha256_of(reading.protocol)
    reading.launched_at = timezone.now()
    if state == "unblinded":
        reading.unblinded_at, reading.unblinded_by = timezone.now(), reading.owner
    reading.state = state
    reading.save()
    Preparation.objects.create(reading=reading, key=SHA)
    return reading


def item(reading: Any) -> Any:
    """An item with its truth."""
    made = ReadingItem.objects.create(reading=reading, modality="CT")
    ItemTruth.objects.create(item=made, arm="real", patient="P1")
    return made


def place(reading: Any, reader: Any = None) -> Any:
    """A place of the reader, or of an annotator, in an open study."""
    reader = reader or factories.person("annotator")
    return Place.objects.create(reading=reading, user=reader, number=1, invited_by=reading.owner)


def place_of(person: Any) -> Any:
    """A place of the person, or of an annotator where the person may not read, in another's study."""
    may = person is not None and person.has_role(*READERS.split())
    return place(in_state(None, "open"), person if may else None)


def assignment(reading: Any) -> Any:
    """One item in one reader's order."""
    return Assignment.objects.create(place=place(reading), position=0, item=item(reading))


def answer(reading: Any) -> Any:
    """An answer of a reader."""
    return Answer.objects.create(
        assignment=assignment(reading), question="q", value={}, seconds=1.0, submission=uuid.uuid4()
    )


def viewing(reading: Any) -> Any:
    """How a reader looked."""
    return ViewingLog.objects.create(assignment=assignment(reading), submission=uuid.uuid4())


PARTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "item": ("readings.ReadingItem", item),
    "place": ("readings.Place", place),
    "assignment": ("readings.Assignment", assignment),
    "answer": ("readings.Answer", answer),
    "viewing log": ("readings.ViewingLog", viewing),
    "place event": ("readings.PlaceEvent", lambda r: PlaceEvent.objects.create(place=place(r), kind="began")),
    "truth": ("readings.ItemTruth", lambda r: item(r).truth),
    "preparation": ("readings.Preparation", lambda r: r.preparation),
    "report": ("readings.ReadingReport", lambda r: ReadingReport.objects.create(reading=r)),
}

OBJECTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "studies": ("readings.Reading", lambda _: Reading),
    "own study": ("readings.Reading", draft),
    "another's study": ("readings.Reading", lambda _: draft(None)),
    "own open study": ("readings.Reading", lambda person: in_state(person, "open")),
    "another's open study": ("readings.Reading", lambda _: in_state(None, "open")),
    "own closed study": ("readings.Reading", lambda person: in_state(person, "closed")),
    "another's closed study": ("readings.Reading", lambda _: in_state(None, "closed")),
    "own unblinded study": ("readings.Reading", lambda person: in_state(person, "unblinded")),
    "places": ("readings.Place", lambda _: Place),
    "own place": ("readings.Place", place_of),
    "another's place": ("readings.Place", lambda _: place_of(None)),
    **{
        f"{name} of an own study": (label, lambda person, make=make: make(in_state(person, "open")))
        for name, (label, make) in PARTS.items()
    },
    **{
        f"{name} of another's study": (label, lambda _, make=make: make(in_state(None, "open")))
        for name, (label, make) in PARTS.items()
    },
}

PAGES = ("detail", "basics", "questions", "items", "design", "planner", "readers", "prepare", "launch")
NAMELESS = (400, 302)

ROWS: list[Row] = [
    Row(obj="studies", action="view", may=LEADS),
    Row(obj="studies", action="create", may=LEADS, asks="GET readings:reading-new"),
    Row(obj="studies", asks="POST readings:reading-new", may=LEADS, data={"title": "T"}),
    Row(obj="studies", asks="GET readings:reading-list", may=BOTH),
    Row(obj="places", action="view", may=READERS),
    Row(obj="own study", action="view", may=LEADS),
    Row(obj="own study", action="manage", may=LEADS),
    Row(obj="own study", action="launch", may=LEADS, asks="POST readings:reading-launch", accepts=(409,)),
    Row(obj="own study", action="delete", may=LEADS, asks="POST readings:reading-delete"),
    Row(obj="own study", action="unblind", sees=LEADS),
    Row(obj="own study", action="export", sees=LEADS),
    Row(obj="another's study", action="view"),
    Row(obj="another's study", action="manage"),
    Row(obj="another's study", action="launch", asks="POST readings:reading-launch"),
    Row(obj="another's study", action="delete", asks="POST readings:reading-delete"),
    Row(obj="own open study", action="manage", sees=LEADS),
    Row(obj="own open study", action="launch", sees=LEADS),
    Row(obj="own open study", action="delete", sees=LEADS),
    Row(obj="own open study", action="unblind", sees=LEADS),
    Row(obj="own closed study", action="unblind", may=LEADS, asks="POST readings:reading-unblind"),
    Row(obj="another's closed study", action="unblind", asks="POST readings:reading-unblind"),
    Row(obj="own closed study", action="export", sees=LEADS),
    Row(obj="own unblinded study", action="export", may=LEADS),
    *(Row(obj="own study", asks=f"GET readings:reading-{page}", may=LEADS) for page in PAGES),
    *(Row(obj="another's study", asks=f"GET readings:reading-{page}") for page in PAGES),
    Row(obj="own study", asks="POST readings:reading-prepare", may=LEADS),
    Row(obj="another's study", asks="POST readings:reading-prepare"),
    Row(obj="own study", asks="POST readings:reading-invite", may=LEADS, accepts=NAMELESS),
    Row(obj="another's study", asks="POST readings:reading-invite"),
    Row(obj="own study", asks="POST readings:reading-accept", may=LEADS, accepts=NAMELESS),
    Row(obj="another's study", asks="POST readings:reading-accept"),
    Row(obj="own study", asks="POST readings:items-change", may=LEADS),
    Row(obj="another's study", asks="POST readings:items-change"),
    Row(obj="own study", asks="GET readings:items-add", may=LEADS, args=lambda obj: (obj.pk, "real")),
    Row(obj="another's study", asks="GET readings:items-add", args=lambda obj: (obj.pk, "synthetic")),
    Row(obj="own open study", asks="GET readings:reading-detail", may=LEADS),
    Row(obj="own open study", asks="GET readings:reading-audit", may=LEADS),
    Row(obj="another's open study", asks="GET readings:reading-audit"),
    Row(obj="own open study", asks="POST readings:reading-close", may=LEADS),
    Row(obj="another's open study", asks="POST readings:reading-close"),
    Row(obj="own open study", asks="POST readings:reading-new-version", may=LEADS),
    Row(obj="another's open study", asks="POST readings:reading-new-version"),
    Row(obj="own place", action="view", may=READERS, asks="GET readings:take-welcome"),
    Row(obj="own place", action="read", may=READERS, asks="GET readings:take-state"),
    Row(obj="another's place", action="view", asks="GET readings:take-welcome"),
    Row(obj="another's place", action="read", asks="GET readings:take-state"),
    Row(obj="place of an own study", action="read", sees=LEADS),
    Row(obj="place of an own study", asks="GET readings:take-welcome"),
    Row(obj="place of an own study", asks="GET readings:take-read"),
    Row(obj="place of an own study", asks="GET readings:take-state"),
    *(Row(obj=f"{name} of an own study", action="view", may=LEADS) for name in PARTS),
    *(Row(obj=f"{name} of another's study", action="view") for name in PARTS),
]
