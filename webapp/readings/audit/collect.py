"""Looks at every item of a study as a reader's browser does, and keeps all that it received."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from webapp.accounts.models import Role, RoleGrant, User
from webapp.core.errors import ApplicationError
from webapp.readings.audit.browser import Browser, Reply
from webapp.readings.audit.observation import Exchange, Observation, Pixels
from webapp.readings.models import Assignment, ItemTruth, Place, Reading, ReadingItem
from webapp.readings.protocol import Question
from webapp.readings.selectors_taking import terms_of

ROUNDS = 6
"""How often each item is looked at; the first time is the cold one."""

_NO_READER = 32_767  # a number that no reader of the study has

Beat = Callable[[], None]


def collect(place: Place, beat: Beat, *, rounds: int = ROUNDS) -> list[Observation]:
    """One observation per assignment of an auditor's place, through the addresses that readers use.

    Practice items are left out: after each the reader is told what it was.

    Every round visits all items in a new random order, so that a machine that grows slower or warmer
    does so for both arms. In the first round the reading page, every frame, a refusal, and the reply to
    an answer are taken too. `beat` is called before each visit and may raise to stop.

    Raises ApplicationError where an item could not be loaded.
    """
    practice = ReadingItem.Role.TRAINING
    asked = place.assignments.exclude(item__role=practice).select_related("item")
    assignments = list(asked.order_by("position"))
    visits: dict[int, list[list[Exchange]]] = defaultdict(list)
    pixels: dict[int, Pixels] = {}
    generator = np.random.default_rng()
    browser = Browser(place.user)
    try:
        for number in range(rounds):
            for index in generator.permutation(len(assignments)):
                beat()
                assignment = assignments[index]
                visit = _Visit(browser, place, assignment)
                if number == 0:
                    pixels[assignment.position] = visit.whole()
                    visit.exchanges.append(_answered(place, assignment))
                else:
                    visit.again()
                visits[assignment.position].append(visit.exchanges)
    finally:
        browser.close()
    truths = {
        truth.item_id: truth for truth in ItemTruth.objects.filter(item__assignments__place=place).distinct()
    }
    return [
        Observation(
            item=str(one.item_id),
            arm=truths[one.item_id].arm,
            cluster=truths[one.item_id].patient or str(one.item_id),
            position=one.position,
            exchanges=_timed(visits[one.position]),
            pixels=pixels[one.position],
        )
        for one in assignments
    ]


class _Visit:
    """One look at one item: the state that names it, its metadata, its frames."""

    def __init__(self, browser: Browser, place: Place, assignment: Assignment) -> None:
        self.browser, self.place, self.assignment = browser, place, assignment
        self.exchanges: list[Exchange] = []

    def whole(self) -> Pixels:
        """Everything once: returns the pixels [frames, rows, columns] as delivered."""
        self._get("page", reverse("readings:take-read", kwargs={"place_id": self.place.pk}))
        series, instance, shape = self._described()
        frames = [
            _frame(self._get("frame", f"{series}/instances/{instance}/frames/{number}"), shape[1:])
            for number in range(1, shape[0] + 1)
        ]
        self._get("refusal", f"{series}/instances/{instance}/frames/{shape[0] + 1}", expected=404)
        return np.stack(frames)

    def again(self) -> None:
        """State, metadata and the first frame, for their times."""
        series, instance, _ = self._described()
        self._get("frame", f"{series}/instances/{instance}/frames/1")

    def _described(self) -> tuple[str, str, tuple[int, int, int]]:
        state = reverse("readings:take-state", kwargs={"place_id": self.place.pk})
        shown = self._get("state", f"{state}?at={self.assignment.position}").json()["items"]
        here = next((one for one in shown if one["position"] == self.assignment.position), None)
        if here is None:
            raise ApplicationError("The audit was not shown an item that a reader would be shown.")
        series = here["series_url"]
        described = self._get("metadata", f"{series}/metadata").json()[0]
        shape = tuple(int(described[tag]["Value"][0]) for tag in ("00280008", "00280010", "00280011"))
        return series, described["00080018"]["Value"][0], (shape[0], shape[1], shape[2])

    def _get(self, kind: str, url: str, *, expected: int = 200) -> Reply:
        reply = self.browser.get(url)
        if reply.status != expected:
            raise ApplicationError(
                f"The audit could not load the {kind} of an item as a reader's browser would "
                f"(the site answered {reply.status})."
            )
        self.exchanges.append(exchange_of(kind, "GET", reply))
        return reply


def exchange_of(kind: str, method: str, reply: Reply) -> Exchange:
    """A reply as the audit reads it; pixels stay out, the text around them does not."""
    sort = reply.header("Content-Type")
    body: Any = None
    if "json" in sort:
        body = reply.json()
    elif sort.startswith("text/"):
        body = reply.content.decode()
    elif sort.startswith("multipart/"):
        body = {"part": reply.content.partition(b"\r\n\r\n")[0].decode(errors="replace")}
    return Exchange(
        kind=kind,
        method=method,
        url=reply.url,
        status=reply.status,
        headers=reply.headers,
        length=len(reply.content),
        body=body,
        seconds=(reply.seconds,),
        begun=reply.begun,
    )


def _frame(reply: Reply, shape: tuple[int, int]) -> Any:
    """The pixels in a one-part multipart answer: [rows, columns] int16."""
    start = reply.content.find(b"\r\n\r\n") + 4
    size = 2 * shape[0] * shape[1]
    pixels = reply.content[start : start + size]
    if len(pixels) != size:
        raise ApplicationError("The audit received fewer pixels than the metadata of an item says.")
    return np.frombuffer(pixels, dtype="<i2").astype(np.int16).reshape(shape)


def _timed(visits: Sequence[Sequence[Exchange]]) -> list[Exchange]:
    """The first visit's exchanges, with the times of the later ones behind their own."""
    later: dict[tuple[str, str], list[float]] = defaultdict(list)
    for visit in visits[1:]:
        for one in visit:
            later[one.kind, one.url].extend(one.seconds)
    return [
        Exchange(**{**vars(one), "seconds": (*one.seconds, *later[one.kind, one.url])}) for one in visits[0]
    ]


