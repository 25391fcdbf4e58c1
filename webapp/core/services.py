"""Writing the audit trail."""

from collections.abc import Mapping
from typing import Any

from django.db import models

from webapp.core.models import AuditEvent


def audit_record(
    *, actor: Any, action: str, obj: Any = None, detail: Mapping[str, Any] | None = None
) -> AuditEvent:
    """Add one line to the audit trail.

    Args:
        actor: the person, or None for the system itself.
        action: a short stable name, ``<noun>.<past participle>``, such as ``dataset.shared``.
        obj: the object that it was done to, if any.
        detail: what else matters, as JSON; never a password, token, or patient's identity.
    """
    person = actor if actor is not None and getattr(actor, "is_authenticated", False) else None
    is_model = isinstance(obj, models.Model)
    return AuditEvent.objects.create(
        actor=person,
        actor_name=str(person)[:200] if person is not None else "",
        action=action,
        object_type=obj._meta.label if is_model else "",
        object_id=str(obj.pk) if is_model else "",
        object_label=str(obj)[:200] if obj is not None else "",
        detail=dict(detail or {}),
    )
