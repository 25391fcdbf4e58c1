"""Inviting readers, and taking invitations back."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from webapp.core.errors import ApplicationError, Conflict
from webapp.core.services import audit_record
from webapp.readings.allocation import order_make, reader_seed
from webapp.readings.conflicts import knowledge_of
from webapp.readings.drafts import study_locked
from webapp.readings.freezing import reading_protocol, units_of
from webapp.readings.models import Assignment, Place, PlaceEvent, Reading, ReadingItem
from webapp.readings.rules import may_read

MOST_READERS = 200
INVITING = (Reading.State.DRAFT, Reading.State.PREPARING, Reading.State.READY, Reading.State.OPEN)


class MayKnow(Conflict):
    """The person may look into datasets of the study: the lead has to confirm that this is accepted."""

    default_code = "may_know"

    def __init__(self, reader: Any, datasets: tuple[str, ...]) -> None:
        self.reader, self.datasets = reader, datasets
        super().__init__(
            _(
                "%(reader)s may look into %(datasets)s, from which real images of this study come, and could "
                "recognise them. Nobody was invited. Invite all the same only if you accept that; it is "
                "noted in the audit trail and in the report."
            )
            % {"reader": reader, "datasets": ", ".join(datasets)}
        )


@transaction.atomic
def place_invite(*, user: Any, reading: Reading, reader: Any, confirm: bool = False) -> Place:
    """Give somebody a place in the study; while it is open, with an order made from the frozen seed.

    Raises Conflict for the lead, for whoever made a synthetic image of the study, for whoever has or had
    a place; MayKnow, unless confirmed, for whoever may look into a dataset of the study.
    """
    row = study_locked(user=user, reading=reading)
    if row.state not in INVITING:
        raise Conflict(_("This study is closed, so nobody can be invited any more."))
    _check_reader(row, reader)
    known = knowledge_of(reader, row)
    if known.owns_results:
        raise Conflict(
            _("%(reader)s made synthetic images of this study and would know them. Nobody was invited.")
            % {"reader": reader}
        )
    if known.datasets and not confirm:
        raise MayKnow(reader, known.datasets)
    places = Place.objects.filter(reading=row, is_auditor=False)
    if places.count() >= MOST_READERS:
        raise Conflict(_("A study has up to %(most)d readers.") % {"most": MOST_READERS})
    number = 1 + (places.aggregate(last=Max("number"))["last"] or 0)
    place = Place.objects.create(
        reading=row,
        user=reader,
        number=number,
        invited_by=user,
        may_view=list(known.datasets),
        seed=reader_seed(reading_protocol(row), number),
    )
    if row.state == Reading.State.OPEN:
        order_store(place)
    audit_record(
        actor=user,
        action="reading.reader_invited",
        obj=row,
        detail={
            "reader": str(reader),
            "number": number,
            "may_view": ", ".join(known.datasets) or "none",
            "after_launch": row.state == Reading.State.OPEN,
        },
    )
    return place


def _check_reader(reading: Reading, reader: Any) -> None:
    if reader.pk == reading.owner_id:
        raise Conflict(_("You lead this study and know its truth, so you cannot read in it."))
    if not reader.is_active or not may_read(reader):
        raise ApplicationError(
            _("%(reader)s holds no role that reads (annotator, clinician or researcher).")
            % {"reader": reader},
            field="reader",
        )
    place = Place.objects.filter(reading=reading, user=reader, is_auditor=False).first()
    if place is not None and place.state == Place.State.WITHDRAWN:
        raise Conflict(
            _("%(reader)s left this study, and their answers stay as they are.") % {"reader": reader}
        )
    if place is not None:
        raise Conflict(_("%(reader)s is invited already.") % {"reader": reader})


def order_store(place: Place) -> None:
    """Make the reader's order from the place's seed and keep it, once and for all.

    Raises Conflict where there is one already.
    """
    if place.assignments.exists():
        raise Conflict(_("%(place)s has an order already.") % {"place": place})
    reading = place.reading
    others = Assignment.objects.filter(place__reading=reading, place__is_auditor=False)
    orders: dict[Any, list[int | None]] = {}
    for other, number in others.order_by("place", "position").values_list("place", "item__number"):
        orders.setdefault(other, []).append(number)
    slots = order_make(
        units=units_of(reading),
        protocol=reading_protocol(reading),
        seed=place.seed,
        unlike={tuple(number or 0 for number in order) for order in orders.values()},
    )
    items = {item.number: item for item in ReadingItem.objects.filter(reading=reading)}
    made = Assignment.objects.bulk_create(
        Assignment(
            place=place,
            position=slot.position,
            session=slot.session,
            block=slot.block,
            item=items[slot.number],
        )
        for slot in slots
    )
    again = [(made[slot.position], made[slot.repeats]) for slot in slots if slot.repeats is not None]
    for later, first in again:
        later.repeats = first
    Assignment.objects.bulk_update([later for later, _ in again], ["repeats"])


@transaction.atomic
def place_remove(*, user: Any, place: Place) -> None:
    """Take an invitation back; whoever has begun to read leaves the study, and their answers stay.

    Raises Conflict once the study is closed.
    """
    row = study_locked(user=user, reading=place.reading)
    if row.state not in INVITING:
        raise Conflict(_("This study is closed; its readers stay as they are."))
    held = Place.objects.select_for_update(of=("self",)).select_related("user").get(pk=place.pk)
    begun = held.started_at is not None or PlaceEvent.objects.filter(place=held).exists()
    if row.state == Reading.State.OPEN and begun:
        held.state = Place.State.WITHDRAWN
        held.save(update_fields=["state", "updated_at"])
    else:
        Assignment.objects.filter(place=held).update(repeats=None)
        held.delete()
    audit_record(
        actor=user,
        action="reading.reader_removed",
        obj=row,
        detail={"reader": str(held.user), "number": held.number, "answers_kept": begun},
    )
