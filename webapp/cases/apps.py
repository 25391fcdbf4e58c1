"""The cases app."""

from django.apps import AppConfig


class CasesConfig(AppConfig):
    """Registers the app under the label `cases`."""

    name = "webapp.cases"
    label = "cases"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the app's object rules."""
        from webapp.cases import rules  # noqa: F401  registering is what importing it does
