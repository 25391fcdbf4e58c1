"""Making a study, deciding its protocol, closing and unblinding it, and making a new version."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.core.errors import ApplicationError, Conflict
from webapp.core.permissions import require
from webapp.core.services import audit_record
from webapp.readings.drafts import draft_changed, draft_locked, study_locked
from webapp.readings.freezing import reading_protocol, truth_is_unchanged
from webapp.readings.models import ItemTruth, Place, Reading, ReadingItem
from webapp.readings.pixels import pixels_remove
from webapp.readings.protocol import SEED_LIMIT, Protocol

TITLE_LIMIT = 160


@transaction.atomic
def reading_create(*, user: Any, title: str, summary: str = "", protocol: Protocol | None = None) -> Reading:
    """Make an empty study that the person leads; a missing protocol has every default.

    Raises Http404 for whoever may not lead studies, ApplicationError without a title.
    """
    require(user, "create", Reading)
    chosen = protocol or Protocol(seed=secrets.randbelow(SEED_LIMIT))
    reading = Reading.objects.create(
        title=_title(title), summary=summary.strip(), owner=user, protocol=chosen.to_json()
    )
    audit_record(actor=user, action="reading.created", obj=reading)
    return reading


@transaction.atomic
def reading_update(
    *,
    user: Any,
    reading: Reading,
    title: str | None = None,
    summary: str | None = None,
    protocol: Protocol | None = None,
) -> Reading:
    """Change what the study says of itself or its protocol, while it is a draft.

    A prepared study stays prepared unless the change touches what readers would receive.
    Raises Conflict once it is launched, ApplicationError for what makes no sound study.
    """
    row = draft_locked(user=user, reading=reading)
    changed = []
    if title is not None and _title(title) != row.title:
        row.title = _title(title)
        changed.append("title")
    if summary is not None and summary.strip() != row.summary:
        row.summary = summary.strip()
        changed.append("summary")
    if protocol is not None and protocol.to_json() != row.protocol:
        if protocol.frozen is not None:
            raise ValueError("protocol: expected one that is not frozen yet, got a launched one.")
        before = row.protocol
        row.protocol = protocol.to_json()
        changed += [name for name, value in row.protocol.items() if before.get(name) != value]
    if changed:
        row.save(update_fields=["title", "summary", "protocol", "updated_at"])
        if protocol is not None:
            _follow(row, protocol)
        draft_changed(row)
        audit_record(
            actor=user, action="reading.changed", obj=row, detail={"changed": ", ".join(sorted(changed))}
        )
    return row


def stratum_of(truth: ItemTruth, protocol: Protocol) -> str:
    """The stratum of an item: the attributes by which the study stratifies, in words."""
    known = {"modality": truth.item.modality} | dict(truth.attributes)
    return ", ".join(str(known.get(name) or "unknown") for name in protocol.stratify)[:80]


def expected_of(truth: ItemTruth, protocol: Protocol) -> dict[str, Any]:
    """The right answer to the primary question, by which an attention check is judged."""
    return {protocol.primary.name: {"synthetic": truth.arm == ItemTruth.Arm.SYNTHETIC}}


def _follow(reading: Reading, protocol: Protocol) -> None:
    """Strata and right answers as the changed protocol has them."""
    for truth in ItemTruth.objects.filter(item__reading=reading).select_related("item"):
        derived = (stratum_of(truth, protocol), expected_of(truth, protocol))
        if derived != (truth.stratum, truth.expected):
            truth.stratum, truth.expected = derived
            truth.save(update_fields=["stratum", "expected", "updated_at"])


@transaction.atomic
def reading_delete(*, user: Any, reading: Reading) -> None:
    """Delete a study that was never launched, with everything made for it.

    Raises Conflict once it is launched.
    """
    row = draft_locked(user=user, reading=reading)
    names = [name for name in row.items.values_list("pixels", flat=True) if name]
    audit_record(actor=user, action="reading.deleted", obj=row)
    row.delete()
    transaction.on_commit(partial(pixels_remove, names))


@transaction.atomic
def reading_close(*, user: Any, reading: Reading) -> Reading:
    """End the reading: no answer is taken any more; the truth stays hidden.

    Raises Conflict unless the study is open.
    """
    row = study_locked(user=user, reading=reading)
    if row.state != Reading.State.OPEN:
        raise Conflict(_("Only a study that is open for reading can be closed."))
    row.state = Reading.State.CLOSED
    row.closed_at = timezone.now()
    row.save(update_fields=["state", "closed_at", "updated_at"])
    places = Place.objects.filter(reading=row, is_auditor=False)
    detail = {"readers": places.count(), "finished": places.filter(state=Place.State.FINISHED).count()}
    audit_record(actor=user, action="reading.closed", obj=row, detail=detail)
    return row


@transaction.atomic
def reading_unblind(*, user: Any, reading: Reading) -> Reading:
    """Reveal the truth to the lead, once, in one audited event that publishes the salt of its digest.

    Raises Conflict unless the study is closed and not unblinded yet.
    """
    row = study_locked(user=user, reading=reading)
    if row.state != Reading.State.CLOSED:
        raise Conflict(_("A study is unblinded once, after it was closed."))
    row.state = Reading.State.UNBLINDED
    row.unblinded_at = timezone.now()
    row.unblinded_by = user
    row.save(update_fields=["state", "unblinded_at", "unblinded_by", "updated_at"])
    audit_record(
        actor=user,
        action="reading.unblinded",
        obj=row,
        detail={
            "protocol_sha256": row.protocol_sha256,
            "truth_sha256": row.protocol["truth_sha256"],
            "salt": row.preparation.salt,
            "truth_unchanged": truth_is_unchanged(row),
        },
    )
    return row


@transaction.atomic
def reading_new_version(*, user: Any, reading: Reading) -> Reading:
    """A new draft with the same protocol and items, orders to be made anew, and no readers yet.

    Raises Conflict unless the study was launched, or where it has a newer version already.
    """
    old = study_locked(user=user, reading=reading)
    if old.state not in Reading.LAUNCHED:
        raise Conflict(_("This study can still be changed itself; a new version is for launched studies."))
    newer = old.replaced_by.first()
    if newer is not None:
        raise Conflict(_("Version %(version)d of this study exists already.") % {"version": newer.version})
    protocol = reading_protocol(old).changed(frozen=None, seed=secrets.randbelow(SEED_LIMIT))
    new = Reading.objects.create(
        title=old.title,
        summary=old.summary,
        owner=old.owner,
        version=old.version + 1,
        replaces=old,
        protocol=protocol.to_json(),
    )
    for truth in ItemTruth.objects.filter(item__reading=old).select_related("item").order_by("item__number"):
        item = ReadingItem.objects.create(
            reading=new,
            role=truth.item.role,
            modality=truth.item.modality,
            feedback=truth.item.feedback,
        )
        _copy_truth(truth, item)
    audit_record(actor=user, action="reading.versioned", obj=new, detail={"replaces": str(old.pk)})
    return new


def _copy_truth(truth: ItemTruth, item: ReadingItem) -> None:
    kept = ("arm", "control", "case", "result", "first_slice", "slice_count", "stratum", "patient")
    values = {name: getattr(truth, name) for name in (*kept, "attributes", "expected", "source")}
    ItemTruth.objects.create(item=item, **values)


def _title(title: str) -> str:
    title = " ".join(title.split())
    if not title:
        raise ApplicationError(_("Give the study a title."), field="title")
    if len(title) > TITLE_LIMIT:
        raise ApplicationError(
            _("A title has up to %(limit)d characters.") % {"limit": TITLE_LIMIT}, field="title"
        )
    return title
