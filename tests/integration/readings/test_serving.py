"""What a reader's browser receives of an item: the whitelist, one length, one order, and one refusal."""

import json
import re
import uuid
from dataclasses import asdict

import numpy as np
import pytest
from django.urls import reverse

from tests import factories, factories_taking
from tests.contracts.source import ROOT
from webapp.readings.models import Assignment, Place, Reading
from webapp.readings.serving.metadata import METADATA_BYTES, WHITELIST, attributes, padded
from webapp.readings.serving.uids import uids_of

pytestmark = [pytest.mark.django_db, pytest.mark.both]


def series(browser, token, *, study=None, series=None):
    uids = uids_of(token)
    kwargs = {"token": token, "study": study or uids.study, "series": series or uids.series}
    return browser.address("metadata", **kwargs)


def frame(browser, token, number=1, **other):
    uids = asdict(uids_of(token)) | other
    kwargs = {"token": token, "number": number} | {
        name: uids[name] for name in ("study", "series", "instance")
    }
    return browser.address("frame", **kwargs)


def tokens(browser):
    return list(browser.place.assignments.order_by("position").values_list("token", flat=True))


def pixels_of(response, shape):
    body = response.content.partition(b"\r\n\r\n")[2]
    return np.frombuffer(body[: 2 * shape[0] * shape[1]], "<i2").reshape(shape)


def test_the_frames_are_the_stored_pixels(reader, browser_of):
    browser = browser_of(reader, factories_taking.study([reader], frames=3))
    browser.resume()
    for position, token in enumerate(tokens(browser)[:3]):
        for number in (1, 2, 3):
            response = browser.client.get(frame(browser, token, number))
            wanted = factories_taking.picture(position, 3)[number - 1]
            np.testing.assert_array_equal(pixels_of(response, wanted.shape), wanted)
            assert response["Content-Type"].startswith('multipart/related; type="application/octet-stream"')
            assert b"transfer-syntax=1.2.840.10008.1.2.1" in response.content[:200]
        assert browser.client.get(frame(browser, token, 4)).status_code == 404
        assert browser.client.get(frame(browser, token, 0)).status_code == 404


def test_only_the_whitelist_leaves_the_server(browser):
    token = browser.resume().json()["items"][0]["token"]
    response = browser.client.get(series(browser, token))
    (one,) = json.loads(response.content)
    assert set(one) == set(WHITELIST)
    assert one["00080060"]["Value"] == ["CT"]
    assert (one["00280010"]["Value"], one["00280011"]["Value"]) == ([64], [64])
    assert one["00280030"]["Value"] == [0.8, 0.8]
    assert (one["00281050"]["Value"], one["00281051"]["Value"]) == ([40.0], [400.0])
    texts = [str(value) for entry in one.values() for value in entry.get("Value", [])]
    uids = [text for text in texts if text.startswith("2.25.")]
    assert len(uids) == 4
    assert {len(uid) for uid in uids} == {44}
    assert all(re.fullmatch(r"2\.25\.[1-9][0-9]{38}", uid) for uid in uids)


def test_the_whitelist_is_the_documented_one():
    text = (ROOT / "docs" / "readings.md").read_text()
    section = text.partition("## What a reader's browser receives")[2].partition("\n## ")[0]
    assert set(re.findall(r"\b00[0-9A-F]{6}\b", section)) == set(WHITELIST)
    assert f"{METADATA_BYTES} bytes" in section


def test_every_reader_has_identifiers_of_their_own(reader, storage, browser_of):
    other = factories.person("annotator")
    reading = factories_taking.study([reader, other])
    places = reading.places.all()
    seen = [
        value
        for place in places
        for one in place.assignments.all()
        for value in asdict(uids_of(one.token)).values()
    ]
    assert len(seen) == len(set(seen)) == 2 * 4 * 4
    assert len({one.token for one in Assignment.objects.all()}) == 8


def test_items_unlike_each_other_are_served_alike(reader, browser_of):
    """Spacing, window, modality and role differ; names, order, lengths and headers do not."""
    reading = factories_taking.study([reader], items=3, roles={1: "attention", 2: "training"})
    _, second, third = reading.items.order_by("number")
    for item, values in (
        (second, {"spacing_mm": [0.703125, 0.703125], "window_center": -37.123456789, "modality": "MR"}),
        (third, {"spacing_mm": [], "window_center": None, "window_width": None}),
    ):
        type(item).objects.filter(pk=item.pk).update(**values)
    browser = browser_of(reader, reading)
    browser.resume()
    kinds = {"metadata": series, "frame": frame}
    for make in kinds.values():
        seen = set()
        for token in tokens(browser):
            response = browser.client.get(make(browser, token))
            assert response.status_code == 200
            boundary = response["Content-Type"].partition("boundary=")[2]
            names = tuple(response.headers)
            sort = response["Content-Type"].replace(boundary, "-") if boundary else response["Content-Type"]
            values = tuple(value for name, value in response.items() if name != "Content-Type")
            keys = tuple(json.loads(response.content)[0]) if make is series else ()
            seen.add((names, values, sort, len(response.content), len(boundary), keys))
            assert not response.cookies
            assert response["Cache-Control"] == "no-store"
            assert not {"ETag", "Last-Modified", "Content-Disposition", "Server-Timing"} & set(names)
        assert len(seen) == 1
    assert len(browser.client.get(series(browser, tokens(browser)[0])).content) == METADATA_BYTES


