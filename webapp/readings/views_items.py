"""The items of a study: what is in it, and choosing more from real cases and synthetic results."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.requests import PersonRequest
from webapp.core.errors import ApplicationError, NotVisible
from webapp.readings.candidates import (
    choices_among,
    drawn,
    item_picture,
    narrowed,
    real_candidates,
    result_picture,
    synthetic_candidates,
    unused,
)
from webapp.readings.forms import AddForm, CandidateFilter
from webapp.readings.models import ItemTruth, Reading, ReadingItem
from webapp.readings.preparing import item_name
from webapp.readings.selectors import truth_list_for
from webapp.readings.services_items import (
    Added,
    SliceRule,
    item_add_cases,
    item_add_results,
    item_make_control,
    item_remove,
    item_set_role,
)
from webapp.readings.steps import counts_of
from webapp.readings.views_design import of_draft, of_study, study_page

ITEMS_PER_PAGE = 50
CANDIDATES_PER_PAGE = 24
SHOWN_REASONS = 5
ARMS = {"real": ItemTruth.Arm.REAL, "synthetic": ItemTruth.Arm.SYNTHETIC}


@of_draft
@require_safe
def reading_items(request: PersonRequest, reading: Reading) -> HttpResponse:
    """What is in the study."""
    truths = truth_list_for(user=request.user, reading=reading)
    shown = request.GET.get("arm", "")
    if shown in ARMS:
        truths = truths.filter(arm=ARMS[shown])
    page = Paginator(truths, ITEMS_PER_PAGE).get_page(request.GET.get("page"))
    for truth in page.object_list:
        truth.name = item_name(truth)  # type: ignore[attr-defined]
    context: dict[str, Any] = {"page_obj": page, "counts": counts_of(reading), "arm": shown}
    return study_page(request, "reading_items", reading, step="items", **context)


@of_draft
@require_POST
def items_change(request: PersonRequest, reading: Reading) -> HttpResponse:
    """Do one thing to the chosen items: remove them, or say what they are there for."""
    back = redirect("readings:reading-items", id=reading.pk)
    chosen = [one for one in request.POST.getlist("item") if _is_uuid(one)]
    items = list(ReadingItem.objects.filter(reading=reading, pk__in=chosen))
    do = request.POST.get("do", "")
    if not items:
        messages.error(request, _("Choose one or more items first. Nothing was changed."))
        return back
    try:
        _changed(request, reading, items, do)
    except ApplicationError as error:
        messages.error(request, str(error))
    return back


def _changed(request: PersonRequest, reading: Reading, items: list[ReadingItem], do: str) -> None:
    asked: dict[str, Any] = {"user": request.user, "reading": reading, "items": items}
    if do == "remove":
        count = item_remove(**asked)
        said = ngettext("%(n)d item is removed.", "%(n)d items are removed.", count) % {"n": count}
    elif do in ReadingItem.Role.values:
        item_set_role(**asked, role=do, feedback=request.POST.get("feedback", ""))
        said = _("Now: %(role)s.") % {"role": ReadingItem.Role(do).label}
    elif do in ("known_bad", "reconstructed", "ordinary"):
        item_make_control(**asked, control="" if do == "ordinary" else do)
        said = _("The items are ordinary again.") if do == "ordinary" else _("The items are controls now.")
    else:
        raise ApplicationError(_("Choose what to do with the items. Nothing was changed."))
    messages.success(request, said)


@of_draft
def items_add(request: PersonRequest, reading: Reading, arm: str) -> HttpResponse:
    """Choose real cases or synthetic results, some or all that a filter leaves."""
    if arm not in ARMS:
        raise NotVisible()
    filtering = CandidateFilter(request.GET or None, arm=ARMS[arm], **choices_among(request.user, ARMS[arm]))
    chosen = filtering.cleaned_data if filtering.is_bound and filtering.is_valid() else {}
    candidates = narrowed(_candidates(request, arm), ARMS[arm], chosen)
    candidates = unused(candidates, ARMS[arm], reading)
    adding = AddForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and adding.is_valid():
        try:
            added = _add(request, reading, arm, candidates, adding.cleaned_data)
        except ApplicationError as error:
            messages.error(request, str(error))
        else:
            _say(request, added)
            if added.items:
                return redirect("readings:reading-items", id=reading.pk)
        return redirect(f"{reverse('readings:items-add', args=(reading.pk, arm))}?{request.GET.urlencode()}")
    context: dict[str, Any] = {
        "arm": arm,
        "filter": filtering,
        "is_narrowed": any(chosen.values()),
        "adding": adding,
        "page_obj": Paginator(candidates, CANDIDATES_PER_PAGE).get_page(request.GET.get("page")),
        "counts": counts_of(reading),
    }
    status = 400 if adding.errors else 200
    return study_page(request, "reading_items_add", reading, status=status, step="items", **context)


def _candidates(request: PersonRequest, arm: str) -> QuerySet[Any]:
    return real_candidates(user=request.user) if arm == "real" else synthetic_candidates(user=request.user)


def _add(
    request: PersonRequest, reading: Reading, arm: str, candidates: QuerySet[Any], values: dict[str, Any]
) -> Added:
    """Add what was ticked, or a random draw of all that the filter leaves."""
    slices = SliceRule(
        rule=values["rule"],
        first=values["first"] - 1 if values["rule"] == "index" and values["first"] else None,
        count=values["count"] or 1,
    )
    limit = None
    if request.POST.get("which") == "all":
        chosen = drawn(candidates, reading.protocol["seed"] + reading.items.count())
        limit = values["draw"]
    else:
        ticked = [one for one in request.POST.getlist("pk") if _is_uuid(one)]
        chosen = list(candidates.filter(pk__in=ticked))
        if not chosen:
            raise ApplicationError(_("Tick one or more images first. Nothing was added."))
    common: dict[str, Any] = {
        "user": request.user,
        "reading": reading,
        "slices": slices,
        "role": values["role"],
        "limit": limit,
    }
    if arm == "real":
        return item_add_cases(**common, cases=chosen)
    return item_add_results(**common, results=chosen)


def _say(request: PersonRequest, added: Added) -> None:
    count = len(added.items)
    if count:
        messages.success(
            request, ngettext("%(n)d item is added.", "%(n)d items are added.", count) % {"n": count}
        )
    if added.left_out:
        reasons = "; ".join(f"{name} {reason}" for name, reason in added.left_out[:SHOWN_REASONS])
        more = len(added.left_out) - SHOWN_REASONS
        left = ngettext("%(n)d was left out", "%(n)d were left out", len(added.left_out))
        text = f"{left % {'n': len(added.left_out)}}: {reasons}"
        messages.warning(request, text + (_("; and %(n)d more.") % {"n": more} if more > 0 else "."))


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


# ---------------------------------------------------------------------------- pictures


@of_study
@require_safe
def item_image(request: PersonRequest, reading: Reading, item: UUID) -> HttpResponse:
    """A small picture of one item for its lead."""
    truth = truth_list_for(user=request.user, reading=reading).filter(item_id=item).first()
    picture = item_picture(truth.item, truth) if truth is not None else None
    if picture is None:
        raise NotVisible()
    return HttpResponse(picture, content_type="image/png")


@of_study
@require_safe
def candidate_image(request: PersonRequest, reading: Reading, result: UUID) -> HttpResponse:
    """A small picture of a result that the lead may use."""
    found = synthetic_candidates(user=request.user).filter(pk=result).first()
    if found is None:
        raise NotVisible()
    return HttpResponse(result_picture(found), content_type="image/png")
