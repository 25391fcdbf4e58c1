"""The api app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """Registers the app under the label `api`, and what its schema says of signing in."""

    name = "webapp.api"
    label = "api"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the schema's extensions known."""
        from webapp.api import schema  # noqa: F401