def test_the_states_of_all_items_are_of_one_shape(reader, browser_of):
    reading = factories_taking.study([reader], items=5, roles={1: "attention", 3: "attention"})
    browser = browser_of(reader, reading)
    state = browser.resume().json()
    lengths = set()
    for _ in range(3):  # the last two have fewer items after them
        response = browser.client.get(browser.address("state"), {"page": browser.page})
        lengths.add((len(response.content), tuple(response.headers)))
        state = browser.rate(state["items"][0]["token"]).json()["state"]
    assert len(lengths) == 1


def test_one_refusal_for_every_reason(reader, storage, browser_of, client_of):
    other = factories.person("annotator")
    reading = factories_taking.study([reader, other], items=6)
    browser, foreign = browser_of(reader, reading), browser_of(other, reading)
    mine, theirs = tokens(browser), tokens(foreign)
    browser.resume()
    foreign.resume()
    browser.rate(mine[0])
    refused = {
        "unknown": series(browser, "0" * 32),
        "not even a token": series(browser, "x"),
        "foreign": series(browser, theirs[0]),
        "read already": series(browser, mine[0]),
        "not yet due": series(browser, mine[4]),
        "wrong study": series(browser, mine[1], study="2.25.1"),
        "wrong series": series(browser, mine[1], series="1.2.3"),
        "wrong instance": frame(browser, mine[1], instance="1.2.3"),
        "no such frame": frame(browser, mine[1], 2),
        "frame read already": frame(browser, mine[0]),
        "another's place": series(foreign, theirs[0]),
        "no such place": reverse(
            "readings:take-metadata",
            kwargs={"place_id": uuid.uuid4(), "token": mine[1], "study": "1", "series": "2"},
        ),
    }
    answers = {name: browser.client.get(address) for name, address in refused.items()}
    assert {name: one.status_code for name, one in answers.items() if one.status_code != 404} == {}
    assert len({(one.content, tuple(one.items())) for one in answers.values()}) == 1
    for token in (mine[1], mine[2], mine[3]):
        assert browser.client.get(series(browser, token)).status_code == 200


@pytest.mark.parametrize("state", ["closed", "unblinded", "ready"])
def test_nothing_is_served_of_a_study_that_is_not_open(browser, state):
    token = browser.resume().json()["items"][0]["token"]
    launched = None if state == "ready" else Reading.objects.get().launched_at
    lead = Reading.objects.get().owner
    Reading.objects.update(
        state=state, launched_at=launched, unblinded_at=Reading.objects.get().launched_at, unblinded_by=lead
    )
    assert browser.client.get(series(browser, token)).status_code == 404
    assert browser.client.get(frame(browser, token)).status_code == 404


def test_nothing_is_served_before_the_reader_begins_or_after_they_end(browser):
    token = tokens(browser)[0]
    assert browser.client.get(series(browser, token)).status_code == 404
    browser.read_all()
    assert {browser.client.get(series(browser, one)).status_code for one in tokens(browser)} == {404}


def test_looking_back_serves_what_was_read_of_this_session(reader, browser_of):
    reading = factories_taking.study([reader], spread=[1, 1, 2, 2], going_back=True)
    browser = browser_of(reader, reading)
    state = browser.resume().json()
    order = tokens(browser)
    browser.rate(order[0])
    assert browser.client.get(series(browser, order[0])).status_code == 200
    reply = browser.rate(order[1]).json()
    assert reply["state"]["phase"] == "ready"
    assert browser.client.get(series(browser, order[2])).status_code == 404
    browser.resume()
    assert [browser.client.get(series(browser, one)).status_code for one in order] == [404, 404, 200, 200]
    assert state["session"]["count"] == 1


def test_the_auditors_place_sees_every_item_while_the_study_is_prepared_and_answers_none(
    reader, browser_of, storage
):
    reading = factories_taking.study([])
    lead = reading.owner
    place = Place.objects.create(reading=reading, user=lead, number=0, invited_by=lead, is_auditor=True)
    for position, item in enumerate(reading.items.order_by("number")):
        Assignment.objects.create(place=place, position=position, item=item)
    browser = browser_of(lead, reading)
    order = tokens(browser)
    assert browser.client.get(series(browser, order[0])).status_code == 404
    Reading.objects.update(state="preparing", launched_at=None, protocol_sha256="")
    assert {browser.client.get(series(browser, one)).status_code for one in order} == {200}
    assert browser.state(at=2)["items"][0]["token"] == order[2]
    assert browser.resume().status_code == 404
    assert browser.rate(order[0]).status_code == 404


def test_padding_never_cuts():
    assert padded(b"[]", 4) == b"[]  "
    with pytest.raises(ValueError, match="at most 1 bytes"):
        padded(b"[]", 1)


def test_the_longest_numbers_fit_into_the_padding():
    from webapp.readings.models import ReadingItem

    item = ReadingItem(
        modality="M" * 16, rows=2**31, columns=2**31, frames=2**31, spacing_mm=[1 / 3, 1 / 3],
        window_center=-1234567.123456789, window_width=1e300 / 3,
    )  # fmt: skip
    body = json.dumps([attributes(item, uids_of("0" * 32))], separators=(",", ":"))
    assert len(body) < METADATA_BYTES
