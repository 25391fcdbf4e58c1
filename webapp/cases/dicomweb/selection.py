"""Finds the stored objects behind a DICOMweb address, among those that the person may see."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import NotFound

from webapp.cases.models import Case, Instance
from webapp.cases.rules import visible_cases
from webapp.core.permissions import require

NOTHING = "There is nothing at this address, or it is not shared with you."


def visible(user: Any) -> QuerySet[Case]:
    """Every case that the person may see."""
    return Case.objects.filter(visible_cases(user))


def cases_at(user: Any, *, study: str, series: str | None = None) -> QuerySet[Case]:
    """The visible cases of a study, or of one of its series.

    Raises:
        NotFound: when there are none.
    """
    found = visible(user).filter(study_uid=study)
    if series is not None:
        found = found.filter(series_uid=series)
    if not found.exists():
        raise NotFound(NOTHING)
    return found.order_by("created_at", "pk")


def instances_at(
    user: Any, *, study: str, series: str | None = None, sop: str | None = None
) -> QuerySet[Instance]:
    """The visible instances of a study, a series, or one of them, in stack order.

    Raises:
        NotFound: when there are none.
    """
    found = Instance.objects.filter(case__in=cases_at(user, study=study, series=series))
    if sop is not None:
        found = found.filter(sop_instance_uid=sop)
        if not found.exists():
            raise NotFound(NOTHING)
    return found.select_related("case").order_by("case__created_at", "case_id", "number")


def instance_at(user: Any, *, study: str, series: str, sop: str) -> Instance:
    """One instance, by its full address; its attributes are read only when somebody asks for them.

    Raises:
        NotFound: when it does not exist or the person may not see it.
    """
    instance = (
        Instance.objects.select_related("case", "case__dataset")
        .defer("metadata", "case__stack", "case__geometry", "case__attributes")
        .filter(case__study_uid=study, case__series_uid=series, sop_instance_uid=sop)
        .first()
    )
    if instance is None:
        raise NotFound(NOTHING)
    require(user, "view", instance.case)
    return instance
