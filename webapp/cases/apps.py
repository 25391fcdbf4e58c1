"""The cases app."""

from django.apps import AppConfig


class CasesConfig(AppConfig):
    """Registers the app under the label `cases`."""

    name = "webapp.cases"
    label = "cases"
    default_auto_field = "django.db.models.BigAutoField"