# --- the reply to an answer


def _answered(place: Place, assignment: Assignment) -> Exchange:
    """What a reader's browser is told when it answers this item; everything is taken back at once.

    In one transaction that is always rolled back, the study is open and the place that of a reader
    who has come to this item; the same answer is given to every item.
    """
    with transaction.atomic():
        reader = User.objects.create(username=f"auditor-{secrets.token_hex(8)}", display_name="Reader")
        RoleGrant.objects.create(user=reader, role=Role.ANNOTATOR)
        now = timezone.now()
        Reading.objects.filter(pk=place.reading_id).update(
            state=Reading.State.OPEN, launched_at=now, protocol_sha256="0" * 64
        )
        Place.objects.filter(pk=place.pk).update(
            user=reader, is_auditor=False, number=_NO_READER, state=Place.State.READING, started_at=now
        )
        place.assignments.filter(position__lt=assignment.position).update(opened_at=now, completed_at=now)
        place.assignments.filter(position=assignment.position).update(opened_at=now)
        address = reverse("readings:take-answers", kwargs={"place_id": place.pk, "token": assignment.token})
        body = {
            "page": str(uuid4()),
            "submission": str(uuid4()),
            "answers": {one.name: sample(one) for one in terms_of(place.reading_id).questions},
            "seconds": 10.0,
            "is_complete": True,
        }
        reply = Browser(reader).post(address, body)
        transaction.set_rollback(True)
    if reply.status != 200:
        raise ApplicationError(
            f"The audit could not answer an item as a reader would (the site answered {reply.status})."
        )
    return exchange_of("answer", "POST", reply)


def sample(question: Question) -> Mapping[str, Any]:
    """An answer that the question takes: its widget's first choice, lowest value, or a word."""
    widget = question.kind.widget()
    choices = widget.get("choices")
    value = choices[0]["value"] if choices else widget.get("min", "Seen.")
    return {widget["field"]: value}
