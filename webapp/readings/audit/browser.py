"""A reader's browser inside this process: real requests through every middleware, answers word for word."""

from __future__ import annotations

import io
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.module_loading import import_string

BACKEND = "django.contrib.auth.backends.ModelBackend"


@dataclass(frozen=True, kw_only=True, eq=False)
class Reply:
    """One answer as it leaves the site, and the seconds it took."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    content: bytes
    seconds: float
    begun: float

    def header(self, name: str) -> str:
        """The value of a header, "" where it was not sent."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.content)


class Browser:
    """Signed in as one person, without signing in: no sign-in is counted, noted or audited.

    `close` ends its session.
    """

    def __init__(self, user: Any) -> None:
        self.session: SessionBase = import_string(f"{settings.SESSION_ENGINE}.SessionStore")()
        self.session[SESSION_KEY] = user._meta.pk.value_to_string(user)
        self.session[BACKEND_SESSION_KEY] = BACKEND
        self.session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        self.session.create()
        self._csrf = secrets.token_hex(16)

    def close(self) -> None:
        """End the session."""
        self.session.flush()

    def get(self, url: str) -> Reply:
        """GET an address."""
        return self._send("GET", url, b"")

    def post(self, url: str, body: Mapping[str, Any]) -> Reply:
        """POST JSON to an address."""
        return self._send("POST", url, json.dumps(body).encode())

    def _send(self, method: str, url: str, body: bytes) -> Reply:
        environ = self._environ(method, url, body)
        begun, start = time.time(), time.perf_counter()
        # Not the handler itself: its signals would close the connection of the transaction around.
        response = _handler().get_response(WSGIRequest(environ))
        content = b"".join(response)
        seconds = time.perf_counter() - start
        headers = [(str(name), str(value)) for name, value in response.items()]
        headers += [("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()]
        return Reply(
            url=url,
            status=response.status_code,
            headers=tuple(headers),
            content=content,
            seconds=seconds,
            begun=begun,
        )

    def _environ(self, method: str, url: str, body: bytes) -> dict[str, Any]:
        parts = urlsplit(url)
        scheme = "https" if getattr(settings, "SECURE_SSL_REDIRECT", False) else "http"
        host = _host()
        return {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "SERVER_NAME": host,
            "SERVER_PORT": "443" if scheme == "https" else "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json" if body else "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_HOST": host,
            "HTTP_ORIGIN": f"{scheme}://{host}",
            "HTTP_X_FORWARDED_PROTO": scheme,
            "HTTP_X_CSRFTOKEN": self._csrf,
            "HTTP_COOKIE": (
                f"{settings.SESSION_COOKIE_NAME}={self.session.session_key}; "
                f"{settings.CSRF_COOKIE_NAME}={self._csrf}"
            ),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": scheme,
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }


@cache
def _handler() -> WSGIHandler:
    """The site with all its middleware, made once: that takes longer than many requests."""
    return WSGIHandler()


def _host() -> str:
    """A name that this site answers to."""
    named = [host for host in settings.ALLOWED_HOSTS if host != "*"]
    return named[0].lstrip(".") if named else "localhost"
