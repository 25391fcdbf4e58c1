"""Rows about generative models."""

from django.core.files.uploadedfile import SimpleUploadedFile

from tests import factories
from tests.integration.permissions.rows import Row
from webapp.registry.models import Adapter, GenerativeModel

OBJECTS = {
    "models": ("registry.GenerativeModel", lambda _: GenerativeModel),
    "model": ("registry.GenerativeModel", lambda _: factories.generative_model()),
    "withdrawn model": ("registry.GenerativeModel", lambda _: factories.generative_model(is_active=False)),
    "adapters": ("registry.Adapter", lambda _: Adapter),
    "adapter": ("registry.Adapter", lambda _: factories.adapter()),
    "withdrawn adapter": ("registry.Adapter", lambda _: factories.adapter(is_active=False)),
    "adapter of a withdrawn model": (
        "registry.Adapter",
        lambda _: factories.adapter(base=factories.generative_model(is_active=False)),
    ),
}

READERS = "clinician researcher study_lead data_manager"
NEW = {"weights": SimpleUploadedFile("model.safetensors", b"{}")}


def page(model: GenerativeModel | Adapter) -> tuple[str, ...]:
    """The model's own address."""
    return (model.name,)


def version(model: GenerativeModel | Adapter) -> tuple[str, ...]:
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
    Row(obj="adapters", action="view", may=READERS),
    Row(obj="adapters", action="create", may="data_manager", sees=READERS),
    Row(
        obj="adapters",
        action="install",
        may="data_manager",
        sees=READERS,
        asks="GET registry:adapter-install",
    ),
    Row(obj="adapter", action="view", may=READERS, asks="GET registry:adapter-detail", args=page),
    Row(obj="withdrawn adapter", action="view", may=READERS, asks="GET registry:adapter-detail", args=page),
    Row(
        obj="adapter",
        action="manage",
        may="data_manager",
        sees=READERS,
        asks="POST registry:adapter-offered",
        args=version,
    ),
    Row(obj="adapter", action="delete", may="data_manager", sees=READERS),
    Row(obj="adapter", action="request", may="clinician researcher", sees=READERS),
    Row(obj="withdrawn adapter", action="request", sees=READERS),
    Row(obj="adapter of a withdrawn model", action="request", sees=READERS),
]
