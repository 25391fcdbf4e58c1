"""Stable names of actions and kinds of objects, in words for the screen."""

from typing import Any

from django.apps import apps
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.core.models import AuditEvent

_DIRECT = {
    "session.opened": gettext_lazy("Signed in"),
    "session.closed": gettext_lazy("Signed out"),
    "session.refused": gettext_lazy("Sign-in refused"),
    "session.locked_out": gettext_lazy("Sign-in locked"),
}


def action_words(action: str) -> str:
    """ "dataset.shared" as "Dataset shared"."""
    if action in _DIRECT:
        return str(_DIRECT[action])
    return action.replace(".", " ").replace("_", " ").capitalize()


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


def actor_words(event: AuditEvent) -> str:
    """Who did it: the name; for what no person did, whether somebody unknown or the system itself."""
    if event.actor_name:
        return event.actor_name
    return _("not signed in") if event.action.startswith("session.") else _("the system")
