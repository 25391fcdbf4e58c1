"""The registry app."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """Registers the app under the label `registry`, and its permission rules."""

    name = "webapp.registry"
    label = "registry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """State who may do what."""
        from webapp.registry import rules  # noqa: F401
