"""Which items a reader may load just now: the one before them, the few to be loaded ahead, and no other."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import F, OuterRef, QuerySet, Subquery

from webapp.core.errors import NotVisible
from webapp.core.permissions import can
from webapp.readings.models.study import Reading, ReadingItem
from webapp.readings.models.taking import Assignment, Place

AHEAD = 2
"""How many items after the present one a browser may load."""


def _whereabouts(found: QuerySet[Assignment]) -> Any:
    """The assignment, as values, beside the reader's present one; None where there is none."""
    waiting = Assignment.objects.filter(place=OuterRef("place"), completed_at__isnull=True)
    present = waiting.order_by("position")
    return (
        found.values("item_id", "position", "session")
        .annotate(
            now=Subquery(present.values("position")[:1]),
            now_session=Subquery(present.values("session")[:1]),
            now_opened=Subquery(present.values("opened_at")[:1]),
            last_session=Subquery(
                Assignment.objects.filter(place=OuterRef("place")).order_by("-position").values("session")[:1]
            ),
            going_back=F("place__reading__protocol__going_back"),
            place_state=F("place__state"),
            is_auditor=F("place__is_auditor"),
            reading_state=F("place__reading__state"),
        )
        .first()
    )


def _is_open(found: dict[str, Any]) -> bool:
    """Whether the item may be loaded, by where the reader is."""
    if found["is_auditor"]:
        return bool(found["reading_state"] == Reading.State.PREPARING)
    if found["reading_state"] != Reading.State.OPEN:
        return False
    if found["place_state"] not in (Place.State.READING, Place.State.PAUSED):
        return False
    now = found["now"]
    if now is None:  # everything is answered, and looking back is all that is left
        return bool(found["going_back"] and found["session"] == found["last_session"])
    if found["now_opened"] is None or found["session"] != found["now_session"]:
        return False
    ahead = found["position"] - now
    return bool(0 <= ahead <= AHEAD or (ahead < 0 and found["going_back"]))


def item_for(*, user: Any, place_id: UUID, token: str) -> ReadingItem:
    """The item behind a token, for the reader whose token it is, while they may load it.

    Raises:
        NotVisible: for every other token, whether foreign, unknown, read already or not yet due.
    """
    theirs = Assignment.objects.filter(token=token, place_id=place_id, place__user=user)
    found = _whereabouts(theirs)
    if found is None or not _is_open(found):
        raise NotVisible
    if not found["is_auditor"] and not can(user, "read", Place(user_id=user.pk)):
        raise NotVisible
    return ReadingItem.objects.get(pk=found["item_id"])
