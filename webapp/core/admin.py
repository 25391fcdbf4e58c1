"""The audit trail in Django admin, and the bases that every app's admin pages stand on."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from webapp.core.models import AuditEvent
from webapp.core.services import audit_record
from webapp.core.words import action_words


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows; never adds, changes or deletes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class AuditedAdmin(admin.ModelAdmin):
    """Writes every change made in Django admin into the audit trail as well."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Added by hand."""
        audit_record(actor=request.user, action="record.added", obj=obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Changed by hand; which fields, not their values."""
        entries = [entry for entry in message if isinstance(entry, dict)]
        fields = [name for entry in entries for name in entry.get("changed", {}).get("fields", [])]
        parts = [
            f"{deed} {part['name']} {part['object']}"
            for entry in entries
            for deed, part in entry.items()
            if "object" in part
        ]
        detail = {"fields": ", ".join(fields), "parts": ", ".join(parts)}
        audit_record(actor=request.user, action="record.changed", obj=obj, detail=detail)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Deleted by hand."""
        for obj in queryset:
            audit_record(actor=request.user, action="record.deleted", obj=obj)
        return super().log_deletions(request, queryset)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Who did what to which object."""

    list_display = ("at", "actor_name", "what", "object_label", "object_type")
    list_filter = ("action", "object_type")
    search_fields = ("actor_name", "object_label", "object_id", "action")
    date_hierarchy = "at"

    @admin.display(description="what was done", ordering="action")
    def what(self, event: AuditEvent) -> str:
        """The action in words."""
        return action_words(event.action)
