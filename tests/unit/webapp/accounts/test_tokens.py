"""API tokens: shown once, kept as a hash, good while neither revoked nor expired."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.decorators import api_view
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory

from tests import factories
from webapp.accounts.authentication import ApiTokenAuthentication
from webapp.accounts.models import ApiToken
from webapp.accounts.services import token_create, token_revoke
from webapp.core.errors import ApplicationError
from webapp.core.models import AuditEvent

pytestmark = pytest.mark.django_db


def signs_in(header: str):
    request = Request(APIRequestFactory().get("/", HTTP_AUTHORIZATION=header))
    return ApiTokenAuthentication().authenticate(request)


@pytest.fixture
def person():
    return factories.person("researcher")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token"])
def test_a_token_signs_its_person_in(person, scheme: str) -> None:
    token, plaintext = token_create(user=person, name="batch")
    assert signs_in(f"{scheme} {plaintext}") == (person, token)


def test_the_plaintext_is_kept_nowhere(person) -> None:
    token, plaintext = token_create(user=person, name="batch")
    token.refresh_from_db()
    kept = [str(getattr(token, field.name)) for field in ApiToken._meta.fields]
    assert plaintext not in kept
    assert token.digest == ApiToken.digest_of(plaintext)
    assert plaintext.startswith(token.prefix)
    assert len(plaintext) > len(token.prefix) + 30
    told = [str(event.detail) + event.object_label for event in AuditEvent.objects.all()]
    assert not any(plaintext in line for line in told)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token_revoke(actor=token.user, token=token),
        lambda token: ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1)),
        lambda token: type(token.user).objects.update(is_active=False),
        lambda token: token.delete(),
    ],
    ids=["revoked", "expired", "person closed", "deleted"],
)
def test_a_spoilt_token_is_refused(person, spoil) -> None:
    token, plaintext = token_create(user=person, name="batch")
    spoil(token)
    with pytest.raises(AuthenticationFailed, match="not valid"):
        signs_in(f"Bearer {plaintext}")


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer nonesuch", "Token sbl_ä"])
def test_a_bad_header_is_refused(person, header: str) -> None:
    with pytest.raises(AuthenticationFailed):
        signs_in(header)


@pytest.mark.parametrize("header", ["", "Basic dXNlcjpwYXNz"])
def test_without_a_token_another_way_may_sign_in(header: str) -> None:
    assert signs_in(header) is None


def test_use_is_noted_at_most_once_a_minute(person, django_assert_num_queries) -> None:
    _, plaintext = token_create(user=person, name="batch")
    with django_assert_num_queries(2):
        signs_in(f"Bearer {plaintext}")
    with django_assert_num_queries(1):
        signs_in(f"Bearer {plaintext}")
    assert ApiToken.objects.get().last_used_at is not None


def test_revoking_twice_changes_nothing(person) -> None:
    token, _ = token_create(user=person, name="batch")
    first = token_revoke(actor=person, token=token).revoked_at
    assert token_revoke(actor=person, token=token).revoked_at == first
    assert AuditEvent.objects.filter(action="token.revoked").count() == 1


@pytest.mark.parametrize(
    "values",
    [{"name": "  "}, {"name": "a", "expires_at": timezone.now() - timedelta(days=1)}],
    ids=["no name", "past"],
)
def test_what_cannot_be_is_refused(person, values: dict) -> None:
    with pytest.raises(ApplicationError):
        token_create(user=person, **values)


def test_a_401_says_how_to_sign_in() -> None:
    @api_view(["GET"])
    def view(request):
        return Response({})

    response = view(APIRequestFactory().get("/"))
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.data["code"] == "not_signed_in"


def test_the_command_prints_the_token_alone(person) -> None:
    out = StringIO()
    call_command("create_api_token", person.username, "--days", "3", stdout=out)
    plaintext = out.getvalue().strip()
    user, token = signs_in(f"Bearer {plaintext}")
    assert user == person
    assert timedelta(days=2) < token.expires_at - timezone.now() <= timedelta(days=3)


def test_the_command_refuses_in_words(person) -> None:
    with pytest.raises(CommandError, match="nobody called"):
        call_command("create_api_token", "nonesuch")
    with pytest.raises(CommandError, match="1 or more"):
        call_command("create_api_token", person.username, "--days", "0")
    type(person).objects.update(is_active=False)
    with pytest.raises(CommandError, match="deactivated"):
        call_command("create_api_token", person.username)
