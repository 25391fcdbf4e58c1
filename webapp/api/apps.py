"""The api app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """Registers the app under the label `api`."""

    name = "webapp.api"
    label = "api"
    default_auto_field = "django.db.models.BigAutoField"
