"""The core app, and Django admin with the site's own rules."""

from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class CoreConfig(AppConfig):
    """Registers the app and its rules."""

    name = "webapp.core"
    label = "core"
    verbose_name = _("Audit trail")
    default = True
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """State the rules, watch the base parts' health, keep the audit trail's triggers in place."""
        import_module("webapp.core.rules")
        import_module("webapp.core.health")
        append_only = import_module("webapp.core.append_only")
        post_migrate.connect(
            append_only.reinstall_after_migrate, sender=self, dispatch_uid="core.append_only"
        )


class RecordsConfig(admin_apps.AdminConfig):
    """Django admin, through `RecordsSite`."""

    default = False
    default_site = "webapp.core.records.RecordsSite"
