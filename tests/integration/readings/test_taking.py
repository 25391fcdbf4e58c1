"""Answering: once, in order, never lost; two tabs, pauses, sessions, going back, practice, the end."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from tests import factories, factories_taking
from webapp.core.models import AuditEvent
from webapp.readings.models import Answer, Assignment, Place, PlaceEvent, Reading, ViewingLog
from webapp.readings.protocol import Protocol

pytestmark = [pytest.mark.django_db, pytest.mark.both]

QUALITY = {"type": "likert", "name": "quality", "label": "Image quality", "required": True}
REMARK = {"type": "free_text", "name": "remark", "label": "Remarks", "required": False}


def with_questions(reader, *more, **protocol):
    first = Protocol().to_json()["questions"]
    return factories_taking.study([reader], questions=[*first, *more], **protocol)


def events(browser, kind=""):
    found = PlaceEvent.objects.filter(place=browser.place)
    return [one.kind for one in found.order_by("id")] if not kind else list(found.filter(kind=kind))


def tokens(browser):
    return list(browser.place.assignments.order_by("position").values_list("token", flat=True))


def test_a_reader_answers_from_the_first_item_to_the_last(browser):
    state = browser.resume().json()
    assert (state["phase"], state["done"], state["total"], state["is_holder"]) == ("reading", 0, 4, True)
    order = tokens(browser)
    assert [one["token"] for one in state["items"]] == order[:3]
    for number, token in enumerate(order, start=1):
        assert state["items"][0]["token"] == token
        reply = browser.rate(token, number).json() if number != 3 else browser.rate(token, 3).json()
        assert reply["outcome"] == "stored"
        state = reply["state"]
        assert state["done"] == number
    assert (state["phase"], state["items"]) == ("finished", [])
    stored = Answer.objects.order_by("assignment__position")
    assert [one.value["score"] for one in stored] == [1, 2, 3, 4]
    assert [one.value["synthetic"] for one in stored] == [False, False, True, True]
    assert all(one.seconds == 2.5 and one.revision == 0 for one in stored)
    place = Place.objects.get(pk=browser.place.pk)
    assert place.state == "finished"
    assert place.finished_at >= place.started_at
    assert events(browser) == ["began", "session_began", "opened", "session_ended", "finished"]
    done = AuditEvent.objects.filter(object_id=str(place.pk)).values_list("action", flat=True)
    assert set(done) >= {"place.started", "place.finished"}


def test_the_same_submission_twice_is_stored_once(browser):
    token = browser.resume().json()["items"][0]["token"]
    submission = str(uuid.uuid4())
    first = browser.rate(token, 2, submission=submission).json()
    again = browser.rate(token, 5, submission=submission).json()
    assert (first["outcome"], again["outcome"]) == ("stored", "stored")
    assert again["state"] == first["state"]
    assert [one.value["score"] for one in Answer.objects.all()] == [2]
    assert events(browser, "answer_set_aside") == []


def test_a_submission_cannot_be_used_for_another_item(browser):
    one, two = browser.resume().json()["items"][:2]
    submission = str(uuid.uuid4())
    browser.rate(one["token"], submission=submission)
    assert browser.rate(two["token"], submission=submission).status_code == 400
    assert Answer.objects.count() == 1


def test_an_item_that_is_not_due_is_not_answered_but_nothing_is_lost(browser):
    items = browser.resume().json()["items"]
    reply = browser.rate(items[1]["token"], 5).json()
    assert (reply["outcome"], reply["state"]["done"]) == ("set_aside", 0)
    assert Answer.objects.count() == 0
    (kept,) = events(browser, "answer_set_aside")
    assert kept.detail["answers"]["real_or_synthetic"]["score"] == 5
    assert kept.detail["token"] == items[1]["token"]


def test_there_is_no_way_back_unless_the_protocol_allows_it(browser):
    token = browser.resume().json()["items"][0]["token"]
    browser.rate(token, 1)
    reply = browser.rate(token, 5).json()
    assert reply["outcome"] == "set_aside"
    assert [one.value["score"] for one in Answer.objects.all()] == [1]
    assert browser.state(at=0)["items"][0]["position"] == 1


def test_going_back_adds_a_revision(reader, browser_of):
    browser = browser_of(reader, factories_taking.study([reader], going_back=True))
    order = [one["token"] for one in browser.resume().json()["items"]]
    browser.rate(order[0], 1)
    back = browser.state(at=0)
    assert back["items"][0]["token"] == order[0]
    assert back["items"][0]["answers"]["real_or_synthetic"]["score"] == 1
    assert browser.rate(order[0], 5).json()["outcome"] == "stored"
    assert list(Answer.objects.values_list("revision", "value__score").order_by("revision")) == [
        (0, 1),
        (1, 5),
    ]
    assert browser.state(at=0)["items"][0]["answers"]["real_or_synthetic"]["score"] == 5
    reply = browser.read_all()
    assert reply["state"]["phase"] == "complete"
    assert browser.finish().json()["phase"] == "finished"
    assert browser.rate(order[0], 2).json()["outcome"] == "set_aside"


def test_several_questions_are_saved_one_by_one_and_may_be_corrected_until_the_item_is_left(
    reader, browser_of
):
    browser = browser_of(reader, with_questions(reader, QUALITY, REMARK))
    token = browser.resume().json()["items"][0]["token"]
    assert browser.rate(token, 2, is_complete=False).json()["state"]["done"] == 0
    assert browser.rate(token, 4, is_complete=False).json()["outcome"] == "stored"
    refused = browser.send(token, {}, is_complete=True)
    assert refused.status_code == 400
    assert "Image quality" in refused.json()["detail"]
    other = browser_of(reader, browser.place.reading)
    state = other.resume().json()
    assert state["items"][0]["answers"]["real_or_synthetic"]["score"] == 4
    reply = other.send(token, {"quality": {"value": 5}}).json()
    assert (reply["outcome"], reply["state"]["done"]) == ("stored", 1)
    given = Answer.objects.order_by("id").values_list("question", "revision")
    assert list(given) == [("real_or_synthetic", 0), ("real_or_synthetic", 1), ("quality", 0)]


def test_a_refused_answer_leaves_nothing_behind(reader, browser_of):
    browser = browser_of(reader, with_questions(reader, QUALITY))
    token = browser.resume().json()["items"][0]["token"]
    good = {"real_or_synthetic": {"score": 2}}
    for answers in (
        good,  # complete, but the quality is missing
        good | {"quality": {"value": 9}},
        good | {"other": {"value": 1}},
        {"real_or_synthetic": {"score": 3}},  # the middle without a choice of side
        {"real_or_synthetic": "real"},
    ):
        assert browser.send(token, answers).status_code == 400
    for seconds in (-1, 1e9, "2", None, True):
        assert browser.send(token, good, seconds=seconds, is_complete=False).status_code == 400
    for body in (b"", b"[]", b"{", b'{"answers": {}}', b'{"answers": {}, "seconds": NaN}', b" " * 70_000):
        assert browser.post(browser.address("answers", token=token), body).status_code == 400
    assert Answer.objects.count() == 0
    assert Assignment.objects.filter(completed_at__isnull=False).count() == 0


def test_the_older_of_two_tabs_is_told_and_loses_nothing(reader, reading, browser_of):
    older, newer = browser_of(reader, reading), browser_of(reader, reading)
    token = older.resume().json()["items"][0]["token"]
    newer.resume()
    assert older.state()["is_holder"] is False
    assert newer.state()["is_holder"] is True
    reply = older.rate(token, 2).json()
    assert (reply["outcome"], reply["state"]["is_holder"]) == ("stored", False)
    late = newer.rate(token, 5).json()
    assert (late["outcome"], late["state"]["done"]) == ("set_aside", 1)
    assert [one.value["score"] for one in Answer.objects.all()] == [2]
    assert events(newer, "answer_set_aside")[0].detail["answers"]["real_or_synthetic"]["score"] == 5


def test_an_older_tab_does_not_correct_what_a_newer_one_answered(reader, browser_of):
    reading = with_questions(reader, QUALITY)
    older, newer = browser_of(reader, reading), browser_of(reader, reading)
    token = older.resume().json()["items"][0]["token"]
    newer.resume()
    newer.rate(token, 5, is_complete=False)
    assert older.rate(token, 1, is_complete=False).json()["outcome"] == "set_aside"
    assert [one.value["score"] for one in Answer.objects.all()] == [5]
    assert older.resume().json()["is_holder"] is True
    assert newer.state()["is_holder"] is False


def test_answers_from_a_lost_connection_arrive_in_order_after_a_pause(reader, reading, browser_of):
    browser = browser_of(reader, reading)
    order = tokens(browser)
    browser.resume()
    browser.pause()
    assert browser.state()["phase"] == "paused"
    for token in order[:2]:
        assert browser.rate(token).json()["outcome"] == "stored"
    other = browser_of(reader, reading)
    state = other.resume().json()
    assert (state["phase"], state["done"]) == ("reading", 2)
    assert events(browser)[-4:] == ["opened", "paused", "resumed", "opened"]
    assert browser.pause().json()["phase"] == "reading"  # from a page that reads no more
    assert other.pause().json()["phase"] == "paused"
    other.pause()
    assert events(browser).count("paused") == 2


def test_a_practice_item_says_what_it_was_after_the_answer_and_only_then(reader, browser_of):
    reading = factories_taking.study([reader], roles={0: "training", 2: "attention"})
    browser = browser_of(reader, reading)
    state = browser.resume().json()
    assert [one["is_practice"] for one in state["items"]] == [True, False, False]
    assert "This image is" not in str(state)
    reply = browser.rate(state["items"][0]["token"])
    assert reply.json()["feedback"] == "This image is real."
    following = browser.rate(state["items"][1]["token"])
    assert following.json()["feedback"] == ""


def test_a_practice_item_says_nothing_before_it_is_completed(reader, browser_of):
    browser = browser_of(reader, with_questions(reader, QUALITY, roles={0: "training"}))
    token = browser.resume().json()["items"][0]["token"]
    assert browser.rate(token, is_complete=False).json()["feedback"] == ""
    assert browser.send(token, {"quality": {"value": 3}}).json()["feedback"] == "This image is real."


def test_a_check_and_a_repeat_look_like_any_item(reader, browser_of):
    reading = factories_taking.study([], roles={2: "attention"})
    order = list(reading.items.order_by("number"))
    factories_taking.place(reading, reader, [*order, order[0]])
    browser = browser_of(reader, reading)
    state = browser.resume().json()
    shapes = set()
    while state["phase"] == "reading":
        shown = state["items"][0]
        shapes.add((tuple(shown), len(shown["token"]), len(shown["series_url"]), shown["is_practice"]))
        reply = browser.rate(shown["token"]).json()
        assert set(reply) == {"outcome", "feedback", "state"}
        assert reply["feedback"] == ""
        state = reply["state"]
    assert len(shapes) == 1
    assert state["total"] == 5


def test_the_next_session_waits_for_its_time(reader, browser_of):
    sessions = {"count": 2, "washout_hours": 24}
    reading = factories_taking.study([reader], spread=[1, 1, 2, 2], sessions=sessions)
    browser = browser_of(reader, reading)
    reply = browser.read_all()
    assert reply["state"]["phase"] == "washout"
    assert reply["state"]["items"] == []
    assert reply["state"]["session"]["opens_at"] is not None
    assert browser.resume().status_code == 409
    assert browser.rate(tokens(browser)[2]).json()["outcome"] == "set_aside"
    earlier = timezone.now() - timedelta(hours=25)
    Assignment.objects.filter(completed_at__isnull=False).update(completed_at=earlier)
    assert browser.state()["phase"] == "ready"
    state = browser.resume().json()
    assert (state["phase"], state["session"]["number"], state["done"]) == ("reading", 2, 2)
    assert events(browser).count("session_began") == 2
    assert browser.read_all()["state"]["phase"] == "finished"


def test_nothing_of_the_next_session_is_loaded_before_it(reader, browser_of):
    reading = factories_taking.study([reader], spread=[1, 1, 2, 2])
    browser = browser_of(reader, reading)
    assert len(browser.resume().json()["items"]) == 2


def test_an_answer_after_the_study_was_closed_is_kept_aside(browser):
    items = browser.resume().json()["items"]
    browser.rate(items[0]["token"])
    Reading.objects.update(state="closed", closed_at=timezone.now())
    reply = browser.rate(items[1]["token"]).json()
    assert (reply["outcome"], reply["state"]["phase"]) == ("set_aside", "closed")
    assert Answer.objects.count() == 1
    assert len(events(browser, "answer_set_aside")) == 1
    assert browser.resume().status_code == 409


def test_what_is_not_open_cannot_be_read(browser):
    Reading.objects.update(state="ready", launched_at=None)
    assert browser.state()["phase"] == "not_open"
    assert browser.resume().status_code == 409
    Reading.objects.update(state="open", launched_at=timezone.now())
    Place.objects.update(state="withdrawn")
    assert browser.state()["phase"] == "withdrawn"
    assert browser.resume().status_code == 409


def test_nobody_finishes_early(browser):
    browser.resume()
    assert browser.finish().status_code == 409
    browser.read_all()
    assert browser.finish().json()["phase"] == "finished"
    assert events(browser).count("finished") == 1


LOG = {
    "seconds": 4.2,
    "away": 0,
    "slices": {"0": 4.2},
    "windows": [[0.5, 40, 400]],
    "zoom": [1, 2.5],
    "screen": [900, 700, 1],
}


def test_how_an_item_was_looked_at_is_kept_once(browser):
    token = browser.resume().json()["items"][0]["token"]
    body = {"submission": str(uuid.uuid4()), "log": LOG}
    address = browser.address("viewing", token=token)
    assert browser.post(address, body).status_code == 200
    assert browser.post(address, body).status_code == 200
    (kept,) = ViewingLog.objects.all()
    assert kept.log == LOG
    assert kept.assignment.token == token


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"slices": {"1": 1.0}},
        {"slices": {"-1": 1.0}},
        {"slices": [1]},
        {"seconds": -1},
        {"seconds": "4"},
        {"windows": [[0, 1]]},
        {"windows": [[0, 1, 2]] * 65},
        {"zoom": [1, 1e12]},
        {"screen": [1, 2, True]},
    ],
)
def test_a_report_of_viewing_has_bounds(browser, change):
    token = browser.resume().json()["items"][0]["token"]
    body = {"submission": str(uuid.uuid4()), "log": LOG | change}
    assert browser.post(browser.address("viewing", token=token), body).status_code == 400
    assert ViewingLog.objects.count() == 0


def test_only_the_reader_takes_part(reading, browser, client_of):
    lead, other = reading.owner, factories.person("annotator")
    token = browser.resume().json()["items"][0]["token"]
    for person in (lead, other, factories.person("administrator")):
        client = client_of(person)
        browser.client, mine = client, browser.client
        answers = [browser.resume(), browser.pause(), browser.finish(), browser.rate(token)]
        answers += [client.get(browser.address(name)) for name in ("state", "welcome", "read", "finish")]
        assert {one.status_code for one in answers} == {404}
        browser.client = mine
    assert Answer.objects.count() == 0


def test_a_reader_who_lost_the_role_has_no_place(reading, browser, reader):
    browser.resume()
    reader.role_grants.all().delete()
    assert browser.client.get(browser.address("state")).status_code == 404
