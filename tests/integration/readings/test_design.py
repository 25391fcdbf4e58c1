"""Choosing items and readers, closing, unblinding, new versions: what is done and what is refused."""

import pytest
from django.http import Http404
from django.urls import reverse

from tests import factories, factories_readings
from tests.factories_edits import edit_request, edited_result, phantom_case
from webapp.cases.models import Case
from webapp.core.errors import ApplicationError, Conflict, NotVisible
from webapp.core.models import AuditEvent
from webapp.jobs.models import Job, Result
from webapp.jobs.services import result_offer
from webapp.readings.conflicts import knowledge_of
from webapp.readings.freezing import protocol_is_unchanged, truth_is_unchanged
from webapp.readings.models import ItemTruth, Place, Reading, ReadingItem
from webapp.readings.protocol import Protocol
from webapp.readings.selectors import place_list_for, reading_get_for, result_choices_for
from webapp.readings.services import (
    reading_close,
    reading_create,
    reading_delete,
    reading_new_version,
    reading_unblind,
)
from webapp.readings.services_items import (
    SliceRule,
    item_add_cases,
    item_add_results,
    item_make_control,
    item_remove,
    item_set_role,
)
from webapp.readings.services_launch import reading_launch
from webapp.readings.services_places import MayKnow, place_invite, place_remove

pytestmark = [pytest.mark.django_db, pytest.mark.both]


@pytest.fixture
def lead(storage):
    """A study lead."""
    return factories.person("study_lead")


@pytest.fixture
def empty(lead):
    """An empty study."""
    return reading_create(user=lead, title="Livers")


# ---------------------------------------------------------------------------- items


def test_one_item_of_a_patient_unless_the_protocol_allows_more(lead) -> None:
    dataset = factories.dataset(shares={lead: "view"})
    cases = [factories.case(dataset=dataset) for _ in range(3)]
    Case.objects.filter(pk__in=[cases[0].pk, cases[1].pk]).update(patient="P1")
    Case.objects.filter(pk=cases[2].pk).update(patient="P2")
    for case in cases:
        case.refresh_from_db()
    strict = reading_create(user=lead, title="One each")
    added = item_add_cases(user=lead, reading=strict, cases=cases)
    assert len(added.items) == 2
    assert "of a patient" in added.left_out[0][1]
    again = item_add_cases(user=lead, reading=strict, cases=[cases[0]])
    assert "already" in again.left_out[0][1]
    open_ = reading_create(user=lead, title="Several", protocol=Protocol(one_per_patient=False))
    assert len(item_add_cases(user=lead, reading=open_, cases=Case.objects.all()).items) == 3
    assert len(item_add_cases(user=lead, reading=strict, cases=Case.objects.all(), limit=0).items) == 0


def test_slices_are_taken_as_the_rule_says(lead, empty) -> None:
    case = factories.case(dataset=factories.dataset(shares={lead: "view"}), slices=5)
    spans = {
        SliceRule(): (2, 1),
        SliceRule(rule="index", first=4): (4, 1),
        SliceRule(rule="range", count=3): (1, 3),
        SliceRule(rule="all"): (0, 5),
        SliceRule(rule="range", first=3, count=3): None,
        SliceRule(rule="index", first=5): None,
    }
    assert {rule: rule.of(case) for rule in spans} == spans
    factories.mask(case, case.dataset.owner)
    assert SliceRule(rule="mask").of(case)[1] == 1
    left = item_add_cases(user=lead, reading=empty, cases=[case], slices=SliceRule(rule="index", first=9))
    assert left.left_out == [(case.name, "has only 5 slices")]


def test_a_lead_takes_only_what_they_may_see(lead, empty) -> None:
    hidden = factories.case(dataset=factories.dataset())
    with pytest.raises(NotVisible):
        item_add_cases(user=lead, reading=empty, cases=[hidden])
    maker = factories.person("clinician")
    result = factories.result(maker)
    with pytest.raises(NotVisible):
        item_add_results(user=lead, reading=empty, results=[result])
    result_offer(user=maker, result=result, offered=True)
    assert list(result_choices_for(user=lead)) == [result]
    assert len(item_add_results(user=lead, reading=empty, results=[result]).items) == 1
    other = factories.person("study_lead")
    with pytest.raises(Http404):
        item_add_results(user=other, reading=empty, results=[result])
    with pytest.raises(Http404):
        result_offer(user=lead, result=result, offered=False)


def test_synthetic_cases_never_enter_the_real_arm(lead, empty) -> None:
    case = factories.case(dataset=factories.dataset(shares={lead: "view"}), is_synthetic=True)
    added = item_add_cases(user=lead, reading=empty, cases=[case])
    assert not added.items
    assert "synthetic" in added.left_out[0][1]


