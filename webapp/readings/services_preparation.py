"""Handing a study to a worker to be prepared, and accepting in writing what its audit found."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.core.errors import ApplicationError, Conflict
from webapp.core.services import audit_record
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit
from webapp.readings.allocation import Unit, order_check
from webapp.readings.drafts import draft_locked, preparation_drop
from webapp.readings.freezing import reading_protocol
from webapp.readings.models import ItemTruth, Preparation, Reading, ReadingItem

SHORTEST_NOTE = 20


@transaction.atomic
def reading_prepare(*, user: Any, reading: Reading) -> Job:
    """Have a worker harmonise and audit the study; the job is returned.

    Raises Conflict once the study is launched or while it is being prepared, ApplicationError where
    items are missing or cannot be put into an order that keeps the protocol.
    """
    row = draft_locked(user=user, reading=reading)
    _check_items(row)
    preparation_drop(row)
    job = job_submit(
        kind="prepare_reading",
        owner=user,
        payload={"reading_id": str(row.pk), "title": row.title},
        subject_type="readings.Reading",
        subject_id=row.pk,
    )
    row.state = Reading.State.PREPARING
    row.job_id = job.pk
    row.save(update_fields=["state", "job_id", "updated_at"])
    audit_record(actor=user, action="reading.preparing", obj=row, detail={"job": str(job.pk)})
    return job


def _check_items(reading: Reading) -> None:
    truths = list(ItemTruth.objects.filter(item__reading=reading).select_related("item"))
    main = [one for one in truths if one.item.role == ReadingItem.Role.MAIN and not one.control]
    for arm, label in ItemTruth.Arm.choices:
        if not any(one.arm == arm for one in main):
            raise ApplicationError(
                _("There is no counted %(arm)s item yet. A study compares real with synthetic images.")
                % {"arm": str(label).lower()},
                field="items",
            )
    gone = sum(1 for one in truths if one.case_id is None)
    if gone:
        raise ApplicationError(
            _("The sources of %(n)d items have been deleted. Remove these items, then prepare.")
            % {"n": gone},
            field="items",
        )
    units = [
        Unit(number=n, role=one.item.role, arm=one.arm, stratum=one.stratum, control=one.control)
        for n, one in enumerate(truths, start=1)
    ]
    order_check(units=units, protocol=reading_protocol(reading))


@transaction.atomic
def preparation_accept(*, user: Any, reading: Reading, note: str) -> Preparation:
    """Accept in writing that simple statistics of the pixels tell the arms apart.

    Raises ApplicationError without a reason of some length, Conflict where there is nothing to accept
    or where a leak blocks the launch whatever one writes.
    """
    row = draft_locked(user=user, reading=reading)
    preparation = Preparation.objects.select_for_update().filter(reading=row).first()
    if preparation is None or not preparation.needs_acceptance:
        raise Conflict(_("There is nothing to accept."))
    if preparation.is_blocked:
        raise Conflict(_("What a reader's browser receives leaks; that cannot be accepted, only mended."))
    note = note.strip()
    if len(note) < SHORTEST_NOTE:
        raise ApplicationError(
            _("Write in a sentence why the study is sound all the same; it goes into the report."),
            field="note",
        )
    preparation.acceptance = note[:4000]
    preparation.accepted_by = user
    preparation.accepted_at = timezone.now()
    preparation.save(update_fields=["acceptance", "accepted_by", "accepted_at", "updated_at"])
    audit_record(actor=user, action="reading.leak_accepted", obj=row, detail={"note": preparation.acceptance})
    return preparation
