"""What /healthz reports: one table of checks, to which each app adds its own.

A check takes nothing and returns a mapping with ``ok`` (bool); where a part is well but has
nothing to offer yet, such as a site without models, it may say ``state: "empty"``. Whatever else
it returns is shown to everybody, so it holds no address, path, credential or patient's datum.
"""

import logging
import uuid
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

from webapp.celery import app as celery_app

logger = logging.getLogger(__name__)

Check = Callable[[], Mapping[str, Any]]

HEALTH_CHECKS: dict[str, Check] = {}
BROKER_SECONDS = 2.0
# The page is open to all: it does its work at most this often per process.
REMEMBER_SECONDS = 0.5

_remembered: tuple[float, dict[str, Any]] | None = None


def register(name: str, check: Check) -> None:
    """Add a part to the report."""
    HEALTH_CHECKS[name] = check


def report() -> dict[str, Any]:
    """Every part and its state ("ok", "empty" or "failed"), and the state of the whole ("ok" or "failed")."""
    global _remembered
    now = monotonic()
    if _remembered is not None and now - _remembered[0] < REMEMBER_SECONDS:
        return _remembered[1]
    parts = {name: _state(name, check) for name, check in HEALTH_CHECKS.items()}
    well = all(part["state"] != "failed" for part in parts.values())
    whole: dict[str, Any] = {"state": "ok" if well else "failed", **parts}
    _remembered = (now, whole)
    return whole


def forget() -> None:
    """Look anew at the next question."""
    global _remembered
    _remembered = None


def _state(name: str, check: Check) -> dict[str, Any]:
    try:
        found = dict(check())
    except Exception as error:  # noqa: BLE001  whatever is broken is what this page is for
        logger.warning("The health check of %s failed: %r", name, error)
        return {"state": "failed"}
    is_ok = bool(found.pop("ok", False))
    state = found.pop("state", "ok" if is_ok else "failed")
    return {"state": state, **found}


def database_health() -> dict[str, Any]:
    """Whether the database answers a query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return {"ok": cursor.fetchone() == (1,), "vendor": connection.vendor}


def broker_health() -> dict[str, Any]:
    """Whether a message could be handed to the broker."""
    with celery_app.connection_for_write(connect_timeout=BROKER_SECONDS) as broker:
        broker.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
        return {"ok": bool(broker.connected), "kind": broker.transport.driver_type}


def storage_health() -> dict[str, Any]:
    """Whether a file can be written, read back equal, and deleted."""
    content = uuid.uuid4().bytes
    name = default_storage.save(f"health/{uuid.uuid4().hex}", ContentFile(content))
    try:
        with default_storage.open(name) as file:
            return {"ok": file.read() == content}
    finally:
        default_storage.delete(name)


register("database", database_health)
register("broker", broker_health)
register("storage", storage_health)
