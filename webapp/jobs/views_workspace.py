"""The workspace of one counterfactual, the pictures in it, and strips of several."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from synthesis.edit_request import GRADED
from synthesis.imaging.uncertainty import packed
from webapp.cases.dicomweb.encoding import multipart_body
from webapp.cases.viewer import pane_config
from webapp.core.errors import ApplicationError, NotVisible
from webapp.core.permissions import can
from webapp.jobs.cards import JobCard
from webapp.jobs.descriptions import asked_rows, reproduction_of
from webapp.jobs.edit_maps import IMAGES, difference_packed, pixels_of, spread, spread_of
from webapp.jobs.edit_numbers import number_rows, spread_rows, unchanged_rows, undone_rows
from webapp.jobs.edit_panes import (
    edit_panes,
    picture_metadata,
    picture_place,
    sees_source,
    shown_place,
    slice_notes,
    unit_of,
)
from webapp.jobs.edit_words import change_title, changes
from webapp.jobs.edits import is_edit, mask_after_of, wished
from webapp.jobs.forms import DecisionForm
from webapp.jobs.models import EDITED_PIXELS, EditStrip, Result, SynthesisRequest
from webapp.jobs.requests import refuse_without_source, request_job
from webapp.jobs.selectors import request_get_for, strip_get_for
from webapp.jobs.series_words import neighbour_rows, series_sentence, slice_rows
from webapp.jobs.services import strip_submit
from webapp.jobs.strips import strip_cells

OCTETS = "application/octet-stream"
EXPLICIT = f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.1"
CACHED = {"Cache-Control": "private, max-age=3600"}


@login_required
@never_cache
@require_safe
def counterfactual_detail(request: HttpRequest, id: UUID) -> HttpResponse:
    """The workspace once there is an image (?image= from 1, ?show=undone); until then, how far it is."""
    item = _edit(request, id)
    result = _chosen(item, request.GET.get("image", ""))
    if result is None:
        return render(request, "jobs/counterfactual_waiting.html", _waiting(request, item))
    shows_source = sees_source(request.user, item)
    shows_images = can(request.user, "view", result.case)
    undone = request.GET.get("show") == "undone" and bool(result.edited.undone) and shows_source
    asked = item.parameters["condition"]
    numbers = result.edited.numbers
    lost = undone_rows(numbers, asked)
    place = _place(result, request.GET.get("slice", ""))
    apart = spread_of(item) if shows_source and shows_images else None
    context = {
        "item": item,
        "result": result,
        "title": change_title(item),
        "changes": changes(item.parameters),
        "config": {
            "panes": edit_panes(result, shows_source=shows_source, undone=undone, place=place),
            "slice_notes": slice_notes(result),
        }
        if shows_images
        else None,
        "shows_images": shows_images,
        "slices": slice_rows(result),
        "series": series_sentence(result),
        "shows_source": shows_source,
        "undone": undone,
        "has_undone": bool(result.edited.undone),
        "numbers": [
            *number_rows(numbers, asked),
            *neighbour_rows(numbers, asked),
            *spread_rows(apart.inside if apart is not None else None, unit_of(item)),
            *unchanged_rows(numbers),
            *lost[:1],
        ],
        "lost": lost,
        "settings": asked_rows(item, result),
        "siblings": list(item.results.order_by("index").values_list("index", flat=True)),
        "form": DecisionForm(initial={"note": result.decision_note}),
        "may_decide": can(request.user, "decide", result),
        "may_again": may_again(item),
        "unit": unit_of(item),
        "has_strength": item.parameters["edit"].get("method") in GRADED,
        "is_synthetic_source": item.case is not None and item.case.is_synthetic,
        "reproduction": reproduction_of(result),
    }
    return render(request, "jobs/counterfactual_detail.html", context)


@login_required
@never_cache
@require_safe
def counterfactual_fragment(request: HttpRequest, id: UUID) -> HttpResponse:
    """How far the work is; when it is over, the page itself is asked for anew."""
    item = _edit(request, id)
    context = _waiting(request, item)
    answer = render(request, "jobs/counterfactual_live.html", context)
    if item.results.exists():
        answer["HX-Refresh"] = "true"
    return answer


def _waiting(request: HttpRequest, item: SynthesisRequest) -> dict[str, Any]:
    job = request_job(item)
    card = JobCard(job, request.user)
    return {"item": item, "job": job, "card": card, "title": change_title(item), "asked": asked_rows(item)}


def may_again(item: SynthesisRequest) -> bool:
    """Whether source, mask and model are still there, so that the change can be asked for again."""
    return item.case_id is not None and item.mask_id is not None and item.model.is_active


def _edit(request: HttpRequest, id: UUID) -> SynthesisRequest:
    item = request_get_for(user=request.user, id=id)
    if not is_edit(item):
        raise NotVisible
    return item


def _chosen(item: SynthesisRequest, text: str) -> Result | None:
    """The image that the address asks for, else the first; None until there is one."""
    found = item.results.select_related("case", "mask", "edited", "job", "decided_by")
    results = list(found.defer(*EDITED_PIXELS).order_by("index"))
    wanted = int(text) - 1 if text.isdecimal() and len(text) < 4 else 0
    for result in results:
        result.request = item
    return next((one for one in results if one.index == wanted), results[0] if results else None)


def _place(result: Result, text: str) -> int:
    """The slice that the address asks for, from 1 in the result; else the one that stands for the series."""
    if text.isdecimal() and len(text) < 5 and 0 < int(text) <= result.case.slice_count:
        return int(text) - 1
    return shown_place(result)


def _result(request: HttpRequest, id: UUID, index: int) -> Result:
    """An image of a request with its source still in sight, or NotVisible."""
    item = _edit(request, id)
    found = item.results.select_related("case", "edited").defer(*EDITED_PIXELS)
    result = found.filter(index=index).first()
    if result is None or not sees_source(request.user, item):
        raise NotVisible
    result.request = item
    return result


@login_required
@require_safe
def picture_header(request: HttpRequest, id: UUID, index: int, name: str) -> HttpResponse:
    """The DICOM JSON of the original or of the undone image on the model's grid."""
    result = _result(request, id, index)
    if name not in IMAGES:
        raise NotVisible
    answer = JsonResponse(picture_metadata(result, name), safe=False, headers=CACHED)
    answer["Content-Type"] = "application/dicom+json"
    return answer


