"""For /healthz: whether the models that the form offers have their weights."""

from typing import Any

from django.core.files.storage import default_storage

from webapp.registry.models import GenerativeModel


def model_health() -> dict[str, Any]:
    """The offered models by name and version; "empty" where none is installed yet."""
    offered = list(GenerativeModel.objects.filter(is_active=True).order_by("name", "version"))
    if not offered:
        return {"ok": True, "state": "empty", "offered": []}
    without = [
        f"{model.name} {model.version}" for model in offered if not default_storage.exists(model.weights_path)
    ]
    return {
        "ok": not without,
        "offered": [f"{model.name} {model.version}" for model in offered],
        "without_weights": without,
    }
