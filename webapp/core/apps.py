"""The core app."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Registers the app under the label `core`."""

    name = "webapp.core"
    label = "core"
    default_auto_field = "django.db.models.BigAutoField"
