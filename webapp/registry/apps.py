"""The registry app."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """Registers the app under the label `registry`."""

    name = "webapp.registry"
    label = "registry"
    default_auto_field = "django.db.models.BigAutoField"
