"""Rows about generative models."""

from django.core.files.uploadedfile import SimpleUploadedFile

from tests import factories
from tests.integration.permissions.rows import Row
from webapp.registry.models import GenerativeModel

OBJECTS = {
    "models": ("registry.GenerativeModel", lambda _: GenerativeModel),
    "model": ("registry.GenerativeModel", lambda _: factories.generative_model()),
    "withdrawn model": ("registry.GenerativeModel", lambda _: factories.generative_model(is_active=False)),
}

READERS = "clinician researcher study_lead data_manager"
NEW = {"weights": SimpleUploadedFile("model.safetensors", b"{}")}


def page(model: GenerativeModel) -> tuple[str, ...]:
    """The model's own address."""
    return (model.name,)


def version(model: GenerativeModel) -> tuple[str, ...]:
    """The address of one version."""
    return (model.name, model.version)


ROWS = [
    Row(obj="models", action="view", may=READERS, asks="GET registry:model-list"),
    Row(obj="models", action="create", may="data_manager", sees=READERS),
    Row(obj="models", action="install", may="data_manager", sees=READERS, asks="GET registry:model-install"),
    Row(obj="model", action="view", may=READERS, asks="GET registry:model-detail", args=page),
    Row(obj="withdrawn model", action="view", may=READERS, asks="GET registry:model-detail", args=page),
    Row(
        obj="model",
        action="manage",
        may="data_manager",
        sees=READERS,
        asks="POST registry:model-offered",
        args=version,
    ),
    Row(obj="model", action="delete", may="data_manager", sees=READERS),
    Row(obj="model", action="request", may="clinician researcher", sees=READERS),
    Row(obj="withdrawn model", action="request", sees=READERS),
]
