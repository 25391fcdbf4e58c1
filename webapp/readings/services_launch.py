"""Launching: the last checks, every reader's order, and the protocol frozen and hashed."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.core.errors import Conflict
from webapp.core.permissions import require
from webapp.core.services import audit_record
from webapp.readings.allocation import Slot
from webapp.readings.conflicts import knowledge_of, places_unconfirmed
from webapp.readings.drafts import draft_locked
from webapp.readings.freezing import freeze, preparation_key
from webapp.readings.models import Assignment, Place, Preparation, Reading, ReadingItem
from webapp.readings.pixels import pixels_digest
from webapp.readings.protocol import sha256_of
from webapp.readings.services_places import order_store


@transaction.atomic
def reading_launch(*, user: Any, reading: Reading, confirm: bool = False) -> Reading:
    """Open a prepared study for reading; from then on its items, orders and protocol never change.

    `confirm` accepts readers who, since they were invited, may look into a dataset of the study.
    Raises Conflict, saying what is missing, where it cannot be launched yet.
    """
    require(user, "view", reading)
    row = draft_locked(user=user, reading=reading)
    preparation = _prepared(row)
    _check_readers(row, confirm)
    _check_pixels(row)
    places = list(Place.objects.filter(reading=row, is_auditor=False).order_by("number"))
    for place in places:
        place.reading = row
        order_store(place)
    _, protocol = freeze(reading=row, preparation=preparation, orders=_orders(places))
    row.protocol = protocol
    row.protocol_sha256 = sha256_of(protocol)
    row.state = Reading.State.OPEN
    row.launched_at = timezone.now()
    row.save(update_fields=["protocol", "protocol_sha256", "state", "launched_at", "updated_at"])
    audit_record(
        actor=user,
        action="reading.launched",
        obj=row,
        detail={
            "protocol_sha256": row.protocol_sha256,
            "truth_sha256": protocol["truth_sha256"],
            "items": len(protocol["items"]),
            "readers": len(places),
        },
    )
    return row


def _prepared(reading: Reading) -> Preparation:
    preparation = Preparation.objects.filter(reading=reading).first()
    if reading.state != Reading.State.READY or preparation is None:
        raise Conflict(_("Prepare the study first: its images are harmonised and audited for leaks."))
    if preparation.key != preparation_key(reading):
        raise Conflict(_("The items changed since the study was prepared. Prepare it again, then launch."))
    if preparation.is_blocked:
        raise Conflict(
            _(
                "The audit found a leak in what a reader's browser receives. "
                "A study that leaks is not launched."
            )
        )
    if preparation.needs_acceptance and preparation.accepted_at is None:
        raise Conflict(
            _("The audit found a leak in the pixels. Accept it in writing first, or change the items.")
        )
    return preparation


def _check_readers(reading: Reading, confirm: bool) -> None:
    places = list(Place.objects.filter(reading=reading, is_auditor=False).select_related("user"))
    if not places:
        raise Conflict(_("Nobody is invited yet. Invite at least one reader, then launch."))
    for place in places:
        if knowledge_of(place.user, reading).owns_results:
            raise Conflict(
                _("%(reader)s made synthetic images of this study and cannot read in it.")
                % {"reader": place.user}
            )
    for place, datasets in places_unconfirmed(reading):
        if not confirm:
            raise Conflict(
                _(
                    "%(reader)s may by now look into %(datasets)s, from which real images of this study "
                    "come. Confirm that they may read all the same, or take them off the list."
                )
                % {"reader": place.user, "datasets": ", ".join(datasets)},
                code="may_know",
            )
        place.may_view = sorted({*place.may_view, *datasets})
        place.save(update_fields=["may_view", "updated_at"])


def _check_pixels(reading: Reading) -> None:
    for item in ReadingItem.objects.filter(reading=reading):
        if not item.pixels or item.number is None or pixels_digest(item) != item.pixels_sha256:
            raise Conflict(_("An image of the study is not as it was prepared. Prepare the study again."))


def _orders(places: list[Place]) -> dict[int, list[Slot]]:
    """The stored orders by reader number, as they go into the protocol."""
    found: dict[int, list[Slot]] = {place.number: [] for place in places}
    rows = Assignment.objects.filter(place__in=places).order_by("place__number", "position")
    for reader, position, number, session, block in rows.values_list(
        "place__number", "position", "item__number", "session", "block"
    ):
        found[reader].append(Slot(position=position, number=number or 0, session=session, block=block))
    return found
