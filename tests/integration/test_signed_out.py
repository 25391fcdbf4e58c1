"""Whoever is not signed in gets the sign-in page or a 401 from every address but the open ones."""

import uuid
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

pytestmark = pytest.mark.django_db

# Addresses that are open, and why.
OPEN = {
    "accounts:login": "one signs in there",
    "accounts:logout": "signing out twice is no harm",
    "core:healthz": "for whoever watches over the site; it holds no secret",
    "api:schema": "the interface's description holds no data",
}
VALUES = {
    "UUIDConverter": str(uuid.uuid4()),
    "UidConverter": "1.2.3",
    "IntConverter": 1,
    "PathConverter": "x",
}


def addresses(
    resolver: URLResolver, namespace: str = "", outer: dict | None = None
) -> Iterator[tuple[str, dict]]:
    """The name of each address with values for its arguments; `outer` are those of what it lies below."""
    for pattern in resolver.url_patterns:
        kinds = (outer or {}) | dict(pattern.pattern.converters)
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from addresses(pattern, inner, kinds)
        elif isinstance(pattern, URLPattern) and pattern.name and not namespace.startswith("admin:"):
            values = {name: VALUES.get(type(kind).__name__, "x") for name, kind in kinds.items()}
            yield f"{namespace}{pattern.name}", values


def test_every_address_but_the_open_ones_asks_to_sign_in() -> None:
    known = dict(addresses(get_resolver()))
    assert set(known) >= set(OPEN)
    open_to_all = {}
    for name, values in known.items():
        if name in OPEN:
            continue
        for method in ("get", "post"):
            response = getattr(Client(), method)(reverse(name, kwargs=values))
            to_login = response.status_code == 302 and response.headers["Location"].startswith(
                "/login/?next="
            )
            if not to_login and response.status_code not in {401, 405}:
                open_to_all[f"{method.upper()} {name}"] = response.status_code
    assert open_to_all == {}


@pytest.mark.parametrize(
    "address", ["/admin/", "/admin/accounts/user/", "/admin/core/auditevent/", "/admin/x/"]
)
def test_the_records_ask_to_sign_in(client: Client, address: str) -> None:
    response = client.get(address)
    assert response.status_code == 302
    assert "/login/" in response.headers["Location"]
