"""Errors as the person or the program should see them: plain pages, or problem documents (RFC 9457)."""

import logging
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from webapp.core.errors import ApplicationError

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
# Programs talk to these addresses: they get a problem document whatever they accept.
PROGRAM_PREFIXES = ("/api/v1/", "/dicomweb/")

_CODES = {
    400: "invalid",
    401: "not_signed_in",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    500: "server_error",
    503: "unavailable",
}


def _titles() -> dict[int, str]:
    return {
        400: _("This could not be done"),
        401: _("Please sign in"),
        403: _("You may not do this"),
        404: _("Nothing here"),
        405: _("This cannot be done here"),
        406: _("This form of answer is not available"),
        409: _("Somebody was faster"),
        413: _("Too large"),
        415: _("This kind of content is not understood"),
        429: _("Too many requests"),
        500: _("Something went wrong on our side"),
        503: _("Not available just now"),
    }


def problem_body(
    status: int,
    detail: str = "",
    *,
    code: str = "",
    instance: str = "",
    errors: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """One problem document: type, title, status, detail, code, instance and errors by field."""
    code = code or _CODES.get(status, "error")
    body: dict[str, Any] = {
        "type": f"urn:semblance:problem:{code}",
        "title": _titles().get(status, _("Error")),
        "status": status,
        "code": code,
    }
    if detail:
        body["detail"] = detail
    if instance:
        body["instance"] = instance
    if errors:
        body["errors"] = errors
    return body


def wants_document(request: HttpRequest) -> bool:
    """Whether the one who asks is a program: by address, or because it accepts JSON and not HTML."""
    if request.path.startswith(PROGRAM_PREFIXES):
        return True
    accept = request.headers.get("Accept", "")
    return "json" in accept and "text/html" not in accept


def problem_response(
    request: HttpRequest, status: int, detail: str = "", *, code: str = "", field: str | None = None
) -> HttpResponse:
    """A problem document for a program, a plain page (or its htmx fragment) for a person."""
    if wants_document(request):
        errors = [{"field": field, "message": detail}] if field else None
        body = problem_body(status, detail, code=code, instance=request.path, errors=errors)
        return JsonResponse(body, status=status, content_type=CONTENT_TYPE)
    template = "core/error_fragment.html" if request.headers.get("HX-Request") else "core/error.html"
    context = {"status": status, "title": _titles().get(status, _("Error")), "detail": detail}
    return render(request, template, context, status=status)


# --- the handlers that webapp/urls.py names


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400 in plain words."""
    return problem_response(request, 400, _("The request was not understood. Nothing was changed."))


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403 in plain words."""
    detail = str(exception) if exception and str(exception) else ""
    return problem_response(
        request, 403, detail or _("Your role does not include this. Nothing was changed.")
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404 in plain words; the same for what does not exist and for what is not shared."""
    return problem_response(request, 404, _("This does not exist, or it is not shared with you."))


def server_error(request: HttpRequest) -> HttpResponse:
    """500 without a word about the inside; the traceback is in the log."""
    return problem_response(
        request,
        500,
        _("Your request was not completed. It is in the log; trying again later may help."),
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that came without a valid CSRF token."""
    return problem_response(
        request,
        403,
        _("This form had expired or was sent from another site. Go back, reload the page and send it again."),
        code="form_expired",
    )


# --- the API's exception handler


def _flatten(detail: Any, field: str = "") -> Iterator[dict[str, str]]:
    """DRF's nested error detail as (field, message) pairs; nested fields are joined with dots."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flatten(inner, field if name == "non_field_errors" else _within(field, name))
    elif isinstance(detail, list):
        for position, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            yield from _flatten(inner, _within(field, position) if nested else field)
    else:
        yield {"field": field, "message": str(detail)}


def _within(field: str, name: object) -> str:
    return f"{field}.{name}" if field else str(name)


def _answer(
    status: int,
    detail: str,
    *,
    request: HttpRequest | None,
    code: str = "",
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    instance = request.path if request is not None else ""
    body = problem_body(status, detail, code=code, instance=instance, errors=errors)
    set_rollback()
    return Response(body, status=status, headers=headers, content_type=CONTENT_TYPE)


def problem_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Every error of the API as a problem document; an unexpected one propagates to the 500 handler."""
    request = context.get("request")
    if isinstance(exc, ApplicationError):
        errors = [{"field": exc.field, "message": exc.message}] if exc.field else None
        return _answer(exc.status, exc.message, request=request, code=exc.code, errors=errors)
    if isinstance(exc, Http404):
        return _answer(404, _("This does not exist, or it is not shared with you."), request=request)
    if isinstance(exc, PermissionDenied):
        return _answer(403, str(exc) or _("Your role does not include this."), request=request)
    if isinstance(exc, DjangoValidationError):
        exc = exceptions.ValidationError(exc.message_dict if hasattr(exc, "error_dict") else exc.messages)
    if isinstance(exc, exceptions.ValidationError):
        errors = list(_flatten(exc.detail))
        detail = " ".join(dict.fromkeys(error["message"] for error in errors))
        return _answer(400, detail, request=request, errors=[e for e in errors if e["field"]])
    if isinstance(exc, exceptions.APIException):
        headers: dict[str, str] = {}
        if getattr(exc, "auth_header", None):
            headers["WWW-Authenticate"] = exc.auth_header  # type: ignore[attr-defined]
        if getattr(exc, "wait", None):
            headers["Retry-After"] = str(int(exc.wait) + 1)  # type: ignore[attr-defined]
        return _answer(exc.status_code, str(exc.detail), request=request, headers=headers)
    return None
