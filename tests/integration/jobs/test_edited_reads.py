"""What pages and lists of counterfactuals read of the stacks that are kept with them, and how often."""

from __future__ import annotations

import errno
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests import factories
from tests.factories_edits import CHANGE, edited_result, phantom_case
from tests.factories_series import series_result
from webapp.cases.models import DatasetShare
from webapp.jobs import edit_maps
from webapp.jobs.edit_maps import difference, difference_packed, stack_unpacked
from webapp.jobs.edit_panes import picture_uid
from webapp.jobs.models import Job
from webapp.jobs.services import strip_submit
from webapp.jobs.strips import strip_cells
from webapp.jobs.unpacked import Unpacked, room, unpacked

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]
STACKS = ('"jobs_edited"."original"', '"jobs_edited"."undone"')


def test_lists_leave_the_stacks_unread(client_of: Any, clinician: Any, storage: Path) -> None:
    """Only the one picture that is asked for is read, of the one result that it is of."""
    result = series_result(clinician)
    browser: Client = client_of(clinician)
    page = reverse("jobs:counterfactual-detail", args=[result.request_id])
    with CaptureQueriesContext(connection) as queries:
        assert browser.get("/api/v1/counterfactuals/").status_code == 200
    assert any('"jobs_edited"."numbers"' in query["sql"] for query in queries)
    assert not any(name in query["sql"] for query in queries for name in STACKS)
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(page).status_code == 200
    named = [query["sql"] for query in queries if any(name in query["sql"] for name in STACKS)]
    assert named
    assert all('"numbers"' not in sql for sql in named)


def test_strips_leave_the_stacks_unread(clinician: Any, storage: Path) -> None:
    strip = strip_submit(
        user=clinician,
        along="severity",
        model=factories.generative_model(),
        case=(case := phantom_case(clinician)),
        mask=case.masks.get(),
        slice_index=1,
        parameters=CHANGE,
    )
    edited_result(clinician, request=Job.objects.earliest("created_at").request)
    with CaptureQueriesContext(connection) as queries:
        assert any(cell.result is not None for cell in strip_cells(strip))
    assert not any(name in query["sql"] for query in queries for name in STACKS)


def test_a_stack_is_unpacked_once_and_seen_no_longer_than_its_source(
    client_of: Any, clinician: Any, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = series_result(clinician)
    times = []

    def counted(packed: bytes, request: Any) -> Any:
        times.append(len(packed))
        return stack_unpacked(packed, request)

    monkeypatch.setattr(edit_maps, "stack_unpacked", counted)
    unpacked.clear()
    browser: Client = client_of(clinician)

    def frame(place: int) -> Any:
        where = [result.request_id, 0, "original", picture_uid(result, "original", place)]
        return browser.get(reverse("jobs:counterfactual-frame", args=where))

    frames = [frame(place) for place in range(3)]
    assert [one.status_code for one in frames] == [200, 200, 200]
    assert len({one.content for one in frames}) == 3
    assert len(times) == 1
    DatasetShare.objects.all().delete()
    assert frame(0).status_code == 404


def test_stacks_are_held_within_their_bytes() -> None:
    held = Unpacked(most_bytes=3 * 2 * 100)
    made = []

    def stack(number: int, size: int = 100) -> Any:
        def unpack() -> Any:
            made.append(number)
            return np.full(size, number, np.int16)

        return held.get(number, unpack)

    for number in (1, 2, 3, 1, 4, 1, 2):  # 2 was used longest ago when 4 came
        assert (stack(number) == number).all()
    assert made == [1, 2, 3, 4, 2]
    assert (stack(9, size=400) == 9).all()  # larger than all that is held
    stack(9, size=400)
    assert made[5:] == [9, 9]
    with pytest.raises(ValueError, match="read-only"):
        stack(9, size=400)[0] = 1


def test_what_the_workspace_scales_is_read_once(
    client_of: Any, clinician: Any, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking again, at another slice or at the undoing and back, reads no pixels of the series again."""
    result = series_result(clinician)
    read = []
    frames = edit_maps.instance_frame
    monkeypatch.setattr(edit_maps, "instance_frame", lambda *of: read.append(of) or frames(*of))
    page = reverse("jobs:counterfactual-detail", args=[result.request_id])
    browser: Client = client_of(clinician)
    first = browser.get(page)
    assert len(read) == 3
    for query in ({}, {"slice": "3"}, {"show": "undone"}, {}):
        again = browser.get(page, query)
    assert len(read) == 3
    assert again.context["config"]["panes"] == first.context["config"]["panes"]


def test_a_page_reads_the_places_of_its_slices_once(client_of: Any, clinician: Any, storage: Path) -> None:
    result = series_result(clinician)
    with CaptureQueriesContext(connection) as queries:
        client_of(clinician).get(reverse("jobs:counterfactual-detail", args=[result.request_id]))
    uids = [query["sql"] for query in queries if '"cases_instance"."sop_instance_uid" AS' in query["sql"]]
    assert len([sql for sql in uids if '"metadata"' not in sql]) == 1


def test_a_large_stack_lies_in_a_file(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.jobs.unpacked.SPOOLED", 1000)
    small, large = room((4, 4), np.int16), room((4, 40, 40), np.int16)
    assert not isinstance(small, np.memmap)
    assert isinstance(large, np.memmap)
    values = np.arange(6400, dtype=np.int16).reshape(4, 40, 40)
    large[...] = values
    assert np.array_equal(large, values)


def test_without_room_on_the_disk_a_large_stack_lies_in_memory(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr("webapp.jobs.unpacked.SPOOLED", 1000)
    monkeypatch.setattr(os, "posix_fallocate", full)
    stack = room((4, 40, 40), np.int16)
    assert (stack.shape, stack.dtype) == ((4, 40, 40), np.int16)
    assert not isinstance(stack, np.memmap)


def test_stacks_of_either_kind_are_unpacked_alike(
    clinician: Any, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = series_result(clinician)
    packed = bytes(result.edited.original)
    held = stack_unpacked(packed, result.request)
    monkeypatch.setattr("webapp.jobs.unpacked.SPOOLED", 1000)
    filed = stack_unpacked(packed, result.request)
    assert isinstance(filed, np.memmap)
    assert held.shape == (3, 128, 128)
    assert np.array_equal(held, filed)
    assert zlib.decompress(packed) == held.astype("<i2").tobytes()
    whole = zlib.decompress(difference_packed(result))
    assert whole == difference(result).astype("<i2").tobytes()
