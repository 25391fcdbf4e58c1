"""How far an open study is, for its lead: counts and times alone. Nothing here looks at the truth.

Whether an attention check was passed is a matter of the truth, so that it is told in the report and not
before: here stands only how many were answered.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from django.db.models import Max

from webapp.core.permissions import require
from webapp.readings.models.study import Reading, ReadingItem
from webapp.readings.models.taking import Answer, Assignment, Place
from webapp.readings.protocol import Protocol


@dataclass(frozen=True, kw_only=True)
class ReaderProgress:
    """One reader: items done of all, sessions done of all, attention checks answered, median seconds."""

    place: Place
    done: int
    total: int
    sessions_done: int
    sessions: int
    checks_answered: int
    checks: int
    seconds: float | None
    last_at: datetime | None

    @property
    def share(self) -> float:
        """Done, from 0 to 1."""
        return self.done / self.total if self.total else 0.0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """All readers of a study."""

    readers: list[ReaderProgress]

    @property
    def done(self) -> int:
        """Items done by everybody who has not withdrawn."""
        return sum(one.done for one in self.readers if one.place.state != Place.State.WITHDRAWN)

    @property
    def total(self) -> int:
        """Items planned for everybody who has not withdrawn."""
        return sum(one.total for one in self.readers if one.place.state != Place.State.WITHDRAWN)

    @property
    def share(self) -> float:
        """Done, from 0 to 1."""
        return self.done / self.total if self.total else 0.0

    @property
    def finished(self) -> int:
        """How many readers are done."""
        return sum(one.place.state == Place.State.FINISHED for one in self.readers)


def progress_of(*, user: Any, reading: Reading) -> Progress:
    """How far every reader is. Raises Http404 for whoever may not see the study."""
    require(user, "view", reading)
    places = Place.objects.filter(reading=reading, is_auditor=False).select_related("user")
    rows: dict[Any, list[tuple[int, bool, bool]]] = defaultdict(list)
    assignments = Assignment.objects.filter(place__in=places).values_list(
        "place_id", "session", "item__role", "completed_at"
    )
    for place, session, role, completed in assignments:
        rows[place].append((session, role == ReadingItem.Role.ATTENTION, completed is not None))
    primary = Protocol.from_json(reading.protocol).primary.name
    answers = Answer.objects.filter(assignment__place__in=places, question=primary, revision=0)
    seconds: dict[Any, list[float]] = defaultdict(list)
    for place, taken in answers.values_list("assignment__place_id", "seconds"):
        seconds[place].append(taken)
    last = dict(
        Answer.objects.filter(assignment__place__in=places)
        .order_by()
        .values_list("assignment__place_id")
        .annotate(last=Max("at"))
    )
    return Progress(
        readers=[_progress(one, rows[one.pk], seconds[one.pk], last.get(one.pk)) for one in places]
    )


def _progress(
    place: Place, rows: list[tuple[int, bool, bool]], seconds: list[float], last_at: datetime | None
) -> ReaderProgress:
    open_sessions = {session for session, _, done in rows if not done}
    sessions = {session for session, _, _ in rows}
    checks = [done for _, is_check, done in rows if is_check]
    return ReaderProgress(
        place=place,
        done=sum(done for _, _, done in rows),
        total=len(rows),
        sessions_done=len(sessions - open_sessions),
        sessions=len(sessions),
        checks_answered=sum(checks),
        checks=len(checks),
        seconds=median(seconds) if seconds else None,
        last_at=last_at,
    )
