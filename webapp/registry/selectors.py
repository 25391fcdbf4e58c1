"""Which models a person may see, and where their weights lie for whoever runs them."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import Q, QuerySet

from webapp.core.errors import NotVisible
from webapp.core.permissions import can
from webapp.registry.adapter_files import CONDITIONING_FILE, CONFIG_FILE, RECIPE_FILE
from webapp.registry.companions import companion_name
from webapp.registry.models import Adapter, GenerativeModel
from webapp.registry.weights import file_sha256


def model_list_for(
    *, user: Any, offered_only: bool = False, drawing_only: bool = False
) -> QuerySet[GenerativeModel]:
    """The models that the person may see, by name, newest version first.

    drawing_only: without those that were trained to change images and draw none from nothing.
    """
    if not can(user, "view", GenerativeModel):
        return GenerativeModel.objects.none()
    models = GenerativeModel.objects.select_related("installed_by")
    if drawing_only:
        says = "recipe__backbone__takes_image"
        models = models.filter(Q(**{f"{says}__isnull": True}) | ~Q(**{says: True}))
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


def adapter_list_for(
    *, user: Any, model: GenerativeModel | None = None, offered_only: bool = False
) -> QuerySet[Adapter]:
    """The adapters (of one model) that the person may see, by name, newest version first."""
    if not can(user, "view", Adapter):
        return Adapter.objects.none()
    adapters = Adapter.objects.select_related("base", "installed_by")
    if model is not None:
        adapters = adapters.filter(base=model)
    return adapters.filter(is_active=True, base__is_active=True) if offered_only else adapters


def adapter_get_for(*, user: Any, name: str, version: str | None = None) -> Adapter:
    """One version of an adapter; without a version the newest that is offered, else the newest.

    Raises:
        NotVisible: where there is none, or none that the person may see.
    """
    adapters = adapter_list_for(user=user).filter(name=name)
    if version is not None:
        adapters = adapters.filter(version=version)
    adapter = adapters.order_by("-is_active", "-created_at").first()
    if adapter is None:
        raise NotVisible
    return adapter


def adapter_by_id_for(*, user: Any, id: Any) -> Adapter:
    """One adapter by its id.

    Raises:
        NotVisible: where there is none, or none that the person may see.
    """
    adapter = adapter_list_for(user=user).filter(pk=id).first()
    if adapter is None:
        raise NotVisible
    return adapter


def adapter_versions_for(*, user: Any, name: str) -> QuerySet[Adapter]:
    """Every version of an adapter that the person may see, the newest first."""
    return adapter_list_for(user=user).filter(name=name).order_by("-created_at")


def adapter_folder(adapter: Adapter) -> Path:
    """A local folder with the adapter's weights, settings and recipe; fetched once where they are remote."""
    stored = adapter.weights_path.rpartition("/")[0]
    beside = (CONDITIONING_FILE,) if adapter.conditioning_sha256 else ()
    for name in (CONFIG_FILE, RECIPE_FILE, *beside):
        local_copy(f"{stored}/{name}")
    return local_copy(adapter.weights_path).parent


def model_folder(model: GenerativeModel) -> Path:
    """A local folder with the model's `model.safetensors`; fetched once where the storage is remote."""
    return local_copy(model.weights_path).parent


def model_companion(model: GenerativeModel, name: str) -> Path | None:
    """The local path of a file that lies beside the weights ("nearest/CT.npz"); None where there is none.

    Raises ValueError where the stored file is not the one that was installed.
    """
    about = model.companions.get(name)
    if about is None:
        return None
    path = local_copy(companion_name(model.weights_sha256, name))
    if file_sha256(path) != about["sha256"]:
        raise ValueError(f"{name} of {model}: expected SHA-256 {about['sha256']}; got another file")
    return path


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


def backbones_offered() -> set[str]:
    """The network families of all models on offer: what a worker may be asked to run."""
    return set(GenerativeModel.objects.filter(is_active=True).values_list("backbone", flat=True))


def has_adapters_offered() -> bool:
    """Whether any adapter is on offer."""
    return Adapter.objects.filter(is_active=True).exists()
