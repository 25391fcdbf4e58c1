"""Generative models in the administration: readable; weights and recipe cannot be edited."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from webapp.registry.models import GenerativeModel


@admin.register(GenerativeModel)
class GenerativeModelAdmin(admin.ModelAdmin):
    """Read-only: models come in through the checks of the installation, and are withdrawn on their page."""

    list_display = ("title", "name", "version", "backbone", "licence", "is_active", "created_at")
    list_filter = ("is_active", "backbone")
    search_fields = ("name", "title", "weights_sha256")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds one by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody edits one."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Results name their model: it is withdrawn, not deleted."""
        return False
