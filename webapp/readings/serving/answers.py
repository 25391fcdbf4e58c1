"""How every answer to a reader's browser leaves: never stored, and refused in one and the same way."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from webapp.core.errors import ApplicationError
from webapp.core.problems import CONTENT_TYPE, problem_body

View = Callable[..., HttpResponseBase]


def no_store(response: HttpResponse) -> HttpResponse:
    """Forbid every cache, the browser's own too."""
    response.headers["Cache-Control"] = "no-store"
    return response


def problem(status: int, detail: str, *, code: str = "") -> HttpResponse:
    """A problem document that names no address, so that one refusal looks like another."""
    body = problem_body(status, detail, code=code)
    return no_store(JsonResponse(body, status=status, content_type=CONTENT_TYPE))


def for_readers(view: View) -> View:
    """Answers to scripts of the reading page: 401 for the signed out, one 404 for all that is not theirs."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return problem(401, _("You are signed out. Sign in again in another tab; nothing here is lost."))
        try:
            return view(request, *args, **kwargs)
        except Http404:
            return problem(404, _("There is nothing here."))
        except ApplicationError as error:
            if error.status == 404:
                return problem(404, _("There is nothing here."))
            return problem(error.status, error.message, code=error.code)

    return answered
