"""From a draft to an open study: orders stored, protocol frozen and hashed, later changes refused."""

import pytest
from django.core.exceptions import PermissionDenied

from tests import factories_readings
from webapp.core.errors import Conflict
from webapp.core.models import AuditEvent
from webapp.readings.freezing import protocol_is_unchanged, truth_is_unchanged
from webapp.readings.protocol import Repeats, sha256_of
from webapp.readings.services import reading_delete, reading_unblind, reading_update
from webapp.readings.services_items import item_make_control, item_remove, item_set_role
from webapp.readings.services_preparation import reading_prepare

pytestmark = [pytest.mark.django_db, pytest.mark.both]


def test_launching_freezes_hashes_and_orders(storage) -> None:
    study = factories_readings.launched(4, 4, 2, training=2, attention=1, repeats=Repeats(share=0.4, gap=1))
    reading = study.reading
    assert reading.state == "open"
    assert reading.protocol_sha256 == sha256_of(reading.protocol)
    assert protocol_is_unchanged(reading)
    assert truth_is_unchanged(reading)
    assert [item["number"] for item in reading.protocol["items"]] == list(range(1, 9))
    for place in study.places:
        rows = list(place.assignments.values_list("item__number", "session"))
        frozen = next(one for one in reading.protocol["readers"] if one["number"] == place.number)
        assert frozen["order"] == [number for number, _ in rows]
        assert frozen["sessions"] == [session for _, session in rows]
        assert place.assignments.filter(repeats__isnull=False).count() == 2
    orders = [one["order"] for one in reading.protocol["readers"]]
    assert orders[0] != orders[1]
    event = AuditEvent.objects.get(action="reading.launched")
    assert event.detail["protocol_sha256"] == reading.protocol_sha256


def test_a_launched_study_refuses_every_change(storage) -> None:
    study = factories_readings.launched(2, 2, 1)
    held = {"user": study.lead, "reading": study.reading}
    items = list(study.reading.items.all())
    changes = (
        lambda: reading_update(**held, title="Another"),
        lambda: item_remove(**held, items=items[:1]),
        lambda: item_set_role(**held, items=items[:1], role="training"),
        lambda: item_make_control(**held, items=items[:1], control=""),
        lambda: reading_prepare(**held),
        lambda: reading_delete(**held),
        lambda: reading_unblind(**held),
    )
    for change in changes:
        with pytest.raises((Conflict, PermissionDenied)):
            change()
    study.reading.refresh_from_db()
    assert study.reading.state == "open"
    assert study.reading.items.count() == len(items)
    assert protocol_is_unchanged(study.reading)
    assert truth_is_unchanged(study.reading)
