"""The core app."""

from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CoreConfig(AppConfig):
    """Registers the app and its rules."""

    name = "webapp.core"
    label = "core"
    verbose_name = _("Audit trail")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """State the rules."""
        import_module("webapp.core.rules")
