"""What installing, offering and withdrawing a model or an adapter have in common."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile

from webapp.cases.files import MovableFile
from webapp.core import work
from webapp.core.services import audit_record
from webapp.registry.models import Adapter, GenerativeModel
from webapp.registry.weights import NotAModel

STAGED = "staged-models"

Installed = TypeVar("Installed", GenerativeModel, Adapter)


def noun_of(installed: GenerativeModel | Adapter) -> str:
    """How the audit trail calls it."""
    return "adapter" if isinstance(installed, Adapter) else "model"


def refuse_large(*files: UploadedFile | None) -> None:
    """Raise NotAModel for files that together are larger than the site takes."""
    given = [file for file in files if file is not None]
    size = sum(file.size or 0 for file in given)
    if size > settings.MODEL_MAX_BYTES:
        raise NotAModel(
            f"{'This file has' if len(given) == 1 else 'These files have'} {size / 2**20:,.0f} MB; the site "
            f"takes models of up to {settings.MODEL_MAX_BYTES / 2**20:,.0f} MB.",
            field="weights",
        )


def staging_folder() -> str:
    """A folder of the storage that is nobody else's."""
    return f"{STAGED}/{uuid4().hex}"


def staged_submit(
    *, user: Any, kind: str, payload: Mapping[str, Any], files: Mapping[str, UploadedFile | None]
) -> Any:
    """Keep uploaded files aside under these names and have a worker install them; the job is returned."""
    try:
        for name, file in files.items():
            if file is not None:
                default_storage.save(name, file)
        return work.submit(kind=kind, owner=user, payload=payload)
    except Exception:  # without a job, nobody would ever clear it away
        staged_forget(files)
        raise


def staged_forget(names: Iterable[str]) -> None:
    """Clear away what was kept aside under these names."""
    for name in names:
        default_storage.delete(name)


def weights_store(path: Path, name: str, *, size: int, move: bool = False) -> str:
    """Copy or move weights of that size into the storage, once; `name` is returned."""
    if default_storage.exists(name) and default_storage.size(name) == size:
        return name
    default_storage.delete(name)
    with MovableFile(path) if move else File(path.open("rb")) as file:
        stored = default_storage.save(name, file)
    if stored != name:  # another process stored the same bytes meanwhile
        default_storage.delete(stored)
    return name


def description_record(installed: Installed, values: Mapping[str, Any], *, user: Any) -> Installed:
    """What is said about it now; only what differs is written and noted."""
    changed: list[str] = [name for name, value in values.items() if getattr(installed, name) != value]
    if changed:
        for name in changed:
            setattr(installed, name, values[name])
        installed.save(update_fields=[*changed, "updated_at"])
        action = f"{noun_of(installed)}.described"
        audit_record(actor=user, action=action, obj=installed, detail={"changed": sorted(changed)})
    return installed


def offer_record(installed: Installed, *, user: Any, offered: bool, because: str) -> Installed:
    """Whether it is offered from now on; `because` stands in the audit trail."""
    if installed.is_active != offered:
        installed.is_active = offered
        installed.save(update_fields=["is_active", "updated_at"])
        action = f"{noun_of(installed)}.{'offered' if offered else 'withdrawn'}"
        detail = {"because": because} if because else None
        audit_record(actor=user, action=action, obj=installed, detail=detail)
    return installed
