"""Hand in work for the background without knowing who runs it.

`cases` and `registry` lie to the left of `jobs` and must not import it; the setting
``JOB_SUBMIT`` names the service that takes the work.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string


def submit(
    *,
    kind: str,
    owner: Any,
    payload: Mapping[str, Any],
    subject_type: str = "",
    subject_id: UUID | str | None = None,
    priority: int = 0,
) -> Any:
    """Enqueue one piece of work and return its job row.

    Args:
        kind: which handler does it (``synthesise``, ``import_cases``, ``install_model``, ``export``).
        owner: the person whose work it is; fair share is counted by owner.
        payload: JSON-serialisable arguments: ids, never objects.
        subject_type: the model label of the object that the work is about, such as ``cases.ImportRun``.
        subject_id: that object's id.
        priority: higher runs earlier among the same owner's jobs.
    """
    job_submit = import_string(settings.JOB_SUBMIT)
    return job_submit(
        kind=kind,
        owner=owner,
        payload=dict(payload),
        subject_type=subject_type,
        subject_id=subject_id,
        priority=priority,
    )
