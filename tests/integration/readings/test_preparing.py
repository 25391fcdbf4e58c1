"""Preparation as a worker does it: harmonised, numbered, looked at, audited; and what stops it."""

import pytest
from django.core.files.storage import default_storage

from tests import factories, factories_readings
from webapp.core.errors import ApplicationError, Conflict
from webapp.core.models import AuditEvent
from webapp.jobs.services import job_cancel, job_claim
from webapp.readings.models import ItemTruth, Place, Preparation, Reading
from webapp.readings.pixels import pixels_digest, pixels_load
from webapp.readings.selectors import reading_get_for
from webapp.readings.services import reading_update
from webapp.readings.services_items import (
    SliceRule,
    item_add_cases,
    item_add_results,
    item_make_control,
    item_remove,
)
from webapp.readings.services_launch import reading_launch
from webapp.readings.services_preparation import preparation_accept, reading_prepare
from workers.tasks import perform

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both]


def worked(study) -> Reading:
    """The study after a worker did its preparation."""
    reading_prepare(user=study.lead, reading=study.reading)
    claim = None
    while claim is None or claim.kind != "prepare_reading":
        claim = job_claim(queue="records", worker="test")
        assert claim is not None
    perform(claim)
    study.reading = reading_get_for(user=study.lead, id=study.reading.pk)
    return study.reading


def test_a_worker_harmonises_numbers_and_audits(storage) -> None:
    study = factories_readings.draft(3, 3)
    spoilt = ItemTruth.objects.filter(item__reading=study.reading, arm="synthetic").first().item
    item_make_control(user=study.lead, reading=study.reading, items=[spoilt], control="known_bad")
    reading = worked(study)
    assert reading.state == "ready", study.reading.state
    items = list(reading.items.all())
    assert sorted(item.number for item in items) == [1, 2, 3, 4, 5, 6]
    assert len({(item.frames, item.rows, item.columns) for item in items}) == 1
    assert len({default_storage.size(item.pixels) for item in items}) == 1
    assert all(pixels_digest(item) == item.pixels_sha256 for item in items)
    assert all(pixels_load(item).std() > 0 for item in items)
    preparation = Preparation.objects.get(reading=reading)
    assert preparation.audit["items"] == {"real": 3, "synthetic": 2}
    assert preparation.harmonisation["measures"]
    assert not Place.objects.filter(reading=reading).exists()
    assert AuditEvent.objects.filter(action="reading.prepared").exists()
    # too few items for any test: the lead has to accept that in writing
    factories_readings.invite(study, 1)
    assert preparation.needs_acceptance, preparation.audit["findings"]
    with pytest.raises(Conflict, match="Accept it in writing"):
        reading_launch(user=study.lead, reading=reading)
    with pytest.raises(ApplicationError, match="Write in a sentence"):
        preparation_accept(user=study.lead, reading=reading, note="fine")
    preparation_accept(user=study.lead, reading=reading, note="A pilot with very few items, stated as such.")
    assert reading_launch(user=study.lead, reading=reading).state == "open"


def test_changing_what_readers_receive_asks_for_another_preparation(storage) -> None:
    study = factories_readings.prepared(factories_readings.draft(2, 2))
    names = [item.pixels for item in study.reading.items.all()]
    protocol = factories_readings.protocol_of(study)
    reading = reading_update(
        user=study.lead, reading=study.reading, protocol=protocol.changed(instructions="Look.")
    )
    assert reading.state == "ready"
    reading = reading_update(
        user=study.lead, reading=reading, protocol=protocol.changed(harmonise={"field_mm": 50.0})
    )
    assert reading.state == "draft"
    assert not Preparation.objects.filter(reading=reading).exists()
    assert not any(default_storage.exists(name) for name in names)
    study = factories_readings.prepared(factories_readings.draft(2, 2))
    item_remove(user=study.lead, reading=study.reading, items=[study.reading.items.first()])
    assert reading_get_for(user=study.lead, id=study.reading.pk).state == "draft"


def test_a_cancelled_preparation_leaves_a_draft(storage) -> None:
    study = factories_readings.draft(2, 2)
    job = reading_prepare(user=study.lead, reading=study.reading)
    with pytest.raises(Conflict, match="being prepared"):
        reading_update(user=study.lead, reading=study.reading, title="Other")
    job_cancel(user=study.lead, job=job)
    assert reading_get_for(user=study.lead, id=study.reading.pk).state == "draft"


def test_what_cannot_be_prepared_is_said_in_words(storage) -> None:
    study = factories_readings.draft(2, 0)
    with pytest.raises(ApplicationError, match="no counted synthetic item"):
        reading_prepare(user=study.lead, reading=study.reading)
    study = factories_readings.draft(2, 1)
    ItemTruth.objects.filter(item__reading=study.reading, arm="real").first().case.delete()
    with pytest.raises(ApplicationError, match="have been deleted"):
        reading_prepare(user=study.lead, reading=study.reading)


def test_volumes_are_prepared_slice_by_slice(storage) -> None:
    study = factories_readings.draft(2, 0)
    results = factories_readings.offered_results(study.requester, 2)
    for number, result in enumerate(results):
        result.case = factories.case(owner=study.requester, slices=4 + number, is_synthetic=True)
        result.save()
    dataset = factories.dataset(shares={study.lead: "view"})
    cases = [factories.case(dataset=dataset, slices=5) for _ in range(2)]
    for number, case in enumerate(cases):
        case.patient = f"V{number}"
        case.save()
    asked = {"user": study.lead, "reading": study.reading, "slices": SliceRule(rule="all")}
    item_remove(user=study.lead, reading=study.reading, items=list(study.reading.items.all()))
    item_add_cases(**asked, cases=cases)
    item_add_results(**asked, results=results)
    reading = worked(study)
    assert reading.state == "ready", reading.job_id
    frames = {item.frames for item in reading.items.all()}
    assert len(frames) == 1
    assert frames.pop() > 1
