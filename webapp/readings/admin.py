"""Reader studies in Django admin: to be looked at, never changed, and without what would unblind them.

Administrators look after people, not studies. Which arm an item is of stays hidden here until its
study is unblinded, and afterwards it can be read but not written.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.core.admin import ReadOnlyAdmin
from webapp.readings.models import Answer, ItemTruth, Place, PlaceEvent, Preparation, Reading


@admin.register(Reading)
class ReadingAdmin(ReadOnlyAdmin):
    """Which studies there are, whose, and how they stand."""

    list_display = ("created_at", "title", "version", "owner", "state", "launched_at", "unblinded_at")
    list_filter = ("state", "is_simulated")
    search_fields = ("id", "title", "owner__username", "protocol_sha256")


@admin.register(Place)
class PlaceAdmin(ReadOnlyAdmin):
    """Who reads in which study."""

    list_display = ("created_at", "reading", "number", "user", "state", "started_at", "finished_at")
    list_filter = ("state",)
    search_fields = ("reading__title", "user__username")


@admin.register(PlaceEvent)
class PlaceEventAdmin(ReadOnlyAdmin):
    """When readers began, paused and finished."""

    list_display = ("at", "place", "kind")
    list_filter = ("kind",)
    search_fields = ("place__reading__title", "place__user__username")


@admin.register(Answer)
class AnswerAdmin(ReadOnlyAdmin):
    """That an answer was given, and when."""

    list_display = ("at", "assignment", "question", "revision", "seconds")
    search_fields = ("assignment__place__reading__title", "assignment__place__user__username")


class _AfterUnblinding(ReadOnlyAdmin):
    """Rows of studies that are unblinded; of others an administrator sees none."""

    study = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """What was revealed already."""
        return super().get_queryset(request).filter(**{f"{self.study}__state": Reading.State.UNBLINDED})


@admin.register(ItemTruth)
class ItemTruthAdmin(_AfterUnblinding):
    """Which arm an item was of."""

    study = "item__reading"
    list_display = ("item", "arm", "control", "stratum", "patient")
    list_filter = ("arm", "control")
    search_fields = ("item__reading__title",)


@admin.register(Preparation)
class PreparationAdmin(_AfterUnblinding):
    """What harmonising did and what the leak audit found."""

    study = "reading"
    list_display = ("reading", "is_blocked", "needs_acceptance", "accepted_by", "accepted_at")
    search_fields = ("reading__title",)
