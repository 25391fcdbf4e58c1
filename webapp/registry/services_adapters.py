"""Installing, offering and withdrawing adapters of the models that are installed."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction

from synthesis.imaging.adapted import ADAPTED, adapted_recipe
from webapp.core import work
from webapp.core.errors import Conflict
from webapp.core.permissions import require
from webapp.core.services import audit_record
from webapp.registry.adapter_files import (
    CONDITIONING_FILE,
    CONFIG_FILE,
    RECIPE_FILE,
    WEIGHTS_FILE,
    AdapterFiles,
    config_of,
    read_adapter,
)
from webapp.registry.installing import (
    description_record,
    offer_record,
    refuse_large,
    staged_forget,
    staged_submit,
    staging_folder,
    weights_store,
)
from webapp.registry.models import Adapter, GenerativeModel
from webapp.registry.recipes import AdapterDescription, describe_adapter
from webapp.registry.selectors import local_copy
from webapp.registry.weights import CARD_FILE, NotAModel

KIND = "install_adapter"
DIGEST = re.compile(r"[0-9a-f]{64}\Z")
IMMUTABLE = ("rank", "alpha", "layers", "conditioning_sha256")
FILES = (WEIGHTS_FILE, CONFIG_FILE, RECIPE_FILE, CONDITIONING_FILE, CARD_FILE)
NEEDS_ABOUT = (
    "recipe.json is not there, so it is not known to which model this adapter belongs. Say so in a YAML file "
    "(semblance.yaml in its folder, or --about FILE): base (a model's name and version, or the SHA-256 of "
    "its weights), name, version, title and licence. Nothing was installed."
)


def adapter_install(*, path: Path | str, user: Any = None, about: Mapping[str, Any] | None = None) -> Adapter:
    """Install the adapter in the folder `path`, of a model that is installed, and offer it.

    `about`, or semblance.yaml in the folder, says what an adapter from elsewhere does not: base, name,
    version, title, licence, and `component` where its layers' names lack the part of the network that they
    are in (such as unet). The same weights again change nothing but what is said about them. `user` is None
    where the site installs what it ships with.

    Raises:
        NotAModel: in a plain sentence, where the files cannot be installed or the model is not here.
        Conflict: where this name and version stand for something else already.
        Http404, PermissionDenied: where the person may not install models.
    """
    if user is not None:
        require(user, "install", Adapter)
    files = read_adapter(path, max_bytes=settings.MODEL_MAX_BYTES)
    told = {**files.about, **(about or {})}
    recipe = {**told, **(files.recipe or {})}
    base = _base_of(files.recipe, told)
    recipe["base"] = {"name": base.name, "weights_sha256": base.weights_sha256}
    description = describe_adapter(recipe, files.card, base=base.recipe)
    _refuse_other(files, description, recipe, base)
    stored = _store(files, recipe, base)
    try:
        return _record(files, description, recipe, base, stored, user)
    except IntegrityError:  # somebody installed it in the same moment
        _refuse_other(files, description, recipe, base)
        return _record(files, description, recipe, base, stored, user)


def adapter_install_submit(*, user: Any, path: Path | str, about: Mapping[str, Any] | None = None) -> Any:
    """Have a worker install the adapter in a folder that the worker can read; the job is returned."""
    require(user, "install", Adapter)
    return work.submit(kind=KIND, owner=user, payload={"path": str(path), "about": dict(about or {})})


def adapter_upload_submit(
    *,
    user: Any,
    weights: UploadedFile,
    config: UploadedFile,
    recipe: UploadedFile,
    conditioning: UploadedFile | None = None,
    card: UploadedFile | None = None,
) -> Any:
    """Keep an uploaded adapter aside and have a worker install it; the job is returned."""
    require(user, "install", Adapter)
    given = dict(zip(FILES, (weights, config, recipe, conditioning, card), strict=True))
    refuse_large(*given.values())
    folder = staging_folder()
    files = {f"{folder}/{name}": file for name, file in given.items()}
    return staged_submit(user=user, kind=KIND, payload={"staged": folder}, files=files)


def adapter_install_execute(*, payload: dict[str, Any], user: Any) -> Adapter:
    """Do what an `install_adapter` job says (for the worker); what was kept aside for it stays there."""
    staged = payload.get("staged")
    if not staged:
        return adapter_install(path=str(payload["path"]), user=user, about=payload.get("about"))
    names = [f"{staged}/{name}" for name in FILES]
    places = [local_copy(name) for name in names if default_storage.exists(name)]
    folder = places[0].parent if places else Path(staged)
    return adapter_install(path=folder, user=user)


def adapter_upload_forget(*, payload: Mapping[str, Any]) -> None:
    """Clear away what was uploaded for an `install_adapter` job and kept aside for it."""
    if staged := payload.get("staged"):
        staged_forget(f"{staged}/{name}" for name in FILES)


@transaction.atomic
def adapter_offer(*, user: Any, adapter: Adapter, offered: bool, because: str = "") -> Adapter:
    """Offer an adapter in the form, or withdraw it; what it made stays, and it stays readable.

    `because` stands in the audit trail, where it was no person's own decision.
    """
    require(user, "manage", adapter)
    locked = Adapter.objects.select_for_update().get(pk=adapter.pk)
    return offer_record(locked, user=user, offered=offered, because=because)


def _base_of(recipe: Mapping[str, Any] | None, about: Mapping[str, Any]) -> GenerativeModel:
    """The installed model that an adapter belongs to; its own recipe decides where it names one."""
    own = (recipe or {}).get("base")
    digest = own.get("weights_sha256") if isinstance(own, dict) else None
    if isinstance(digest, str) and digest:
        name = str(own.get("name") or "a model") if isinstance(own, dict) else "a model"
        return _installed(
            GenerativeModel.objects.filter(weights_sha256=digest),
            f"{name[:80]} with the weights {digest[:12]}…",
        )
    stated = about.get("base")
    if isinstance(stated, dict):
        stated = f"{stated.get('name', '')} {stated.get('version', '')}"
    if not isinstance(stated, str) or not stated.strip():
        raise NotAModel(NEEDS_ABOUT)
    if DIGEST.match(stated.strip()):
        return _installed(GenerativeModel.objects.filter(weights_sha256=stated.strip()), stated.strip())
    name, _, version = stated.strip().partition(" ")
    found = GenerativeModel.objects.filter(name=name)
    return _installed(found.filter(version=version.strip()) if version else found, stated.strip()[:120])


def _installed(found: Any, words: str) -> GenerativeModel:
    models: list[GenerativeModel] = list(found[:2])
    if not models:
        raise NotAModel(
            f"This adapter belongs to {words}, which is not installed here. Install that model first; "
            "nothing was installed.",
            code="base_missing",
        )
    if len(models) > 1:
        raise NotAModel(f"There are several versions of {words} here; name one, such as “{models[0].name} "
                        f"{models[0].version}”. Nothing was installed.")  # fmt: skip
    return models[0]


def _refuse_other(
    files: AdapterFiles, description: AdapterDescription, recipe: Mapping[str, Any], base: GenerativeModel
) -> None:
    """Raise Conflict where name and version, or these weights, stand for something else already."""
    same_name = Adapter.objects.filter(name=description.name, version=description.version)
    if same_name.exclude(weights_sha256=files.sha256, base=base).exists():
        raise Conflict(
            f"Version {description.version} of {description.name} is installed with other weights or for "
            "another model. A version never changes, since results name it: give this one a new version.",
            code="version_taken",
        )
    known = Adapter.objects.filter(weights_sha256=files.sha256, base=base).first()
    if known is not None:
        _refuse_changed(known, files, description, recipe)


def _refuse_changed(
    known: Adapter, files: AdapterFiles, description: AdapterDescription, recipe: Mapping[str, Any]
) -> None:
    """Raise Conflict where these weights are known, and what results name of them would be another."""
    installed = f"These weights are installed as {known.name} {known.version}"
    if any(getattr(known, name) != getattr(files, name) for name in IMMUTABLE):
        raise Conflict(
            f"{installed} with rank {known.rank} and alpha {known.alpha:g}. How an adapter is laid on never "
            "changes, since results name it.",
            code="version_taken",
        )
    if (known.name, known.version) != (description.name, description.version):
        raise Conflict(
            f"{installed}. They keep this name and version, since results name them; nothing was changed.",
            code="version_taken",
        )
    before, after = (adapted_recipe(known.base.recipe, one) for one in (known.recipe, recipe))
    changed = [key for key in ADAPTED if before.get(key) != after.get(key)]
    if changed:
        raise Conflict(
            f"{installed} with another {', '.join(changed)} in the recipe. What a version draws never "
            "changes, since results name it; nothing was changed.",
            code="version_taken",
        )


def _store(files: AdapterFiles, recipe: Mapping[str, Any], base: GenerativeModel) -> str:
    """Keep the weights under their hash, once, with settings and recipe; the weights' stored name."""
    folder = f"adapters/{files.sha256}/{base.weights_sha256}"
    config = config_of(rank=files.rank, alpha=files.alpha, layers=files.layers)
    _put(f"{folder}/{CONFIG_FILE}", json.dumps(config, indent=1).encode())
    _put(f"{folder}/{RECIPE_FILE}", json.dumps(recipe, indent=1, sort_keys=True).encode())
    if files.conditioning is not None:
        _put(f"{folder}/{CONDITIONING_FILE}", files.conditioning.read_bytes())
    return weights_store(files.weights, f"{folder}/{WEIGHTS_FILE}", size=files.size)


