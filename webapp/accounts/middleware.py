"""Whoever still has a one-time password chooses a new one before anything else."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

OPEN_TO_ALL = frozenset({"accounts:password-change", "accounts:logout", "accounts:login", "core:healthz"})


class PasswordChangeMiddleware:
    """Sends a signed-in person whose password was given to them to the page where they choose their own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Redirect, unless the person is where they should be."""
        if request.resolver_match is not None and request.resolver_match.view_name in OPEN_TO_ALL:
            return None
        user = request.user
        if not user.is_authenticated or not user.must_change_password:
            return None
        if request.method == "GET":
            messages.info(request, _("Choose a password of your own first: yours was given to you."))
        return redirect("accounts:password-change")
