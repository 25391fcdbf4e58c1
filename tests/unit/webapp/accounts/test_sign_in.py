"""Signing in, out, failing to, and being locked out; each in the audit trail."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.test import Client
from django.utils import timezone

from tests import factories
from webapp.accounts.services import password_reset
from webapp.core.models import AuditEvent

pytestmark = pytest.mark.django_db


def sign_in(client: Client, username: str, password: str = factories.PASSWORD, **extra: Any):
    return client.post("/login/", {"username": username, "password": password}, **extra)


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("at").values_list("action", flat=True))


def test_in_and_out(client: Client) -> None:
    person = factories.person("clinician")
    response = sign_in(client, person.username)
    assert response.status_code == 302
    assert response.headers["Location"] == "/"
    assert client.get("/profile/").status_code == 200
    assert client.post("/logout/").status_code == 302
    assert client.get("/profile/").status_code == 302
    assert actions() == ["session.opened", "session.closed"]
    assert AuditEvent.objects.first().detail == {"address": "127.0.0.1"}


def test_a_link_cannot_sign_out(client: Client) -> None:
    client.force_login(factories.person(), backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/logout/").status_code == 405
    assert client.get("/profile/").status_code == 200


def test_the_wanted_page_follows(client: Client) -> None:
    person = factories.person("clinician")
    response = client.post(
        "/login/", {"username": person.username, "password": factories.PASSWORD, "next": "/profile/"}
    )
    assert response.headers["Location"] == "/profile/"


def test_no_other_site_follows(client: Client) -> None:
    person = factories.person("clinician")
    response = client.post(
        "/login/",
        {"username": person.username, "password": factories.PASSWORD, "next": "https://example.org/"},
    )
    assert response.headers["Location"] == "/"


def test_failing_says_so_and_names_the_person_in_the_trail(client: Client) -> None:
    person = factories.person("clinician")
    response = sign_in(client, person.username, "wrong")
    assert "do not go together" in response.content.decode()
    event = AuditEvent.objects.get()
    assert (event.action, event.object_id, event.actor) == ("session.refused", str(person.pk), None)


def test_what_was_typed_as_an_unknown_name_is_not_kept(client: Client) -> None:
    sign_in(client, "my-secret-password", "x")
    event = AuditEvent.objects.get()
    assert "my-secret-password" not in f"{event.object_label}{event.detail}{event.actor_name}"


def test_a_closed_account_cannot_sign_in(client: Client) -> None:
    person = factories.person("clinician", is_active=False)
    assert sign_in(client, person.username).status_code == 200
    assert client.get("/profile/").status_code == 302


def test_five_failures_lock_and_the_page_says_when_to_try_again(client: Client) -> None:
    person = factories.person("clinician")
    answers = [sign_in(client, person.username, "wrong") for _ in range(5)]
    assert [answer.status_code for answer in answers[:4]] == [200] * 4
    locked = answers[-1]
    again_at = AccessAttempt.objects.get().attempt_time + timedelta(minutes=15)
    assert locked.status_code == 429
    assert f"{again_at:%H:%M}" in locked.content.decode()
    assert 800 < int(locked.headers["Retry-After"]) <= 900
    assert "session.locked_out" in actions()


def test_while_locked_the_right_password_is_refused_too_and_the_time_stays(client: Client) -> None:
    person = factories.person("clinician")
    for _ in range(5):
        sign_in(client, person.username, "wrong")
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=10))
    locked = sign_in(client, person.username)
    assert locked.status_code == 429
    assert int(locked.headers["Retry-After"]) <= 300
    assert client.get("/profile/").status_code == 302


def test_after_the_time_it_works_again(client: Client) -> None:
    person = factories.person("clinician")
    for _ in range(5):
        sign_in(client, person.username, "wrong")
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert sign_in(client, person.username).status_code == 302


def test_another_address_and_another_person_are_not_locked(client: Client) -> None:
    person, other = factories.person("clinician"), factories.person("clinician")
    for _ in range(5):
        sign_in(client, person.username, "wrong")
    assert sign_in(Client(), other.username).status_code == 302
    assert sign_in(Client(), person.username, REMOTE_ADDR="10.0.0.9").status_code == 302


def test_a_one_time_password_must_be_changed_first(client: Client) -> None:
    person = factories.person("clinician")
    given = password_reset(actor=None, user=person)
    sign_in(client, person.username, given)
    assert client.get("/profile/").headers["Location"] == "/password/"
    assert client.post("/profile/", {"display_name": "x"}).headers["Location"] == "/password/"
    assert client.get("/password/").status_code == 200
    chosen = "a much better one 7"
    response = client.post(
        "/password/", {"old_password": given, "new_password1": chosen, "new_password2": chosen}
    )
    assert response.headers["Location"] == "/profile/"
    assert client.get("/profile/").status_code == 200
    person.refresh_from_db()
    assert person.check_password(chosen)
    assert actions()[-1] == "password.changed"


def test_changing_the_password_ends_the_other_sessions(client_of: Callable[[Any], Client]) -> None:
    person = factories.person("clinician")
    here, elsewhere = client_of(person), client_of(person)
    chosen = "a much better one 7"
    here.post(
        "/password/",
        {"old_password": factories.PASSWORD, "new_password1": chosen, "new_password2": chosen},
    )
    assert here.get("/profile/").status_code == 200
    assert elsewhere.get("/profile/").status_code == 302


def test_the_records_send_to_the_same_sign_in(client: Client) -> None:
    response = client.get("/admin/accounts/user/")
    assert response.headers["Location"] == "/login/?next=/admin/accounts/user/"
