"""The gallery of results, and one result with everything that is known about it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from webapp.cases.previews import slice_picture
from webapp.cases.viewer import pane_config
from webapp.core.errors import ApplicationError, NotVisible
from webapp.core.permissions import can, require
from webapp.jobs.cards import request_title, result_title, tiles
from webapp.jobs.descriptions import (
    quality_rows,
    reproduction_of,
    results_compared,
    settings_rows,
    severity_read,
)
from webapp.jobs.downloads import result_download
from webapp.jobs.edit_panes import shown_place
from webapp.jobs.edits import is_edit
from webapp.jobs.forms import DecisionForm, GalleryFilter
from webapp.jobs.models import Result
from webapp.jobs.nearest import nearest_of, nearest_picture
from webapp.jobs.pictures import png
from webapp.jobs.selectors import result_get_for, result_list_for
from webapp.jobs.services import (
    grid_submit_like,
    request_again,
    result_decide,
    result_offer,
    result_reproduce,
)
from webapp.jobs.uncertainty import uncertainty_config, uncertainty_of, uncertainty_summary

PER_PAGE = 24
SIDES = (128, 256, 512)
NEAREST_SIDE = 256


@login_required
@never_cache
@require_safe
def result_list(request: HttpRequest) -> HttpResponse:
    """The gallery."""
    require(request.user, "view", Result)
    narrowing = GalleryFilter(request.GET or None)
    results = result_list_for(user=request.user)
    first = _compared_first(request)
    if narrowing.is_valid():
        results = _narrowed(results, narrowing.cleaned_data)
    page = Paginator(results, PER_PAGE).get_page(request.GET.get("page"))
    page.object_list = tiles(request.user, page.object_list)
    context = {
        "page_obj": page,
        "filter": narrowing,
        "is_narrowed": any(request.GET.get(name) for name in narrowing.fields),
        "first": tiles(request.user, [first])[0] if first is not None else None,
    }
    return render(request, "jobs/result_list.html", context)


def _compared_first(request: HttpRequest) -> Result | None:
    """The result that the person chose to compare another with (?compare=)."""
    text = request.GET.get("compare", "")
    if not text:
        return None
    try:
        id = UUID(text)
    except ValueError as error:
        raise NotVisible from error
    return result_get_for(user=request.user, id=id)


@login_required
@never_cache
@require_safe
def result_compare(request: HttpRequest, id: UUID, other: UUID) -> HttpResponse:
    """Two results in linked viewports, with what differs in their settings."""
    pair = [result_get_for(user=request.user, id=one) for one in (id, other)]
    if id == other:
        return redirect("jobs:result-list")
    for result in pair:
        require(request.user, "view", result.case)
    sides = list(zip(("A", "B"), pair, strict=True))
    panes = [
        pane_config(f"{letter}: {result_title(result)}", result.case, mask=result.mask) | {"show_mask": False}
        for letter, result in sides
    ]
    context = {"sides": sides, "config": {"panes": panes}, "compared": results_compared(*pair)}
    return render(request, "jobs/result_compare.html", context)


def _narrowed(results: Any, wanted: dict[str, str]) -> Any:
    if wanted["decision"]:
        results = results.filter(decision="" if wanted["decision"] == "open" else wanted["decision"])
    for name in ("modality", "severity"):
        if wanted[name]:
            results = results.filter(**{f"request__parameters__condition__{name}": wanted[name]})
    return results


@login_required
@never_cache
@require_safe
def result_detail(request: HttpRequest, id: UUID) -> HttpResponse:
    """Image, mask and source side by side, numbers, settings, and what can be done with it."""
    result = result_get_for(user=request.user, id=id)
    if is_edit(result.request):
        address = reverse("jobs:counterfactual-detail", args=[result.request_id])
        return redirect(f"{address}?image={result.index + 1}")
    siblings = list(result.request.results.order_by("index").values_list("pk", "index"))
    context = {
        "result": result,
        "title": request_title(result.request),
        "config": {"panes": _panes(request, result)},
        "quality": quality_rows(result),
        "severity": severity_read(result),
        "nearest": nearest_of(result),
        "uncertainty": uncertainty_summary(result),
        "settings": settings_rows(result),
        "siblings": siblings,
        "form": DecisionForm(initial={"note": result.decision_note}),
        "reproduction": reproduction_of(result),
        "may_decide": can(request.user, "decide", result),
        "model_offered": result.request.model.is_active,
    }
    return render(request, "jobs/result_detail.html", context)


def _panes(request: HttpRequest, result: Result) -> list[dict[str, Any]]:
    """Source (where there is one that the person may still see), image, and image under its mask."""
    panes = []
    source, mask = result.request.case, result.request.mask
    if source is not None and can(request.user, "view", source):
        panes.append(
            pane_config(_("Source"), source, slice_index=result.request.slice_index or 0, mask=mask)
            | {"show_mask": False}
        )
    panes.append(pane_config(_("Synthetic image"), result.case, mask=None))
    if result.mask is not None:
        panes.append(pane_config(_("With its mask"), result.case, mask=result.mask))
    heat = uncertainty_config(result)
    if heat is not None:
        panes.append(pane_config(_("Uncertainty"), result.case, mask=None) | {"heat": heat})
    return panes


@login_required
@require_POST
def result_decide_view(request: HttpRequest, id: UUID) -> HttpResponse:
    """Accept, reject, or take the decision back."""
    result = result_get_for(user=request.user, id=id)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("The note is too long; it may have 1000 characters. Nothing was saved."))
        return redirect("jobs:result-detail", id=id)
    values = form.cleaned_data
    try:
        result_decide(user=request.user, result=result, decision=values["decision"], note=values["note"])
    except ApplicationError as error:
        messages.error(request, str(error))
    else:
        words = {"accepted": _("Accepted."), "rejected": _("Rejected."), "": _("The decision is taken back.")}
        messages.success(request, words[values["decision"]])
    return redirect("jobs:result-detail", id=id)


@login_required
@require_POST
def result_offer_view(request: HttpRequest, id: UUID) -> HttpResponse:
    """Offer a result to reader studies, or take the offer back."""
    result = result_get_for(user=request.user, id=id)
    offered = bool(request.POST.get("offered"))
    result_offer(user=request.user, result=result, offered=offered)
    said = _("Study leads may use this image now.") if offered else _("The offer is taken back.")
    messages.success(request, said)
    return redirect("jobs:result-detail", id=id)


@login_required
@require_POST
def result_again(request: HttpRequest, id: UUID) -> HttpResponse:
    """The same settings with a new seed, at once."""
    result = result_get_for(user=request.user, id=id)
    try:
        item = request_again(user=request.user, request=result.request)
    except ApplicationError as error:
        messages.error(request, str(error))
        return redirect("jobs:result-detail", id=id)
    messages.success(request, _("Handed in with the same settings and a new seed."))
    return redirect("jobs:job-detail", id=item.jobs.get().pk)


@login_required
@require_POST
def result_reproduce_view(request: HttpRequest, id: UUID) -> HttpResponse:
    """Make exactly this image again and compare."""
    result = result_get_for(user=request.user, id=id)
    try:
        job = result_reproduce(user=request.user, result=result)
    except ApplicationError as error:
        messages.error(request, str(error))
        return redirect("jobs:result-detail", id=id)
    return redirect("jobs:job-detail", id=job.pk)


@login_required
@require_safe
def result_image(request: HttpRequest, id: UUID) -> HttpResponse:
    """The image as PNG with the word SYNTHETIC (?side=128|256|512, ?mask=1 with its mask)."""
    result = result_get_for(user=request.user, id=id)
    require(request.user, "view", result.case)
    side = next((one for one in SIDES if str(one) == request.GET.get("side")), 256)
    mask = result.mask if request.GET.get("mask") == "1" else None
    tag = f'"{result.pixel_sha256[:20]}-{side}-{mask.content_sha256[:8] if mask else 0}"'
    if request.headers.get("If-None-Match") == tag:
        return HttpResponseNotModified()
    place = shown_place(result) if is_edit(result.request) else 0
    picture = png(slice_picture(result.case, place, mask, side=side))
    headers = {"ETag": tag, "Cache-Control": "private, max-age=86400"}
    return HttpResponse(picture, content_type="image/png", headers=headers)


@login_required
@require_safe
def result_uncertainty(request: HttpRequest, id: UUID) -> HttpResponse:
    """The uncertainty map's values as stored: zlib over little-endian uint16 [rows, columns]."""
    found = uncertainty_of(result_get_for(user=request.user, id=id))
    if found is None:
        raise NotVisible
    headers = {"Cache-Control": "private, max-age=86400"}
    return HttpResponse(bytes(found.values), content_type="application/octet-stream", headers=headers)


@login_required
@require_safe
def result_nearest_image(request: HttpRequest, id: UUID) -> HttpResponse:
    """The nearest training phantom as PNG, made again from its seed."""
    picture = nearest_picture(result_get_for(user=request.user, id=id), side=NEAREST_SIDE)
    if picture is None:
        raise NotVisible
    headers = {"Cache-Control": "private, max-age=86400"}
    return HttpResponse(png(picture), content_type="image/png", headers=headers)


@login_required
@require_POST
def result_severities(request: HttpRequest, id: UUID) -> HttpResponse:
    """The same mask, seed and settings under every severity."""
    result = result_get_for(user=request.user, id=id)
    try:
        grid = grid_submit_like(user=request.user, result=result)
    except ApplicationError as error:
        messages.error(request, str(error))
        return redirect("jobs:result-detail", id=id)
    return redirect("jobs:grid-detail", id=grid.pk)


@login_required
@require_safe
def result_download_view(request: HttpRequest, id: UUID) -> HttpResponse:
    """The image with its mask and recipe: ?as=dicom (zip with SEG) or ?as=nifti."""
    result = result_get_for(user=request.user, id=id)
    return result_download(user=request.user, result=result, form=request.GET.get("as", "dicom"))
