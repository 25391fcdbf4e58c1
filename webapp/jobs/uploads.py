"""Files that were uploaded for an installation: they go when nobody will install them any more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.core.files.storage import default_storage
from django.db import transaction
from django.utils.translation import gettext as _

from webapp.core.errors import Conflict
from webapp.jobs.models import Job
from webapp.registry.adapter_files import WEIGHTS_FILE
from webapp.registry.services import model_upload_forget
from webapp.registry.services_adapters import adapter_upload_forget

FORGET: dict[str, Callable[..., None]] = {
    "install_model": model_upload_forget,
    "install_adapter": adapter_upload_forget,
}


def upload_clear_after_commit(job: Job) -> None:
    """Once a cancelled installation is so for good, remove what was uploaded for it."""
    if job.kind in FORGET and job.payload.get("staged"):
        transaction.on_commit(partial(FORGET[job.kind], payload=dict(job.payload)))


def refuse_without_upload(job: Job) -> None:
    """Raise Conflict where an installation cannot be tried again, for its upload was cleared away."""
    staged = str(job.payload.get("staged") or "")
    if job.kind not in FORGET or not staged:
        return
    name = staged if job.kind == "install_model" else f"{staged}/{WEIGHTS_FILE}"
    if not default_storage.exists(name):
        raise Conflict(
            _("What was uploaded for this was cleared away when the job ended. Upload it once more instead.")
        )


def upload_is_there(job: Job) -> bool:
    """Whether nothing that the job needs was cleared away."""
    try:
        refuse_without_upload(job)
    except Conflict:
        return False
    return True
