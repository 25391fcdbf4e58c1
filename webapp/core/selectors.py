"""Reading the audit trail."""

from datetime import date
from typing import Any

from django.db.models import Q, QuerySet

from webapp.core.models import AuditEvent
from webapp.core.permissions import can


def audit_list_for(
    *,
    user: Any,
    person: str = "",
    action: str = "",
    about: str = "",
    since: date | None = None,
    until: date | None = None,
) -> QuerySet[AuditEvent]:
    """The audit events that this person may read, newest first: all for an administrator, else none.

    Args:
        person: part of the name of who did it.
        action: the action's stable name.
        about: part of the object's label, its kind, or its whole id.
        since: the first day, inclusive.
        until: the last day, inclusive.
    """
    if not can(user, "view", AuditEvent):
        return AuditEvent.objects.none()
    events = AuditEvent.objects.select_related("actor")
    if person:
        events = events.filter(Q(actor_name__icontains=person) | Q(actor__username__icontains=person))
    if action:
        events = events.filter(action=action)
    if about:
        events = events.filter(
            Q(object_label__icontains=about) | Q(object_type__icontains=about) | Q(object_id=about)
        )
    if since:
        events = events.filter(at__date__gte=since)
    if until:
        events = events.filter(at__date__lte=until)
    return events


def audit_actions() -> list[str]:
    """The actions that have happened so far, in alphabetical order."""
    return list(AuditEvent.objects.order_by("action").values_list("action", flat=True).distinct())
