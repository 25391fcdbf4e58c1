"""Stable names of actions and kinds of objects, in words for the screen."""

from typing import Any

from django.apps import apps

_DIRECT = {
    "session.opened": "Signed in",
    "session.closed": "Signed out",
    "session.refused": "Sign-in refused",
    "session.locked_out": "Sign-in locked",
}


def action_words(action: str) -> str:
    """ "dataset.shared" as "Dataset shared"."""
    return _DIRECT.get(action) or action.replace(".", " ").replace("_", " ").capitalize()


def kind_words(label: str) -> str:
    """ "accounts.ApiToken" as "API token"; an unknown label as it is."""
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return label
    return str(model._meta.verbose_name)


def detail_words(detail: Any) -> str:
    """A flat mapping as "role: clinician, address: 10.0.0.1"."""
    if not isinstance(detail, dict):
        return str(detail or "")
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in detail.items())
