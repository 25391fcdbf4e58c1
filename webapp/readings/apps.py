"""The readings app."""

from django.apps import AppConfig


class ReadingsConfig(AppConfig):
    """Registers the app under the label `readings`."""

    name = "webapp.readings"
    label = "readings"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """State the permission rules of reader studies, and which of their tables are only added to."""
        from webapp.core import append_only
        from webapp.readings import rules  # noqa: F401
        from webapp.readings.append_only import GUARDS

        append_only.register(*GUARDS)
