"""Datasets and what is in them in the administration: looked at there, changed on their own pages.

Pixels, pseudonyms and reports are read-only: the services keep files, hashes and records together,
and an edit by hand would part them.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from webapp.cases.models import Case, Dataset, DatasetShare, ImportEntry, ImportRun, Instance, Mask
from webapp.core.admin import AuditedAdmin, ReadOnlyAdmin


class ShareInline(admin.TabularInline):
    """Who a dataset is shared with."""

    model = DatasetShare
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(Dataset)
class DatasetAdmin(AuditedAdmin):
    """A dataset's description, owner and shares."""

    list_display = ("name", "owner", "licence", "version", "created_at")
    search_fields = ("name", "description", "licence")
    autocomplete_fields = ("owner",)
    readonly_fields = ("id", "slug", "version", "created_at", "updated_at")
    inlines = (ShareInline,)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deleting belongs to the dataset's page, which removes the files as well."""
        return False


@admin.register(Case)
class CaseAdmin(ReadOnlyAdmin):
    """What is known about each case."""

    list_display = ("name", "dataset", "owner", "modality", "slice_count", "source_format", "is_synthetic")
    list_filter = ("modality", "source_format", "is_synthetic", "dataset")
    search_fields = ("name", "patient", "series_description", "study_uid", "series_uid")
    exclude = ("stack",)


@admin.register(Instance)
class InstanceAdmin(ReadOnlyAdmin):
    """The stored files."""

    list_display = ("sop_instance_uid", "case", "number", "frame_count", "transfer_syntax_uid", "size")
    search_fields = ("sop_instance_uid", "case__name", "pixel_sha256")
    list_select_related = ("case",)
    exclude = ("frame_index",)


@admin.register(Mask)
class MaskAdmin(ReadOnlyAdmin):
    """The masks and their versions."""

    list_display = ("name", "case", "version", "origin", "created_by", "created_at")
    list_filter = ("origin",)
    search_fields = ("name", "case__name")
    list_select_related = ("case", "created_by")


@admin.register(ImportRun)
class ImportRunAdmin(ReadOnlyAdmin):
    """The imports and their counts."""

    list_display = ("source_name", "dataset", "owner", "state", "taken", "changed", "duplicate", "refused")
    list_filter = ("state", "dataset")
    search_fields = ("source_name",)


@admin.register(ImportEntry)
class ImportEntryAdmin(ReadOnlyAdmin):
    """What became of each file."""

    list_display = ("path", "outcome", "reason", "run", "case")
    list_filter = ("outcome",)
    search_fields = ("path", "reason")
    list_select_related = ("run", "run__dataset", "case")


@admin.register(DatasetShare)
class DatasetShareAdmin(AuditedAdmin):
    """Who sees which dataset."""

    list_display = ("dataset", "user", "level")
    list_filter = ("level",)
    search_fields = ("dataset__name", "user__username")
    autocomplete_fields = ("dataset", "user")
