"""A worker's one thread: what goes wrong in it never ends it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests import factories
from workers import executor, tasks


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


@pytest.mark.django_db
@pytest.mark.parametrize("goes_wrong", [False, True])
def test_no_job_is_taken_before_the_worker_is_prepared(monkeypatch, settings, caplog, goes_wrong) -> None:
    settings.JOB_POLL_SECONDS = 0.01
    begun, ready, looked = threading.Event(), threading.Event(), threading.Event()

    def prepare() -> None:
        begun.set()
        assert ready.wait(10)
        if goes_wrong:
            raise ImportError("no such library")

    monkeypatch.setattr(executor, "job_claim", lambda **_: looked.set())
    one = executor.Executor(queue="records", prepare=prepare)
    thread = threading.Thread(target=one._run, daemon=True)
    thread.start()
    assert begun.wait(10)
    assert not looked.wait(0.1), "it took a job while it was still preparing"
    ready.set()
    assert looked.wait(10), "it never looked for work"
    one.stop()
    thread.join(10)
    assert ("could not prepare itself" in caplog.text) == goes_wrong


@pytest.mark.django_db
def test_a_worker_imports_what_is_installed_for_its_own_queue_and_nothing_else(monkeypatch) -> None:
    def imported(queue: str) -> list[str]:
        names: list[str] = []
        monkeypatch.setattr(tasks, "import_module", names.append)
        tasks.preload(queue)
        return names

    large = {"synthesis.adapters", "synthesis.backbones.flux", "synthesis.backbones.sd3"}
    base = factories.generative_model(backbone="unet")
    found = set(imported("compute"))
    assert {"synthesis.backbones.unet", "workers.synthesise"} <= found
    assert not found & large
    factories.generative_model(backbone="flux")
    factories.generative_model(backbone="sd3", is_active=False)
    factories.adapter(base=base)
    assert set(imported("compute")) & large == {"synthesis.adapters", "synthesis.backbones.flux"}
    assert imported("records") == ["workers.readings", "workers.records"]
