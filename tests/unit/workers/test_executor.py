"""A worker's one thread: what goes wrong in it never ends it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from workers import executor


@pytest.mark.django_db
def test_an_unforeseen_error_does_not_end_the_thread_that_looks_for_work(
    monkeypatch, settings, caplog
) -> None:
    settings.JOB_POLL_SECONDS = 0.01
    looked = threading.Event()
    calls: list[Any] = []

    def claim(**_: Any) -> None:
        calls.append(None)
        if len(calls) == 1:
            raise RuntimeError("unforeseen")
        looked.set()

    monkeypatch.setattr(executor, "job_claim", claim)
    one = executor.Executor(queue="records")
    thread = threading.Thread(target=one._run, daemon=True)
    thread.start()
    assert looked.wait(10), "it never looked again"
    one.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert "stumbled and goes on" in caplog.text
