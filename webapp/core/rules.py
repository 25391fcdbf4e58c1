"""Who may read the audit trail."""

from typing import Any

from webapp.core.models import AuditEvent
from webapp.core.permissions import register


def _administers(user: Any, _obj: Any) -> bool:
    return bool(user.has_role("administrator"))


register(AuditEvent, {"view": _administers})
