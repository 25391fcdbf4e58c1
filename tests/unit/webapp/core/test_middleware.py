"""The strict policy is on every kind of answer."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.test import Client, override_settings

from tests import factories
from webapp.core.middleware import CONTENT_SECURITY_POLICY

pytestmark = pytest.mark.django_db

# anchors/viewer.md: the policy under which the viewer was measured to have no violation.
EXPECTED = {
    "default-src": "'none'",
    "script-src": "'self' 'wasm-unsafe-eval'",
    "worker-src": "'self'",
    "connect-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "font-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "object-src": "'none'",
}


def test_the_policy_is_the_strict_one() -> None:
    directives = dict(part.strip().split(" ", 1) for part in CONTENT_SECURITY_POLICY.split(";"))
    assert directives == EXPECTED


@pytest.mark.parametrize("address", ["/login/", "/people/", "/nonesuch/", "/healthz", "/api/v1/nonesuch/"])
def test_every_answer_carries_it(client: Client, address: str) -> None:
    response = client.get(address)
    assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "camera=()" in response.headers["Permissions-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_static_files_carry_it(tmp_path: Path) -> None:
    (tmp_path / "worker.js").write_text("postMessage(1)")
    with override_settings(STATIC_ROOT=tmp_path, STATIC_URL="/static/"):
        response = Client().get("/static/worker.js")
    assert response.status_code == 200
    assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Europe/Berlin", "13:30"),
        ("America/New_York", "07:30"),
        ("", "12:30"),
        ("Nowhere/Land", "12:30"),
        ("../../etc/passwd", "12:30"),
        ("/etc/localtime", "12:30"),
        ("a" * 5000, "12:30"),
        ("Europe", "12:30"),
    ],
)
def test_times_are_the_persons_own(client_of, zone: str, shown: str) -> None:
    administrator = factories.person("administrator")
    client = client_of(administrator)
    type(administrator).objects.update(last_login=datetime(2026, 1, 20, 12, 30, tzinfo=UTC))
    client.cookies["timezone"] = zone
    assert f"20 Jan 2026 {shown}" in client.get("/people/").content.decode()
