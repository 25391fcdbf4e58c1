"""The case page: the viewer with its tools, the masks and the attributes."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from webapp.cases.models import Case, Mask
from webapp.cases.viewer import case_viewer_config
from webapp.core.errors import NotVisible
from webapp.core.permissions import can, require


def _slice_from(text: str | None, count: int) -> int:
    """The slice (from 0) that an address asks for; the middle one without a valid wish."""
    if text is not None and text.isdecimal() and len(text) < 7 and int(text) < count:
        return int(text)
    return count // 2


def _mask_from(text: str | None, masks: list[Mask]) -> str | None:
    return next((str(mask.pk) for mask in masks if str(mask.pk) == text), None)


def visible_case(request: HttpRequest, case_id: UUID, action: str = "view") -> Case:
    """The case, if the person may do this to it.

    Raises:
        NotVisible: when it does not exist.
        Http404, PermissionDenied: as `webapp.core.permissions.require` says.
    """
    case = Case.objects.select_related("dataset").filter(pk=case_id).first()
    if case is None:
        raise NotVisible
    require(request.user, action, case)
    return case


@login_required
@require_safe
def case_detail(request: HttpRequest, case_id: UUID) -> HttpResponse:
    """The viewer of one case; ``?slice=`` (from 0) and ``?mask=`` choose where it opens."""
    case = visible_case(request, case_id)
    masks = list(case.masks.filter(replaced_by__isnull=True).order_by("name"))
    may_annotate = can(request.user, "annotate", case)
    config = case_viewer_config(
        case,
        masks,
        may_annotate=may_annotate,
        slice_index=_slice_from(request.GET.get("slice"), case.slice_count),
        mask_id=_mask_from(request.GET.get("mask"), masks),
    )
    context = {
        "case": case,
        "dataset": case.dataset,
        "masks": masks,
        "config": config,
        "may_annotate": may_annotate,
        "may_manage": can(request.user, "manage", case),
        "may_request": can(request.user, "request", case),
        "attributes": _attributes(case),
    }
    return render(request, "cases/case_detail.html", context)


def _attributes(case: Case) -> list[tuple[str, str]]:
    """The case's attributes in plain words, those without a value left out."""
    rows: list[tuple[str, str]] = []
    for name, value in case.attributes.items():
        if value in (None, "", [], {}):
            continue
        text = ", ".join(map(_plain, value)) if isinstance(value, list) else _plain(value)
        label = str(name).removesuffix("_mm").replace("_", " ").capitalize()
        rows.append((label, f"{text} mm" if str(name).endswith("_mm") else text))
    return rows


def _plain(value: Any) -> str:
    """A value as people write it: four digits of a fraction, yes and no for true and false."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return f"{value:.4g}" if isinstance(value, float) else str(value)
