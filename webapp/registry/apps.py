"""The registry app."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """Registers the app under the label `registry`, its permission rules and its part of /healthz."""

    name = "webapp.registry"
    label = "registry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """State who may do what, and whether the models are well."""
        from webapp.core import health
        from webapp.registry import rules  # noqa: F401
        from webapp.registry.health import model_health

        health.register("model", model_health)
