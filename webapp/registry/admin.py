"""Generative models and adapters in the administration: readable; weights and recipe cannot be edited."""

from django.contrib import admin

from webapp.core.admin import ReadOnlyAdmin
from webapp.registry.models import Adapter, GenerativeModel


@admin.register(GenerativeModel)
class GenerativeModelAdmin(ReadOnlyAdmin):
    """Read-only: models come in through the checks of the installation, and are withdrawn on their page."""

    list_display = ("title", "name", "version", "backbone", "licence", "is_active", "created_at")
    list_filter = ("is_active", "backbone")
    search_fields = ("name", "title", "weights_sha256")


@admin.register(Adapter)
class AdapterAdmin(ReadOnlyAdmin):
    """Read-only, as models are."""

    list_display = ("title", "name", "version", "base", "rank", "licence", "is_active", "created_at")
    list_filter = ("is_active", "base")
    search_fields = ("name", "title", "weights_sha256")
