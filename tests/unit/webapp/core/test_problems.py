"""Errors are plain pages for people and problem documents for programs, and never a traceback."""

import json

import pytest
from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import include, path
from rest_framework import exceptions, serializers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny

from webapp.core.errors import ApplicationError, Conflict, NotAllowed, NotVisible
from webapp.core.problems import problem_body, wants_document

ERRORS = {
    "application": ApplicationError("The spacing is too large.", field="spacing", code="too_large"),
    "conflict": Conflict("Somebody saved a newer version."),
    "not-visible": NotVisible(),
    "not-allowed": NotAllowed("You may look, but not touch."),
    "404": Http404("secret inside"),
    "403": PermissionDenied("You may see this, but not change it."),
    "crash": ZeroDivisionError("secret inside"),
    "django-validation": DjangoValidationError({"name": ["Too long."]}),
    "throttled": exceptions.Throttled(wait=7),
    "method": exceptions.MethodNotAllowed("DELETE"),
}


class Nested(serializers.Serializer):
    seed = serializers.IntegerField()
    parameters = serializers.ListField(child=serializers.IntegerField())


def page(request, name: str) -> HttpResponse:
    raise ERRORS[name]


@api_view(["GET", "POST"])
@permission_classes([AllowAny])
def api(request, name: str):
    if name == "serializer":
        Nested(data={"seed": "x", "parameters": [1, "y"]}).is_valid(raise_exception=True)
    if name == "many":
        several = [{"seed": 1, "parameters": []}, {"seed": "x", "parameters": []}]
        Nested(data=several, many=True).is_valid(raise_exception=True)
    raise ERRORS[name]


urlpatterns = [
    path("page/<str:name>/", page),
    path("api/v1/<str:name>/", api),
    path("", include("webapp.core.urls")),
    path("", include("webapp.accounts.urls")),
]
handler400 = "webapp.core.problems.bad_request"
handler403 = "webapp.core.problems.forbidden"
handler404 = "webapp.core.problems.not_found"
handler500 = "webapp.core.problems.server_error"


@pytest.fixture
def client() -> Client:
    """A browser that gets the 500 page instead of the test getting the exception."""
    with override_settings(ROOT_URLCONF=__name__):
        yield Client(raise_request_exception=False)


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [
        ("application", 400, "The spacing is too large."),
        ("conflict", 409, "Somebody saved a newer version."),
        ("not-visible", 404, "not shared with you"),
        ("not-allowed", 403, "You may look, but not touch."),
        ("404", 404, "not shared with you"),
        ("403", 403, "You may see this, but not change it."),
        ("crash", 500, "It is in the log"),
    ],
)
def test_people_get_a_plain_page(client: Client, name: str, status: int, sentence: str) -> None:
    response = client.get(f"/page/{name}/", headers={"accept": "text/html"})
    text = response.content.decode()
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("text/html")
    assert sentence in text
    assert f"Error {status}" in text
    assert "secret inside" not in text
    assert "Traceback" not in text


def test_live_fragments_get_a_notice(client: Client) -> None:
    response = client.get("/page/application/", headers={"hx-request": "true"})
    assert response.content.decode().startswith('<p class="notice notice--error" role="alert">')


@pytest.mark.parametrize("prefix", ["/page", "/api/v1"])
@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("application", 400, "too_large"),
        ("conflict", 409, "conflict"),
        ("not-visible", 404, "not_found"),
        ("404", 404, "not_found"),
        ("403", 403, "not_allowed"),
        ("crash", 500, "server_error"),
    ],
)
def test_programs_get_a_problem_document(
    client: Client, prefix: str, name: str, status: int, code: str
) -> None:
    response = client.get(f"{prefix}/{name}/", headers={"accept": "application/json"})
    body = json.loads(response.content)
    assert response.status_code == status == body["status"]
    assert response.headers["Content-Type"] == "application/problem+json"
    assert body["type"] == f"urn:semblance:problem:{code}"
    assert body["code"] == code
    assert body["instance"] == f"{prefix}/{name}/"
    assert body["title"]
    assert body["detail"]
    assert "secret inside" not in response.content.decode()


def test_the_field_is_named(client: Client) -> None:
    body = client.get("/api/v1/application/").json()
    assert body["errors"] == [{"field": "spacing", "message": "The spacing is too large."}]


def test_nested_fields_are_joined(client: Client) -> None:
    body = client.get("/api/v1/serializer/").json()
    assert {error["field"] for error in body["errors"]} == {"seed", "parameters.1"}


def test_the_place_in_a_list_is_named(client: Client) -> None:
    body = client.get("/api/v1/many/").json()
    assert [error["field"] for error in body["errors"]] == ["1.seed"]


def test_django_validation_is_a_bad_request(client: Client) -> None:
    response = client.get("/api/v1/django-validation/")
    assert response.status_code == 400
    assert response.json()["errors"] == [{"field": "name", "message": "Too long."}]


def test_throttling_says_when(client: Client) -> None:
    response = client.get("/api/v1/throttled/")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "8")


def test_an_unknown_address_of_the_api(client: Client) -> None:
    response = client.get("/api/v1/no/such/thing")
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_form_without_its_token_is_refused_in_words() -> None:
    with override_settings(ROOT_URLCONF=__name__):
        response = Client(enforce_csrf_checks=True).post("/login/", {"username": "a", "password": "b"})
    assert response.status_code == 403
    assert "This form had expired" in response.content.decode()


@pytest.mark.parametrize(
    ("accept", "document"),
    [
        ("application/json", True),
        ("application/dicom+json", True),
        ("text/html,application/xhtml+xml,*/*", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_who_is_a_program(accept: str, document: bool) -> None:
    assert wants_document(RequestFactory().get("/cases/", headers={"accept": accept})) is document


def test_a_body_has_no_empty_members() -> None:
    assert set(problem_body(404)) == {"type", "title", "status", "code"}
