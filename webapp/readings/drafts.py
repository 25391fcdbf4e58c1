"""Holding a study for a change: locked, still a draft, and prepared anew where the change needs it."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from webapp.core.errors import Conflict
from webapp.core.permissions import require
from webapp.jobs.models import Job
from webapp.readings.freezing import preparation_key
from webapp.readings.models import Place, Preparation, Reading, ReadingItem
from webapp.readings.pixels import pixels_remove


def study_locked(*, user: Any, reading: Reading) -> Reading:
    """The study of a lead, its row held until the transaction ends.

    Raises Http404 for whoever may not see it.
    """
    require(user, "view", reading)
    row = Reading.objects.select_for_update(of=("self",)).filter(pk=reading.pk).first()
    if row is None:
        raise Conflict(_("This study has been deleted meanwhile."))
    return settled(row)


def draft_locked(*, user: Any, reading: Reading) -> Reading:
    """The study, held, while it may still change. Raises Conflict, saying why, where it may not."""
    row = study_locked(user=user, reading=reading)
    if row.state == Reading.State.PREPARING:
        raise Conflict(
            _("This study is being prepared. Wait until that is done, or cancel the job, then change it.")
        )
    if not row.is_editable:
        raise Conflict(
            _("This study has been launched, so nothing in it changes any more. Make a new version of it.")
        )
    return row


def settled(reading: Reading) -> Reading:
    """A study whose preparation failed or was cancelled is a draft again, whatever became of its worker."""
    if reading.state != Reading.State.PREPARING:
        return reading
    job = Job.objects.filter(pk=reading.job_id).first() if reading.job_id else None
    if job is None or job.state in (Job.State.FAILED, Job.State.CANCELLED):
        Reading.objects.filter(pk=reading.pk, state=Reading.State.PREPARING, job_id=reading.job_id).update(
            state=Reading.State.DRAFT
        )
        reading.refresh_from_db()
    return reading


def draft_changed(reading: Reading) -> Reading:
    """After a change: a study that was ready is a draft again unless readers would receive the very same."""
    preparation = Preparation.objects.filter(reading=reading).first()
    if preparation is not None and preparation.key != preparation_key(reading):
        preparation_drop(reading)
    return reading


def preparation_drop(reading: Reading) -> None:
    """Forget a preparation: its report, the numbers, and, once committed, the images."""
    images_remove(reading)
    auditor_remove(reading)
    Preparation.objects.filter(reading=reading).delete()
    if reading.state == Reading.State.READY:
        reading.state = Reading.State.DRAFT
        reading.save(update_fields=["state", "updated_at"])


def images_remove(reading: Reading) -> None:
    """Forget the numbers and, once committed, the harmonised images of a study that is not launched."""
    items = ReadingItem.objects.filter(reading=reading)
    names = [name for name in items.values_list("pixels", flat=True) if name]
    items.update(number=None, pixels="", pixels_sha256="", rows=0, columns=0, frames=0)
    transaction.on_commit(partial(pixels_remove, names))


def auditor_remove(reading: Reading) -> None:
    """Take away the place through which the leak audit looks, if there is one."""
    Place.objects.filter(reading=reading, is_auditor=True).delete()
