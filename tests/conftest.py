"""What every test can ask for: people by role, signed-in browsers, API clients, an empty storage."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from tests import factories


def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Give each of several processes a home of its own, and on Redis a database of its own.

    pytest-django already gives each a database; messages to workers and files must not mix either.
    """
    for number, spec in enumerate(specs):
        spec.env["SEMBLANCE_HOME"] = str(Path(os.environ["SEMBLANCE_HOME"]) / spec.id)
        broker = os.environ.get("BROKER_URL", "")
        if broker:
            spec.env["BROKER_URL"] = _with_database(broker, number)


def _with_database(broker: str, number: int) -> str:
    """The address of a Redis database: a path on a server's port, a parameter on a socket."""
    parts = urlsplit(broker)
    if parts.scheme == "redis+socket":
        return f"{broker}?virtual_host={number}"
    return parts._replace(path=f"/{number}").geturl() if parts.scheme in {"redis", "rediss"} else broker


@pytest.fixture
def people(db: None) -> dict[str, Any]:
    """One person per role, by the role's name."""
    return {role: factories.person(role) for role in factories.ROLES}


@pytest.fixture
def client_of() -> Callable[[Any], Client]:
    """A browser session of a person, without going through the login page."""

    def make(user: Any) -> Client:
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return make


@pytest.fixture
def api_of() -> Callable[[Any], Any]:
    """An API client that carries a fresh token of a person."""
    from rest_framework.test import APIClient

    from webapp.accounts.services import token_create

    def make(user: Any) -> APIClient:
        _, plaintext = token_create(user=user, name="test")
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {plaintext}")
        return client

    return make


@pytest.fixture
def storage(tmp_path: Path, settings: Any) -> Path:
    """An empty storage of this test's own."""
    folder = tmp_path / "storage"
    folder.mkdir()
    settings.MEDIA_ROOT = folder
    files = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(folder)}}
    settings.STORAGES = settings.STORAGES | {"default": files}
    return folder


@pytest.fixture(autouse=True, scope="session")
def audit_trail_can_be_emptied() -> Iterator[None]:
    """Emptying the database after a test that commits must pass the triggers that guard the audit trail."""
    from django.db.backends.base.operations import BaseDatabaseOperations

    from webapp.core import append_only

    flush = BaseDatabaseOperations.execute_sql_flush

    def without_triggers(self: BaseDatabaseOperations, sql_list: list[str]) -> None:
        vendor = self.connection.vendor
        flush(
            self,
            [*append_only.drop_statements(vendor), *sql_list, *append_only.create_statements(vendor)],
        )

    BaseDatabaseOperations.execute_sql_flush = without_triggers
    yield
    BaseDatabaseOperations.execute_sql_flush = flush
