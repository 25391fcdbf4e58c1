"""Changing and deleting one case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from webapp.accounts.models import User
from webapp.cases.files import case_folder, remove_folder
from webapp.cases.importing.tables import may_identify
from webapp.cases.models import Case, Dataset
from webapp.core.errors import ApplicationError
from webapp.core.services import audit_record

MOST_TEXT = 500
PLAIN = (str, int, float, bool, type(None))
UNITS = {"CT": "HU", "MR": "signal"}
"""What the values of a modality are measured in where the file says nothing else; "value" for the rest."""


@transaction.atomic
def case_update(*, user: User, case: Case, name: str, modality: str, attributes: Mapping[str, Any]) -> Case:
    """Change what a case is called, its modality and its attributes; pixels, UIDs and files stay.

    Units that only followed from the old modality follow the new one. Saving without a change does
    nothing.

    Raises:
        ApplicationError: without a name or modality, or with attributes that are not plain values or
            whose name says that they tell who the patient is.
    """
    name, modality = " ".join(name.split()), modality.strip().upper()
    if not name or len(name) > 120:
        raise ApplicationError(_("A case needs a name of at most 120 characters."), field="name")
    if not modality.isalnum() or len(modality) > 16:
        raise ApplicationError(_("The modality is a short code such as CT or MR."), field="modality")
    _check(attributes)
    units = case.units
    if units == UNITS.get(case.modality, "value"):
        units = UNITS.get(modality, "value")
    after = {"name": name, "modality": modality, "units": units, "attributes": dict(attributes)}
    before = {field: getattr(case, field) for field in after}
    if before == after:
        return case
    for field, value in after.items():
        setattr(case, field, value)
    case.save(update_fields=[*after, "updated_at"])
    if case.dataset is not None:
        _dataset_touch(case.dataset)
    changed = [field for field in after if before[field] != after[field]]
    audit_record(
        actor=user,
        action="case.changed",
        obj=case,
        detail={
            "before": {field: before[field] for field in changed},
            "after": {field: after[field] for field in changed},
        },
    )
    return case


def _check(attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        if not isinstance(value, PLAIN) or not 0 < len(str(name)) <= 60:
            raise ApplicationError(_("Attributes are names with one plain value each."), field="attributes")
        if isinstance(value, str) and len(value) > MOST_TEXT:
            raise ApplicationError(
                _("The value of “%(name)s” is longer than %(limit)d characters. Nothing was saved.")
                % {"name": name, "limit": MOST_TEXT},
                field="attributes",
            )
        if may_identify(str(name)):
            raise ApplicationError(
                _("“%(name)s” may tell who the patient is and is not stored. Nothing was saved.")
                % {"name": name},
                field="attributes",
                code="may_identify",
            )


@transaction.atomic
def case_delete(*, user: User, case: Case) -> None:
    """Delete one case with its masks, the cases made of its pixels, and every file of theirs."""
    dataset = case.dataset
    audit_record(
        actor=user,
        action="case.deleted",
        obj=case,
        detail={"dataset": str(dataset) if dataset else "", "slices": case.slice_count},
    )
    for pk in cases_with_derived([case.pk]):
        transaction.on_commit(partial(remove_folder, case_folder(pk)))
    case.delete()
    if dataset is not None:
        _dataset_touch(dataset)


def cases_with_derived(ids: Iterable[UUID]) -> set[UUID]:
    """These cases, and all that were made of their pixels, however often."""
    found: set[UUID] = set()
    new = set(ids)
    while new:
        found |= new
        new = set(Case.objects.filter(derived_from__in=new).values_list("pk", flat=True)) - found
    return found


def _dataset_touch(dataset: Dataset) -> None:
    Dataset.objects.filter(pk=dataset.pk).update(version=F("version") + 1)
