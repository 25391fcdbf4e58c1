"""/healthz: every part and its state, 200 when all is well, 503 otherwise, nothing secret."""

import json
from pathlib import Path

import pytest
from django.test import Client

from webapp.core import health

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _look_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "HEALTH_CHECKS", dict(health.HEALTH_CHECKS))
    health.forget()
    yield
    health.forget()


def ask(client: Client) -> tuple[int, dict]:
    response = client.get("/healthz")
    return response.status_code, json.loads(response.content)


def test_the_parts_are_all_there(client: Client, storage: Path) -> None:
    _, body = ask(client)
    assert {"database", "broker", "worker", "storage", "model"} <= set(body)
    assert body["database"]["state"] == body["broker"]["state"] == body["storage"]["state"] == "ok"


def test_without_a_worker_the_site_is_not_well(client: Client, storage: Path) -> None:
    status, body = ask(client)
    assert (status, body["state"], body["worker"]["state"]) == (503, "failed", "failed")


def test_well_with_nothing_to_offer_is_still_well(client: Client, storage: Path) -> None:
    health.register("worker", lambda: {"ok": True})
    status, body = ask(client)
    assert (status, body["state"], body["model"]["state"]) == (200, "ok", "empty")


def test_a_storage_that_cannot_be_written(client: Client, storage: Path) -> None:
    storage.rmdir()
    storage.write_text("a file where the folder should be")
    status, body = ask(client)
    assert status == 503
    assert body["storage"] == {"state": "failed"}


def test_the_probe_leaves_nothing_behind(client: Client, storage: Path) -> None:
    ask(client)
    assert [path for path in storage.rglob("*") if path.is_file()] == []


def test_what_breaks_is_not_shown(client: Client, storage: Path) -> None:
    def broken():
        raise RuntimeError("postgresql://user:secret@host")

    health.register("database", broken)
    status, body = ask(client)
    assert (status, body["database"]) == (503, {"state": "failed"})
    assert "secret" not in json.dumps(body)


def test_it_is_not_looked_at_anew_for_every_visitor(client: Client, storage: Path) -> None:
    looks = []
    health.register("worker", lambda: looks.append(1) or {"ok": True})
    ask(client)
    ask(client)
    assert looks == [1]