def _put(name: str, content: bytes) -> None:
    """The file with this content, whatever was there before."""
    if default_storage.exists(name):
        with default_storage.open(name, "rb") as file:
            if file.read() == content:
                return
        default_storage.delete(name)
    default_storage.save(name, ContentFile(content))


@transaction.atomic
def _record(
    files: AdapterFiles,
    description: AdapterDescription,
    recipe: Mapping[str, Any],
    base: GenerativeModel,
    stored: str,
    user: Any,
) -> Adapter:
    values = {
        **vars(description),
        "weights_path": stored,
        "weights_size": files.size,
        "card": files.card,
        "recipe": dict(recipe),
    }
    known = Adapter.objects.select_for_update().filter(weights_sha256=files.sha256, base=base).first()
    if known is None:
        adapter = Adapter.objects.create(
            **values,
            base=base,
            weights_sha256=files.sha256,
            rank=files.rank,
            alpha=files.alpha,
            layers=files.layers,
            conditioning_sha256=files.conditioning_sha256,
            parameters=files.parameters,
            installed_by=user,
        )
        detail = {"version": adapter.version, "sha256": files.sha256, "model": str(base)}
        audit_record(actor=user, action="adapter.installed", obj=adapter, detail=detail)
        return adapter
    _refuse_changed(known, files, description, recipe)
    return description_record(known, values, user=user)
