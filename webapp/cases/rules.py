"""Who may do what to datasets, cases, masks and imports.

A dataset is seen by its owner and by those it is shared with; a share allows view, annotate or
manage. A changed series that keeps slices of its source as they are is seen no longer than its source.
Roles say what kind of work a person does at all: an annotator reads studies and sees no
dataset, an administrator looks after people. Managing (importing, editing, sharing, exporting, deleting)
takes the data manager's role as well as the dataset's owner or a share that manages.
"""

from typing import Any

from django.db import models

from webapp.accounts.models import Role, User
from webapp.cases.models import (
    Case,
    Dataset,
    DatasetShare,
    ImportEntry,
    ImportRun,
    Instance,
    Mask,
    ShareLevel,
)
from webapp.core.permissions import register

BROWSERS = (Role.CLINICIAN, Role.STUDY_LEAD, Role.DATA_MANAGER, Role.RESEARCHER)
"""The roles that may look into datasets at all."""
MANAGERS = (Role.DATA_MANAGER,)
"""The roles that may fill, edit, share and delete datasets."""

DEEPEST = 3
"""How many changed series, each made of the one before, a list follows back to what they keep."""

_RANK = {ShareLevel.VIEW: 1, ShareLevel.ANNOTATE: 2, ShareLevel.MANAGE: 3}


def may_browse(user: User) -> bool:
    """Whether the person's roles let them look into datasets."""
    return user.has_role(*BROWSERS)


def share_rank(user: User, dataset: Dataset) -> int:
    """0 nothing, 1 view, 2 annotate, 3 manage (the owner too)."""
    if dataset.owner_id == user.pk:
        return 3
    share = DatasetShare.objects.filter(dataset=dataset, user=user).values_list("level", flat=True).first()
    return _RANK[ShareLevel(share)] if share else 0


def visible_datasets(user: User) -> models.Q:
    """The filter on `Dataset` that leaves what the person may view."""
    if user.is_superuser:
        return models.Q()
    if not may_browse(user):
        return models.Q(pk__in=[])
    return models.Q(owner=user) | models.Q(pk__in=DatasetShare.objects.filter(user=user).values("dataset"))


def visible_cases(user: User) -> models.Q:
    """The filter on `Case` that leaves what the person may view: shared datasets' and their own."""
    if user.is_superuser:
        return models.Q()
    if not may_browse(user):
        return models.Q(pk__in=[])
    datasets = Dataset.objects.filter(visible_datasets(user)).values("pk")
    shared, own = models.Q(dataset__in=datasets), models.Q(owner=user, dataset__isnull=True)
    keeping = Case.objects.filter(own & keeps_source())
    hidden = keeping.exclude(derived_from__in=Case.objects.filter(shared | own).values("pk"))
    for _level in range(DEEPEST - 1):
        hidden = keeping.filter(
            models.Q(pk__in=hidden.values("pk")) | models.Q(derived_from__in=hidden.values("pk"))
        )
    return shared | (own & ~models.Q(pk__in=hidden.values("pk")))


def keeps_source() -> models.Q:
    """The filter on `Case` that leaves changed series some of whose slices are their source's own pixels."""
    series = "result__request__prepared__series"
    return models.Q(derived_from__isnull=False, **{f"{series}__isnull": False}) & (
        ~models.Q(**{f"{series}__unmasked": []}) | ~models.Q(**{f"{series}__unconcerned": []})
    )


def _dataset_view(user: User, dataset: Any) -> bool:
    if isinstance(dataset, type):
        return may_browse(user)
    return may_browse(user) and share_rank(user, dataset) >= 1


def _dataset_annotate(user: User, dataset: Dataset) -> bool:
    return may_browse(user) and share_rank(user, dataset) >= 2


def _dataset_manage(user: User, dataset: Dataset) -> bool:
    return user.has_role(*MANAGERS) and share_rank(user, dataset) >= 3


def _dataset_create(user: User, _: Any) -> bool:
    return user.has_role(*MANAGERS)


def _case_view(user: User, case: Any) -> bool:
    if isinstance(case, type):
        return may_browse(user)
    if case.dataset is not None:
        return _dataset_view(user, case.dataset)
    return may_browse(user) and case.owner_id == user.pk and _sees_what_is_kept(user, case)


def _sees_what_is_kept(user: User, case: Case) -> bool:
    """Whether nothing in a personal case is of a source that the person may no longer see."""
    source = case.derived_from
    if source is None or not Case.objects.filter(keeps_source(), pk=case.pk).exists():
        return True
    return _case_view(user, source)


def _case_annotate(user: User, case: Case) -> bool:
    if case.dataset is not None:
        return _dataset_annotate(user, case.dataset)
    return _case_view(user, case)


def _case_manage(user: User, case: Case) -> bool:
    if case.dataset is not None:
        return _dataset_manage(user, case.dataset)
    return _case_view(user, case)


def _import_view(user: User, run: Any) -> bool:
    if isinstance(run, type):
        return user.has_role(*MANAGERS)
    return _dataset_manage(user, run.dataset) or (
        run.owner_id == user.pk and _dataset_view(user, run.dataset)
    )


def _import_manage(user: User, run: ImportRun) -> bool:
    return _dataset_manage(user, run.dataset)


register(
    Dataset,
    {
        "view": _dataset_view,
        "annotate": _dataset_annotate,
        "manage": _dataset_manage,
        "delete": _dataset_manage,
        "export": _dataset_manage,
        "create": _dataset_create,
    },
)
register(
    Case,
    {
        "view": _case_view,
        "annotate": _case_annotate,
        "manage": _case_manage,
        "delete": _case_manage,
        "request": _case_view,
    },
)
register(
    Mask,
    {
        "view": lambda user, mask: _case_view(user, mask if isinstance(mask, type) else mask.case),
        "annotate": lambda user, mask: _case_annotate(user, mask.case),
        "manage": lambda user, mask: _case_manage(user, mask.case),
        "delete": lambda user, mask: _case_manage(user, mask.case),
    },
)
register(
    Instance,
    {"view": lambda user, item: _case_view(user, item if isinstance(item, type) else item.case)},
)
register(ImportRun, {"view": _import_view, "manage": _import_manage, "cancel": _import_manage})
register(
    ImportEntry,
    {"view": lambda user, entry: _import_view(user, entry if isinstance(entry, type) else entry.run)},
)
