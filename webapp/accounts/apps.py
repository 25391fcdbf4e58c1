"""The accounts app."""

from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Registers the app, its rules, and what signing in and out writes into the audit trail."""

    name = "webapp.accounts"
    label = "accounts"
    verbose_name = _("People")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """State the rules and listen for signing in and out."""
        import_module("webapp.accounts.rules")
        import_module("webapp.accounts.signals")
