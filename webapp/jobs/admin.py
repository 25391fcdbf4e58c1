"""Requests, jobs, results and workers in Django admin: to be looked at; only quotas can be changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from webapp.core.admin import AuditedAdmin, ReadOnlyAdmin
from webapp.jobs.models import (
    Job,
    JobEvent,
    Quota,
    Result,
    SeverityGrid,
    SynthesisRequest,
    Uncertainty,
    WorkerHeartbeat,
)
from webapp.jobs.models_edits import Edit, Edited, EditStrip


class JobEventInline(admin.TabularInline):
    """A job's history on its page."""

    model = JobEvent
    extra = 0
    can_delete = False
    fields = readonly_fields = ("sequence", "state", "note", "at")

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        """History writes itself."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        """Nor is it changed."""
        return False


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """What each job is doing, and why it failed."""

    list_display = ("created_at", "kind", "owner", "state", "reason", "attempts", "kills", "lease_owner")
    list_filter = ("state", "queue", "kind", "reason")
    search_fields = ("id", "owner__username")
    inlines = [JobEventInline]


@admin.register(SynthesisRequest)
class SynthesisRequestAdmin(ReadOnlyAdmin):
    """What was asked for."""

    list_display = ("created_at", "owner", "model", "case", "count", "seed")
    list_filter = ("model",)
    search_fields = ("id", "owner__username")


@admin.register(Result)
class ResultAdmin(ReadOnlyAdmin):
    """What came of it."""

    list_display = ("created_at", "request", "index", "case", "decision")
    list_filter = ("decision",)
    search_fields = ("id", "pixel_sha256")


@admin.register(Uncertainty)
class UncertaintyAdmin(ReadOnlyAdmin):
    """How far each pixel of a result may still differ."""

    list_display = ("result", "rows", "columns")


@admin.register(SeverityGrid)
class SeverityGridAdmin(ReadOnlyAdmin):
    """Requests that ask for every severity of the same mask and seed."""

    list_display = ("created_at", "owner")


@admin.register(Edit)
class EditAdmin(ReadOnlyAdmin):
    """Which slice a counterfactual was asked for, and in which strip."""

    list_display = ("request", "source", "strip")


@admin.register(Edited)
class EditedAdmin(ReadOnlyAdmin):
    """How far a counterfactual is from its original."""

    list_display = ("result",)


@admin.register(EditStrip)
class EditStripAdmin(ReadOnlyAdmin):
    """Counterfactuals that were asked for side by side."""

    list_display = ("created_at", "owner", "along")


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(ReadOnlyAdmin):
    """Which workers are alive."""

    list_display = ("worker", "queue", "device", "seen_at", "job_id")
    list_filter = ("queue",)


@admin.register(Quota)
class QuotaAdmin(AuditedAdmin):
    """How many unfinished jobs somebody may have, where it differs from the common limit."""

    list_display = ("user", "active_jobs")
    search_fields = ("user__username",)
