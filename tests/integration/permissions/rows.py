"""What a row of the permission matrix says, and how it is found out.

A row is one line: an object, an action, the roles that may do it, and what the others get. Where it
names an address, the very same expectation is also put to the running site. To add rows, write a
module beside this one with `OBJECTS` and `ROWS`, and name it in `test_permission_matrix.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.test import Client
from django.urls import reverse

from tests import factories
from webapp.core.permissions import require

NOBODY = "nobody"  # signed in, without a role
ANONYMOUS = "anonymous"  # not signed in
EVERYONE = (*factories.ROLES, NOBODY, ANONYMOUS)
OK, FORBIDDEN, HIDDEN = "allowed", "403", "404"

# Given the acting person (None for the anonymous), make the object, or return a model class.
Builder = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """Who may do one action to one object.

    `may` and `sees` list roles, separated by blanks; "all" stands for every signed-in role, with or
    without a role. Whoever is in neither gets 404, whoever is only in `sees` gets 403. `asks` is
    "METHOD url-name", filled with the object's id, or with what `args` makes of the object.
    """

    obj: str
    action: str = ""
    may: str = ""
    sees: str = ""
    asks: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    args: Callable[[Any], tuple[Any, ...]] | None = None
    query: str = ""
    content_type: str = ""
    accepts: tuple[int, ...] = ()  # statuses of the allowed; any below 400 where empty

    def __str__(self) -> str:
        return " ".join(part for part in (self.obj, self.action, self.asks) if part)

    def expected(self, role: str) -> str:
        """What a person of that role should meet."""
        if _lists(self.may, role):
            return OK
        return FORBIDDEN if _lists(self.sees, role) else HIDDEN


def _lists(roles: str, role: str) -> bool:
    return role in roles.split() or ("all" in roles.split() and role != ANONYMOUS)


def person_of(role: str) -> Any:
    """A fresh person of that role; None for the anonymous."""
    if role == ANONYMOUS:
        return None
    return factories.person() if role == NOBODY else factories.person(role)


def outcome_of_rule(row: Row, person: Any, obj: Any) -> str:
    """What `core.permissions` says."""
    try:
        require(person or AnonymousUser(), row.action, obj)
    except Http404:
        return HIDDEN
    except PermissionDenied:
        return FORBIDDEN
    return OK


def outcome_of_request(row: Row, person: Any, obj: Any) -> str:
    """What the site answers: "allowed", "403", "404", or the status where it is none of them."""
    method, name = row.asks.split()
    args = row.args(obj) if row.args else () if isinstance(obj, type) else (obj.pk,)
    client = Client()
    if person is not None:
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    extra = {"content_type": row.content_type} if row.content_type else {}
    response = getattr(client, method.lower())(reverse(name, args=args) + row.query, row.data, **extra)
    if response.streaming:
        b"".join(response.streaming_content)
    status = response.status_code
    if person is None and _asks_to_sign_in(response):
        return HIDDEN
    if status in row.accepts or (not row.accepts and status < 400 and not _asks_to_sign_in(response)):
        return OK
    return str(status)


def _asks_to_sign_in(response: Any) -> bool:
    """A page sends the anonymous to the sign-in page; the API answers 401."""
    location = response.headers.get("Location", "")
    return response.status_code == 401 or (
        response.status_code == 302 and location.startswith(reverse("accounts:login"))
    )
