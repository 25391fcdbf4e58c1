"""Which models a person may see, and where their weights lie for whoever runs them."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import QuerySet

from webapp.core.errors import NotVisible
from webapp.core.permissions import can
from webapp.registry.models import GenerativeModel


def model_list_for(*, user: Any, offered_only: bool = False) -> QuerySet[GenerativeModel]:
    """The models that the person may see, by name, newest version first."""
    if not can(user, "view", GenerativeModel):
        return GenerativeModel.objects.none()
    models = GenerativeModel.objects.select_related("installed_by")
    return models.filter(is_active=True) if offered_only else models


def model_get_for(*, user: Any, name: str, version: str | None = None) -> GenerativeModel:
    """One version of a model; without a version the newest that is offered, else the newest.

    Raises:
        NotVisible: where there is none, or none that the person may see.
    """
    models = model_list_for(user=user).filter(name=name)
    if version is not None:
        models = models.filter(version=version)
    model = models.order_by("-is_active", "-created_at").first()
    if model is None:
        raise NotVisible
    return model


def model_versions_for(*, user: Any, name: str) -> QuerySet[GenerativeModel]:
    """Every version of a model that the person may see, the newest first."""
    return model_list_for(user=user).filter(name=name).order_by("-created_at")


def model_by_id_for(*, user: Any, id: Any) -> GenerativeModel:
    """One model by its id.

    Raises:
        NotVisible: where there is none, or none that the person may see.
    """
    model = model_list_for(user=user).filter(pk=id).first()
    if model is None:
        raise NotVisible
    return model


def model_folder(model: GenerativeModel) -> Path:
    """A local folder with the model's `model.safetensors`; fetched once where the storage is remote."""
    return local_copy(model.weights_path).parent


def local_copy(name: str, *, beside: str = "") -> Path:
    """The local path of a stored file; for a remote storage, a copy under the home, fetched once.

    `beside` names another stored file that, where it exists, must lie in the same folder.
    """
    try:
        return Path(default_storage.path(name))
    except NotImplementedError:
        pass
    target = Path(settings.SEMBLANCE_HOME) / "fetched" / name
    for wanted in (name, beside):
        if wanted and default_storage.exists(wanted):
            _fetch(wanted, target.with_name(Path(wanted).name))
    return target


def _fetch(name: str, target: Path) -> None:
    if target.is_file() and target.stat().st_size == default_storage.size(name):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with default_storage.open(name, "rb") as source, part.open("wb") as file:
        for chunk in source.chunks(1024 * 1024):
            file.write(chunk)
    part.replace(target)
