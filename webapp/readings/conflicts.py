"""Who knows too much to read: owners of results in the study, and people who may look into its datasets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.cases.models import Case, Dataset
from webapp.cases.rules import may_browse, share_rank
from webapp.core.errors import Conflict
from webapp.jobs.models import Result
from webapp.readings.models import ItemTruth, Place, Reading


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What one person could know of the items of a study."""

    owns_results: int  # synthetic images of the study that the person asked for
    datasets: tuple[str, ...]  # names of datasets that the person may look into, with cases shown or changed


def knowledge_of(person: Any, reading: Reading) -> Knowledge:
    """What a person could know of the items that are in the study now."""
    truths = ItemTruth.objects.filter(item__reading=reading)
    own = truths.filter(result__request__owner=person).count()
    used = Dataset.objects.filter(pk__in=_shown(truths).values("dataset"))
    seen = [used_one for used_one in used.order_by("name") if _may_look_into(person, used_one)]
    return Knowledge(owns_results=own, datasets=tuple(dataset.name for dataset in seen))


def _shown(truths: QuerySet[ItemTruth]) -> QuerySet[Case]:
    """The cases of the items, and those that counterfactuals among them were made of, however often."""
    found: set[UUID] = set()
    new = set(truths.filter(case__isnull=False).values_list("case", flat=True))
    new |= set(truths.filter(result__isnull=False).values_list("result__case", flat=True))
    while new:
        found |= new
        sources = Case.objects.filter(pk__in=new).values_list("derived_from_id", flat=True)
        new = {pk for pk in sources if pk is not None} - found
    return Case.objects.filter(pk__in=found, dataset__isnull=False)


def _may_look_into(person: Any, dataset: Dataset) -> bool:
    return may_browse(person) and (share_rank(person, dataset) >= 1 or person.is_superuser)


def readers_of(reading: Reading) -> list[User]:
    """Everybody who has a place in the study and has not left it."""
    places = Place.objects.filter(reading=reading, is_auditor=False).exclude(state=Place.State.WITHDRAWN)
    return [place.user for place in places.select_related("user").prefetch_related("user__role_grants")]


def refuse_results_of_readers(reading: Reading, results: Iterable[Result]) -> None:
    """Raise Conflict where somebody invited to read made one of these results."""
    readers = {reader.pk: reader for reader in readers_of(reading)}
    for result in results:
        reader = readers.get(result.request.owner_id)
        if reader is not None:
            raise Conflict(
                _(
                    "%(reader)s is invited to read and made one of these images. Nothing was added. "
                    "Leave the image out, or take %(reader)s off the list of readers."
                )
                % {"reader": reader}
            )


def places_unconfirmed(reading: Reading) -> list[tuple[Place, list[str]]]:
    """Readers with the datasets that they may look into and that the lead has not confirmed yet."""
    found = []
    places = Place.objects.filter(reading=reading, is_auditor=False).exclude(state=Place.State.WITHDRAWN)
    for place in places.select_related("user"):
        new = [name for name in knowledge_of(place.user, reading).datasets if name not in place.may_view]
        if new:
            found.append((place, new))
    return found
