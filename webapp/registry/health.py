"""For /healthz: whether the models that the form offers have their weights."""

from typing import Any

from django.core.files.storage import default_storage

from webapp.registry.models import Adapter, GenerativeModel


def model_health() -> dict[str, Any]:
    """The offered models and adapters by name and version; "empty" where no model is installed yet."""
    offered = list(GenerativeModel.objects.filter(is_active=True).order_by("name", "version"))
    if not offered:
        return {"ok": True, "state": "empty", "offered": []}
    adapters = list(Adapter.objects.filter(is_active=True, base__is_active=True).order_by("name", "version"))
    files = [(f"{one.name} {one.version}", one.weights_path) for one in offered]
    files += [(f"{one.name} {one.version}", one.weights_path) for one in adapters]
    without = [name for name, path in files if not default_storage.exists(path)]
    return {
        "ok": not without,
        "offered": [f"{model.name} {model.version}" for model in offered],
        "adapters": [f"{adapter.name} {adapter.version}" for adapter in adapters],
        "without_weights": without,
    }
