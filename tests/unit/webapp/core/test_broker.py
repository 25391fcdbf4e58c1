"""The folder of messages: a worker that looks at any moment finds whole messages or none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

import webapp.celery  # noqa: F401  names the transport
from webapp.broker import Transport


@pytest.fixture
def link(tmp_path: Path) -> Any:
    """A connection whose messages go through a folder of this test's own."""
    folders = {"data_folder_in": str(tmp_path), "data_folder_out": str(tmp_path)}
    options = {**folders, "control_folder": str(tmp_path / "control"), "store_processed": False}
    with Connection("filesystem://", transport_options=options) as connection:
        assert isinstance(connection.transport, Transport)
        yield connection


def test_a_message_arrives_as_it_was_sent(link: Any) -> None:
    queue = link.SimpleQueue("whole")
    for number in range(3):
        queue.put({"job": number})
    found = [queue.get(timeout=60).payload["job"] for _ in range(3)]
    assert sorted(found) == [0, 1, 2]  # within a millisecond in any order: they only wake workers


def test_nobody_sees_a_message_before_it_is_whole(
    link: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, seen = link.SimpleQueue("unseen"), []
    rename = os.replace

    def look_first(source: Any, target: Any) -> None:
        seen.append(list(tmp_path.glob("*.msg")))
        json.loads(Path(source).read_bytes())
        rename(source, target)

    monkeypatch.setattr(os, "replace", look_first)
    queue.put({"job": 1})
    assert seen == [[]]
    assert queue.get(timeout=60).payload == {"job": 1}