def test_roles_and_controls(lead) -> None:
    study = factories_readings.draft(2, 2, lead=lead)
    real, synthetic = (
        ItemTruth.objects.filter(item__reading=study.reading, arm=arm).first().item
        for arm in ("real", "synthetic")
    )
    asked = {"user": lead, "reading": study.reading}
    item_set_role(**asked, items=[real, synthetic], role="training")
    real.refresh_from_db(), synthetic.refresh_from_db()
    assert "is real" in real.feedback
    assert "is synthetic" in synthetic.feedback
    item_set_role(**asked, items=[real], role="main")
    real.refresh_from_db()
    assert real.feedback == ""
    with pytest.raises(ApplicationError, match="made from a synthetic image"):
        item_make_control(**asked, items=[real], control="known_bad")
    item_make_control(**asked, items=[synthetic], control="known_bad")
    item_make_control(**asked, items=[real], control="reconstructed")
    assert {truth.control for truth in ItemTruth.objects.filter(item__in=[real, synthetic])} == {
        "known_bad",
        "reconstructed",
    }
    other = factories_readings.draft(1, 0, lead=lead)
    with pytest.raises(NotVisible):
        item_remove(**asked, items=list(other.reading.items.all()))


def test_images_of_one_anatomy_are_one_cluster(lead, empty) -> None:
    maker = factories.person("clinician")
    results = factories_readings.offered_results(maker, 2)
    twin = factories.result(maker, request=results[0].request, index=1)
    result_offer(user=maker, result=twin, offered=True)
    item_add_results(user=lead, reading=empty, results=[*results, twin])
    patients = list(ItemTruth.objects.order_by("created_at").values_list("patient", flat=True))
    assert patients[0] == patients[2] != patients[1]


def offered_change(maker, case, index=1):
    """A counterfactual of one slice of the case, made by a clinician and offered to study leads."""
    made = edited_result(maker, request=edit_request(maker, case=case, slice_index=index))
    return result_offer(user=maker, result=made, offered=True)


def test_a_changed_phantom_is_of_its_phantoms_cluster(lead, empty) -> None:
    maker = factories.person("clinician")
    item, source = factories.synthesis_request(maker), phantom_case(maker)
    original = Result.objects.create(
        request=item, job=item.jobs.get(), index=0, case=source, seed=7, pixel_sha256="0" * 64
    )
    Job.objects.update(state="succeeded", finished_at=item.created_at)
    result_offer(user=maker, result=original, offered=True)
    once = offered_change(maker, source)
    twice = offered_change(maker, once.case, index=0)
    item_add_results(user=lead, reading=empty, results=[original, once, twice])
    assert list(ItemTruth.objects.values_list("patient", flat=True)) == ["phantom 1"] * 3


# ---------------------------------------------------------------------------- readers


def test_whoever_knows_too_much_is_not_invited_silently(lead) -> None:
    study = factories_readings.draft(1, 1, lead=lead)
    asked = {"user": lead, "reading": study.reading}
    with pytest.raises(Conflict, match="made synthetic images"):
        place_invite(**asked, reader=study.requester, confirm=True)
    with pytest.raises(Conflict, match="You lead this study"):
        place_invite(**asked, reader=lead)
    with pytest.raises(ApplicationError, match="no role that reads"):
        place_invite(**asked, reader=factories.person("administrator"))
    dataset = ItemTruth.objects.get(arm="real").case.dataset
    seeing = factories.person("researcher")
    dataset.shares.create(user=seeing, level="view")
    with pytest.raises(MayKnow, match="could recognise them"):
        place_invite(**asked, reader=seeing)
    assert not Place.objects.exists()
    place = place_invite(**asked, reader=seeing, confirm=True)
    assert place.may_view == [dataset.name]
    assert AuditEvent.objects.get(action="reading.reader_invited").detail["may_view"] == dataset.name
    with pytest.raises(Conflict, match="invited already"):
        place_invite(**asked, reader=seeing, confirm=True)
    maker = factories.person("clinician")
    place_invite(**asked, reader=maker)
    made = factories_readings.offered_results(maker, 1)
    with pytest.raises(Conflict, match="is invited to read and made"):
        item_add_results(**asked, results=made)


def test_whoever_may_look_into_the_source_of_a_change_is_asked_about(lead, empty) -> None:
    maker = factories.person("clinician")
    source = phantom_case(maker)
    twice = offered_change(maker, offered_change(maker, source).case, index=0)
    item_add_results(user=lead, reading=empty, results=[twice])
    seeing, other = factories.person("researcher"), factories.person("researcher")
    source.dataset.shares.create(user=seeing, level="view")
    assert knowledge_of(seeing, empty).datasets == (source.dataset.name,)
    assert knowledge_of(other, empty).datasets == ()
    with pytest.raises(MayKnow, match="could recognise them"):
        place_invite(user=lead, reading=empty, reader=seeing)


def test_who_may_look_since_the_invitation_is_asked_about_at_launch(lead) -> None:
    study = factories_readings.invite(factories_readings.draft(1, 1, lead=lead), 0)
    reader = factories.person("clinician")
    place_invite(user=lead, reading=study.reading, reader=reader)
    dataset = ItemTruth.objects.get(arm="real").case.dataset
    dataset.shares.create(user=reader, level="view")
    factories_readings.prepared(study)
    with pytest.raises(Conflict, match="may by now look into"):
        reading_launch(user=lead, reading=study.reading)
    reading_launch(user=lead, reading=study.reading, confirm=True)
    assert Place.objects.get(user=reader).may_view == [dataset.name]


