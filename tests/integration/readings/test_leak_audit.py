"""The leak audit through the real addresses: sees what readers do, finds what is planted, leaves nothing."""

import numpy as np
import pytest
from django.contrib.sessions.models import Session

from tests import factories_taking
from webapp.accounts.models import User
from webapp.core.errors import ApplicationError
from webapp.readings import services_taking
from webapp.readings.audit import audit
from webapp.readings.audit.collect import collect
from webapp.readings.models import Answer, Assignment, Place, PlaceEvent, Reading
from webapp.readings.pixels import pixels_load
from webapp.readings.serving import metadata, views

pytestmark = pytest.mark.django_db

ITEMS = 16


def noise(number: int, frames: int) -> np.ndarray:
    """int16 [frames, rows, columns] of one law for both arms."""
    return np.random.default_rng(number).normal(40, 20, (frames, 24, 24)).round().astype("<i2")


@pytest.fixture
def auditor(storage):
    """A place of the lead that holds every item once, in random order, in a study being prepared."""
    reading = factories_taking.study([], items=ITEMS, draw=noise)
    Reading.objects.filter(pk=reading.pk).update(
        state=Reading.State.PREPARING, launched_at=None, protocol_sha256=""
    )
    place = Place.objects.create(
        reading=reading,
        user=reading.owner,
        invited_by=reading.owner,
        number=0,
        is_auditor=True,
        state=Place.State.READING,
    )
    items = list(reading.items.all())
    order = np.random.default_rng(3).permutation(len(items))
    Assignment.objects.bulk_create(
        Assignment(place=place, position=position, item=items[index]) for position, index in enumerate(order)
    )
    return Place.objects.get(pk=place.pk)


def look(place: Place, rounds: int = 2):
    return collect(place, lambda: None, rounds=rounds)


@pytest.mark.both
def test_it_receives_what_a_reader_would_and_leaves_nothing_behind(auditor) -> None:
    before = (User.objects.count(), Session.objects.count(), Reading.objects.values().get())
    seen = look(auditor)
    assert [one.position for one in seen] == list(range(ITEMS))
    for observation in seen:
        item = auditor.reading.items.get(pk=observation.item)
        np.testing.assert_array_equal(observation.pixels, pixels_load(item))
        assert observation.arm == item.truth.arm
        assert observation.cluster == item.truth.patient
        kinds = [exchange.kind for exchange in observation.exchanges]
        assert kinds == ["page", "state", "metadata", "frame", "refusal", "answer"]
        times = {exchange.kind: len(exchange.seconds) for exchange in observation.exchanges}
        assert times == {"page": 1, "state": 2, "metadata": 2, "frame": 2, "refusal": 1, "answer": 1}
        reply = observation.exchanges[-1]
        assert reply.status == 200
        assert reply.body["outcome"] == "stored"
    assert before == (User.objects.count(), Session.objects.count(), Reading.objects.values().get())
    assert not Answer.objects.exists()
    assert not PlaceEvent.objects.exists()
    assert Place.objects.get(pk=auditor.pk).is_auditor
    assert not auditor.assignments.filter(completed_at__isnull=False).exists()


def test_what_the_site_serves_tells_nothing(auditor) -> None:
    report = audit(look(auditor), seed=1)
    assert report.leaks("metadata") == []
    assert not report.is_blocked


def found(auditor, name: str, seed: int = 1) -> list[str]:
    report = audit(look(auditor), seed=seed)
    assert report.is_blocked
    return [one.sentence() for one in report.leaks("metadata") if name in one.feature]


def is_synthetic(item) -> bool:
    return item.truth.arm == "synthetic"


def test_an_attribute_that_names_the_maker_is_found(auditor, monkeypatch) -> None:
    original = metadata.attributes

    def told(item, uids):
        maker = {"vr": "LO", "Value": ["Semblance"]} if is_synthetic(item) else {"vr": "LO"}
        return original(item, uids) | {"00080070": maker}

    monkeypatch.setattr(metadata, "attributes", told)
    sentences = found(auditor, "00080070")
    assert any("Manufacturer (0008,0070)" in one for one in sentences)
    assert any("“[0].00080070.Value[0]”" in one or "00080070" in one for one in sentences)


def test_feedback_in_the_reply_to_an_answer_is_found(auditor, monkeypatch) -> None:
    monkeypatch.setattr(
        services_taking, "_feedback", lambda one: "Right." if is_synthetic(one.item) else "Wrong."
    )
    assert found(auditor, "answer: body feedback")


def test_a_header_of_one_arm_is_found(auditor, monkeypatch) -> None:
    original = views.frame_bytes
    present: dict[str, bool] = {}

    def remembered(item, number):
        present["synthetic"] = is_synthetic(item)
        return original(item, number)

    def marked(response):
        response.headers["Cache-Control"] = "no-store"
        if present.get("synthetic"):
            response.headers["ETag"] = '"1"'
        return response

    monkeypatch.setattr(views, "frame_bytes", remembered)
    monkeypatch.setattr(views, "no_store", marked)
    assert found(auditor, "etag")


def test_an_item_that_cannot_be_loaded_is_an_error_not_a_feature(auditor) -> None:
    item = auditor.assignments.first().item
    item.frames = 2
    item.save()
    with pytest.raises((ApplicationError, ValueError)):
        look(auditor)


def test_practice_items_which_tell_their_truth_are_left_out(auditor) -> None:
    item = auditor.assignments.first().item
    item.role, item.feedback = "training", "This image is synthetic."
    item.save()
    seen = look(auditor)
    assert len(seen) == ITEMS - 1
    assert str(item.pk) not in {one.item for one in seen}


def test_it_can_be_stopped(auditor) -> None:
    class Stop(Exception):
        pass

    def beat() -> None:
        raise Stop

    with pytest.raises(Stop):
        collect(auditor, beat)
    assert not Session.objects.exists()