@login_required
@require_safe
def picture_frame(request: HttpRequest, id: UUID, index: int, name: str, sop: str) -> HttpResponse:
    """Its pixels, as DICOMweb sends a frame."""
    result = _result(request, id, index)
    stack = pixels_of(result, name)
    pixels = stack[picture_place(result, name, sop)].astype("<i2").tobytes()
    answer = multipart_body([(EXPLICIT, [pixels])], OCTETS)
    answer["Cache-Control"] = CACHED["Cache-Control"]
    return answer


@login_required
@require_safe
def difference_values(request: HttpRequest, id: UUID, index: int) -> HttpResponse:
    """The signed difference from the original (?of=undone: what stays after undoing), zlib over int16."""
    result = _result(request, id, index)
    content = difference_packed(result, undone=request.GET.get("of") == "undone")
    return HttpResponse(content, content_type=OCTETS, headers=CACHED)


@login_required
@require_safe
def spread_values(request: HttpRequest, id: UUID) -> HttpResponse:
    """The standard deviation over the seeds, zlib over uint16."""
    item = _edit(request, id)
    found = spread(item) if sees_source(request.user, item) else None
    if found is None:
        raise NotVisible
    return HttpResponse(packed(found)[0], content_type=OCTETS, headers=CACHED)


@login_required
@require_POST
def counterfactual_strip(request: HttpRequest, id: UUID) -> HttpResponse:
    """The same change over every strength or severity (`along`), with this request's seed."""
    item = _edit(request, id)
    along = request.POST.get("along", EditStrip.Along.SEVERITY)
    try:
        refuse_without_source(item)
        strip = strip_submit(
            user=request.user,
            along=along,
            model=item.model,
            case=item.case,
            mask=item.mask,
            mask_after=mask_after_of(item),
            slice_index=item.slice_index,
            parameters=wished(item),
            adapter=item.adapter,
            seed=item.seed,
            note=item.note,
        )
    except ApplicationError as error:
        messages.error(request, str(error))
        return redirect("jobs:counterfactual-detail", id=id)
    return redirect("jobs:strip-detail", id=strip.pk)


@login_required
@never_cache
@require_safe
def strip_detail(request: HttpRequest, id: UUID) -> HttpResponse:
    """The strip in linked viewports once every image is there; until then, what is there so far."""
    strip = strip_get_for(user=request.user, id=id)
    return render(request, "jobs/strip_detail.html", _strip_context(request, strip))


@login_required
@never_cache
@require_safe
def strip_fragment(request: HttpRequest, id: UUID) -> HttpResponse:
    """The part of the page that changes; when the last job is over, the page itself is asked for anew."""
    context = _strip_context(request, strip_get_for(user=request.user, id=id))
    answer = render(request, "jobs/strip_live.html", context)
    if context["is_over"]:
        answer["HX-Refresh"] = "true"
    return answer


def _strip_context(request: HttpRequest, strip: EditStrip) -> dict[str, Any]:
    cells = strip_cells(strip)
    done = [cell for cell in cells if cell.result is not None]
    item = cells[0].request if cells else None
    shows_source = item is not None and sees_source(request.user, item)
    panes = _strip_panes(done, shows_source) if cells and len(done) == len(cells) else None
    return {
        "strip": strip,
        "cells": [(cell, JobCard(cell.job, request.user)) for cell in cells],
        "done": len(done),
        "is_over": all(cell.job.is_finished for cell in cells),
        "config": {"panes": panes} if panes else None,
        "asked": _shared(cells),
        "item": item,
        "unit": unit_of(item) if item is not None else "",
        "shows_source": shows_source,
        "may_again": item is not None and may_again(item),
        "title": _("Every strength") if strip.along == EditStrip.Along.STRENGTH else _("Every severity"),
    }


def _strip_panes(cells: list[Any], shows_source: bool) -> list[dict[str, Any]]:
    """The images from the least to the most, after their original, which they blink to, where it is seen."""
    first = cells[0].result
    first.request = cells[0].request
    panes = [
        pane_config(cell.words, cell.result.case, mask=cell.result.mask) | {"show_mask": False}
        for cell in cells
    ]
    if not shows_source:
        return panes
    original = edit_panes(first, shows_source=True, undone=False)[0]
    blink = {"title": original["title"], "case": original["case"]}
    return [original, *(pane | {"blink": blink} for pane in panes)]


def _shared(cells: list[Any]) -> list[tuple[str, str]]:
    """What all of them were asked for alike."""
    rows = [asked_rows(cell.request, cell.result) for cell in cells]
    return [row for row in rows[0] if all(row in other for other in rows)] if rows else []