def test_a_reader_invited_while_open_gets_an_order_of_the_frozen_seed(lead) -> None:
    study = factories_readings.launched(3, 3, 1, lead=lead)
    frozen = study.reading.protocol_sha256
    late = factories.person("annotator")
    place = place_invite(user=lead, reading=study.reading, reader=late)
    assert place.number == 2
    assert place.assignments.count() == 6
    first = list(study.place(1).assignments.values_list("item__number", flat=True))
    assert first != list(place.assignments.values_list("item__number", flat=True))
    assert reading_get_for(user=lead, id=study.reading.pk).protocol_sha256 == frozen
    assert AuditEvent.objects.filter(action="reading.reader_invited").first().detail["after_launch"]
    assert [one.reading for one in place_list_for(user=late)] == [study.reading]
    place_remove(user=lead, place=place)
    assert not Place.objects.filter(user=late).exists()


# ---------------------------------------------------------------------------- the study as a whole


def test_closing_and_unblinding_happen_once_and_are_audited(lead) -> None:
    study = factories_readings.launched(2, 2, 1, lead=lead)
    asked = {"user": lead, "reading": study.reading}
    with pytest.raises(Conflict, match="after it was closed"):
        reading_unblind(**asked)
    reading_close(**asked)
    with pytest.raises(Conflict, match="closed, so nobody"):
        place_invite(**asked, reader=factories.person("annotator"))
    reading = reading_unblind(**asked)
    assert (reading.state, reading.unblinded_by) == ("unblinded", lead)
    event = AuditEvent.objects.get(action="reading.unblinded")
    assert event.detail["truth_unchanged"] is True
    assert event.detail["protocol_sha256"] == reading.protocol_sha256
    for again in (reading_unblind, reading_close):
        with pytest.raises(Conflict):
            again(**asked)


def test_a_changed_truth_or_protocol_is_found_out(lead) -> None:
    reading = factories_readings.launched(2, 2, 1, lead=lead).reading
    ItemTruth.objects.filter(arm="real").update(patient="another")
    assert not truth_is_unchanged(reading)
    assert protocol_is_unchanged(reading)
    Reading.objects.filter(pk=reading.pk).update(protocol=reading.protocol | {"alpha": 0.1})
    reading.refresh_from_db()
    assert not protocol_is_unchanged(reading)


def test_a_new_version_takes_over_everything_but_readers_and_images(lead) -> None:
    study = factories_readings.launched(2, 2, 1, lead=lead, training=1)
    asked = {"user": lead, "reading": study.reading}
    new = reading_new_version(**asked)
    assert (new.version, new.state, new.replaces) == (2, "draft", study.reading)
    assert "items" not in new.protocol
    assert new.protocol["seed"] != study.reading.protocol["seed"]
    assert new.items.count() == 4
    assert not new.items.exclude(pixels="").exists()
    assert new.items.filter(role=ReadingItem.Role.TRAINING).count() == 1
    assert not new.places.exists()
    with pytest.raises(Conflict, match="Version 2"):
        reading_new_version(**asked)


def test_only_what_was_never_launched_is_deleted(lead) -> None:
    study = factories_readings.launched(1, 1, 1, lead=lead)
    with pytest.raises(Conflict, match="launched"):
        reading_delete(user=lead, reading=study.reading)
    draft = factories_readings.prepared(factories_readings.draft(1, 1, lead=lead)).reading
    reading_delete(user=lead, reading=draft)
    assert not Reading.objects.filter(pk=draft.pk).exists()
    assert AuditEvent.objects.filter(action="reading.deleted").exists()


def test_an_image_that_changed_since_it_was_prepared_stops_the_launch(lead, storage) -> None:
    study = factories_readings.invite(factories_readings.draft(1, 1, lead=lead), 1)
    factories_readings.prepared(study)
    item = study.reading.items.first()
    path = storage / item.pixels
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(Conflict, match="not as it was prepared"):
        reading_launch(user=lead, reading=study.reading)


def test_a_leak_in_what_is_sent_along_cannot_be_launched_whatever_one_writes(lead) -> None:
    study = factories_readings.invite(factories_readings.draft(1, 1, lead=lead), 1)
    factories_readings.prepared(study, blocked=True, needs_acceptance=True)
    with pytest.raises(Conflict, match="A study that leaks"):
        reading_launch(user=lead, reading=study.reading)


def test_the_truth_is_hidden_from_administrators_until_it_is_revealed(lead, client_of) -> None:
    study = factories_readings.launched(1, 1, 1, lead=lead)
    truth = ItemTruth.objects.filter(item__reading=study.reading).first()
    client = client_of(factories.person("administrator"))
    page = reverse("admin:readings_itemtruth_change", args=[truth.pk])
    assert client.get(page, follow=True).request["PATH_INFO"] != page
    factories_readings.unblinded(study)
    response = client.get(page)
    assert response.status_code == 200
    assert 'name="_save"' not in response.content.decode()
    assert client.post(page, {"arm": "real"}).status_code == 403
