"""Headers on every response, and plain pages for errors that are sentences for the person."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from webapp.core.errors import ApplicationError
from webapp.core.problems import problem_response

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self'; img-src 'self' data: blob:; font-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'"
)
PERMISSIONS_POLICY = (
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), "
    "microphone=(), midi=(), payment=(), usb=()"
)


class ContentSecurityPolicyMiddleware:
    """The strict policy on everything, static files included: a web worker takes it from its own response."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request and add the headers."""
        response = self.get_response(request)
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["Permissions-Policy"] = PERMISSIONS_POLICY
        return response


class ApplicationErrorMiddleware:
    """Turns an `ApplicationError` that a view let through into its page or its problem document."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer for an `ApplicationError`; leave every other exception to Django."""
        if isinstance(exception, ApplicationError):
            return problem_response(
                request, exception.status, exception.message, code=exception.code, field=exception.field
            )
        return None


class LocalTimeMiddleware:
    """Writes times as the person's own clock shows them: the front end keeps their time zone in a cookie."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer in the person's time zone; in the site's where it is unknown."""
        with timezone.override(_zone(request.COOKIES.get("timezone", ""))):
            return self.get_response(request)


def _zone(name: str) -> ZoneInfo | None:
    """The time zone of that name, or None: the cookie can hold anything."""
    if not name or len(name) > 64:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
