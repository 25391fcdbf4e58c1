"""Installing, offering and withdrawing generative models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction

from webapp.core import work
from webapp.core.errors import Conflict
from webapp.core.permissions import require
from webapp.core.services import audit_record
from webapp.registry.companions import Companions, read_companions, store_companions
from webapp.registry.installing import (
    description_record,
    offer_record,
    refuse_large,
    staged_forget,
    staged_submit,
    staging_folder,
    weights_store,
)
from webapp.registry.models import GenerativeModel
from webapp.registry.recipes import Description, describe
from webapp.registry.selectors import local_copy
from webapp.registry.weights import CARD_FILE, WEIGHTS_FILE, Checkpoint, NotAModel, read_checkpoint

KIND = "install_model"


def model_install(
    *, path: Path | str, user: Any = None, move: bool = False, max_bytes: int | None = None
) -> GenerativeModel:
    """Install the checkpoint at `path` (a folder, or a .safetensors file) and offer it.

    With `move` the file itself goes into the storage, where that is a folder of the same disk. The same
    weights again change nothing but the card and what is said about them. `user` is None where the site
    installs the model that it ships with.

    Raises:
        NotAModel: in a plain sentence, where the files cannot be installed.
        Conflict: where this name and version stand for other weights already.
        Http404, PermissionDenied: where the person may not install models.
    """
    if user is not None:
        require(user, "install", GenerativeModel)
    checkpoint = read_checkpoint(path, max_bytes=max_bytes or settings.MODEL_PATH_MAX_BYTES)
    companions = read_companions(checkpoint.path, checkpoint.sha256)
    description = describe(checkpoint.recipe, checkpoint.card)
    _refuse_other_weights(checkpoint, description)
    name = f"models/{checkpoint.sha256}/{WEIGHTS_FILE}"
    stored = weights_store(checkpoint.path, name, size=checkpoint.size, move=move)
    store_companions(companions, checkpoint.sha256)
    try:
        return _record(checkpoint, description, companions, stored, user)
    except IntegrityError:  # somebody installed it in the same moment
        _refuse_other_weights(checkpoint, description)
        return _record(checkpoint, description, companions, stored, user)


def model_install_submit(
    *, user: Any, path: Path | str, about: Mapping[str, Any] | None = None, about_folder: str = ""
) -> Any:
    """Have a worker install the model at a path that the worker can read; the job is returned.

    `about` says what the files of a model from elsewhere do not (docs/backbones.md); folders that it
    names are looked for from `about_folder` on, else from the model's own.
    """
    require(user, "install", GenerativeModel)
    payload: dict[str, Any] = {"path": str(path)}
    if about:
        payload |= {"about": dict(about), "about_folder": about_folder}
    return work.submit(kind=KIND, owner=user, payload=payload)


def model_folder_submit(*, user: Any, folder: str, about: Mapping[str, Any] | None = None) -> Any:
    """Have a worker install what lies under that name in the folder for incoming models; the job is returned.

    Nothing outside of that folder is read, whatever the name or the files say.
    """
    require(user, "install", GenerativeModel)
    name = Path(folder.strip())
    if not folder.strip() or name.is_absolute() or ".." in name.parts:
        raise NotAModel(
            f"Name a folder or file below {settings.MODEL_INBOX}, without “..” and without a leading “/”.",
            field="folder",
        )
    inbox = Path(settings.MODEL_INBOX)
    payload = {"path": str(inbox / name), "within": str(inbox), "about": dict(about or {})}
    return work.submit(kind=KIND, owner=user, payload=payload)


def model_upload_submit(*, user: Any, weights: UploadedFile, card: UploadedFile | None = None) -> Any:
    """Keep an uploaded checkpoint (and its card) aside and have a worker install it; the job is returned."""
    require(user, "install", GenerativeModel)
    refuse_large(weights)
    folder = staging_folder()
    # The stored name is ours, but a pickle must stay recognisable as one.
    suffix = Path(weights.name or "").suffix.lower()
    staged = f"{folder}/{WEIGHTS_FILE if suffix == '.safetensors' else 'upload.bin'}"
    files = {staged: weights, f"{folder}/{CARD_FILE}": card}
    return staged_submit(user=user, kind=KIND, payload={"staged": staged}, files=files)


def model_install_execute(*, payload: dict[str, Any], user: Any) -> GenerativeModel:
    """Do what an `install_model` job says (for the worker); what was kept aside for it stays there."""
    staged = payload.get("staged")
    if not staged:
        return model_install(path=str(payload["path"]), user=user, move=bool(payload.get("move")))
    card = str(Path(staged).with_name(CARD_FILE))
    path = local_copy(str(staged), beside=card)
    return model_install(path=path, user=user, max_bytes=settings.MODEL_MAX_BYTES)


def model_upload_forget(*, payload: Mapping[str, Any]) -> None:
    """Clear away what was uploaded for an `install_model` job and kept aside for it."""
    if staged := payload.get("staged"):
        staged_forget([str(staged), str(Path(staged).with_name(CARD_FILE))])


@transaction.atomic
def model_offer(*, user: Any, model: GenerativeModel, offered: bool, because: str = "") -> GenerativeModel:
    """Offer a model in the form, or withdraw it; what it made stays, and it stays readable.

    `because` stands in the audit trail, where it was no person's own decision.
    """
    require(user, "manage", model)
    locked = GenerativeModel.objects.select_for_update().get(pk=model.pk)
    return offer_record(locked, user=user, offered=offered, because=because)


def _refuse_other_weights(checkpoint: Checkpoint, description: Description) -> None:
    same_name = GenerativeModel.objects.filter(name=description.name, version=description.version)
    if same_name.exclude(weights_sha256=checkpoint.sha256).exists():
        raise Conflict(
            f"Version {description.version} of {description.name} is installed with other weights. A version "
            "never changes, since results name it: give the new weights a new version.",
            code="version_taken",
        )


@transaction.atomic
def _record(
    checkpoint: Checkpoint, description: Description, companions: Companions, stored: str, user: Any
) -> GenerativeModel:
    values = {
        **vars(description),
        "measures": {**description.measures, **companions.measures},
        "companions": companions.listing(),
        "weights_path": stored,
        "weights_size": checkpoint.size,
        "card": checkpoint.card,
        "recipe": checkpoint.recipe,
    }
    known = GenerativeModel.objects.select_for_update().filter(weights_sha256=checkpoint.sha256).first()
    if known is None:
        model = GenerativeModel.objects.create(
            **values, weights_sha256=checkpoint.sha256, installed_by=user, parameters=checkpoint.parameters
        )
        detail = {"version": model.version, "sha256": model.weights_sha256, "bytes": model.weights_size}
        audit_record(actor=user, action="model.installed", obj=model, detail=detail)
        return model
    return description_record(known, values, user=user)
