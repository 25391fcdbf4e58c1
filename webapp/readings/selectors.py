"""Reading studies as their lead, and the list of both kinds of study for everybody."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from webapp.core.errors import NotVisible
from webapp.core.permissions import can
from webapp.jobs.models import Result
from webapp.readings.drafts import settled
from webapp.readings.models import ItemTruth, Place, Reading
from webapp.readings.rules import may_lead, may_read, usable_results


def reading_list_for(*, user: Any) -> QuerySet[Reading]:
    """The studies that the person leads, newest first, each with `item_count` and `reader_count`."""
    if not may_lead(user):
        return Reading.objects.none()
    readings = Reading.objects.filter(owner=user).annotate(
        item_count=Count("items", distinct=True),
        reader_count=Count("places", filter=Q(places__is_auditor=False), distinct=True),
    )
    return readings.order_by("-created_at")


def place_list_for(*, user: Any) -> QuerySet[Place]:
    """The launched studies in which the person has a place, newest first."""
    if not may_read(user):
        return Place.objects.none()
    return (
        Place.objects.filter(user=user, is_auditor=False, reading__state__in=Reading.LAUNCHED)
        .select_related("reading__owner")
        .annotate(
            total=Count("assignments", distinct=True),
            done=Count("assignments", filter=Q(assignments__completed_at__isnull=False), distinct=True),
        )
        .order_by("-reading__launched_at")
    )


def reading_get_for(*, user: Any, id: UUID | str) -> Reading:
    """One study of a lead. Raises NotVisible where there is none that they may see."""
    reading = Reading.objects.select_related("owner", "replaces").filter(pk=id).first()
    if reading is None or not can(user, "view", reading):
        raise NotVisible()
    return settled(reading)


def place_get_for_lead(*, user: Any, reading: Reading, id: UUID | str) -> Place:
    """One reader's place in a study of the lead. Raises NotVisible where there is none."""
    place = Place.objects.filter(reading=reading, pk=id, is_auditor=False).select_related("user").first()
    if place is None or not can(user, "view", reading):
        raise NotVisible()
    return place


def truth_list_for(*, user: Any, reading: Reading) -> QuerySet[ItemTruth]:
    """What the lead knows of every item, in the order in which they were added."""
    if not can(user, "view", reading):
        raise NotVisible()
    return (
        ItemTruth.objects.filter(item__reading=reading)
        .select_related("item", "case__dataset", "result")
        .order_by("arm", "created_at", "pk")
    )


def result_choices_for(*, user: Any, decision: str = "", search: str = "") -> QuerySet[Result]:
    """Synthetic results that a lead may use: their own and those that their owners offered."""
    results = Result.objects.filter(usable_results(user)).select_related(
        "case", "request__model", "request__owner", "request__case"
    )
    if decision:
        results = results.filter(decision=decision)
    if search:
        results = results.filter(Q(case__name__icontains=search) | Q(request__model__title__icontains=search))
    return results
