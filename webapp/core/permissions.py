"""The one place that answers "may this person do that to this object?".

Each app writes its rules in ``<app>/rules.py`` and registers them here when it is ready, so that
`core` imports no sibling. Pages, the API, DICOMweb and the workers all ask `can` or `require`;
nothing else decides.

A rule is a function of (person, object). For the actions that concern no object yet ("create",
"view" of a whole list) the object is the model class itself.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404
from django.utils.translation import gettext as _

ACTIONS = frozenset(
    {
        "view",
        "annotate",
        "manage",
        "delete",
        "create",
        "request",
        "decide",
        "cancel",
        "retry",
        "install",
        "read",
        "launch",
        "unblind",
        "export",
    }
)

Rule = Callable[[Any, Any], bool]

_RULES: dict[type[models.Model], dict[str, Rule]] = {}


def register(model: type[models.Model], rules: Mapping[str, Rule]) -> None:
    """State the rules of one model, by action.

    Raises:
        ValueError: for an unknown action, or where "view" is missing (404 or 403 hangs on it).
    """
    unknown = set(rules) - ACTIONS
    if unknown:
        raise ValueError(f"actions must be among {sorted(ACTIONS)}; got {sorted(unknown)}")
    if "view" not in rules:
        raise ValueError(f"{model.__name__} needs a rule for 'view'; got {sorted(rules)}")
    _RULES[model] = dict(rules)


def registered() -> Mapping[type[models.Model], Mapping[str, Rule]]:
    """Every rule that is known, for the test that holds the matrix complete."""
    return _RULES


def _rules_for(obj: Any) -> dict[str, Rule]:
    model = obj if isinstance(obj, type) else type(obj)
    if isinstance(obj, models.Model):
        model = obj._meta.concrete_model or model
    try:
        return _RULES[model]
    except KeyError:
        raise ValueError(f"no permission rules are registered for {model.__name__}") from None


def can(user: Any, action: str, obj: Any) -> bool:
    """Whether the person may do the action to the object (or, for "create", to objects of that class).

    Anonymous and deactivated people may do nothing; a superuser may do everything that has a rule.

    Raises:
        ValueError: when the object's model has no such rule, which is a programmer's mistake.
    """
    rules = _rules_for(obj)
    if action not in rules:
        name = obj.__name__ if isinstance(obj, type) else type(obj).__name__
        raise ValueError(f"{name} has rules for {sorted(rules)}; got action {action!r}")
    if user is None or not user.is_authenticated or not user.is_active:
        return False
    if user.is_superuser:
        return True
    return rules[action](user, obj)


def require(user: Any, action: str, obj: Any) -> None:
    """Pass, or raise what the person may know: 404 where they may not see it, 403 where they may.

    Raises:
        Http404: when the person may not even view the object.
        PermissionDenied: when they may view it but not do this.
    """
    if can(user, action, obj):
        return
    if action != "view" and can(user, "view", obj):
        raise PermissionDenied(_("You may see this, but you may not change it in this way."))
    raise Http404(_("This does not exist, or it is not shared with you."))
