"""One anatomy under every severity: handing the grid in from the form, and its page as it fills."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from webapp.cases.viewer import pane_config
from webapp.core.errors import ApplicationError
from webapp.core.permissions import require
from webapp.jobs.cards import JobCard
from webapp.jobs.descriptions import asked_rows
from webapp.jobs.grids import Cell, grid_cells, rises
from webapp.jobs.models import SeverityGrid, SynthesisRequest
from webapp.jobs.selectors import grid_get_for
from webapp.jobs.services import grid_submit
from webapp.jobs.views_requests import form_context, form_of, show_error


@login_required
@require_POST
def grid_create(request: HttpRequest) -> HttpResponse:
    """Hand in the form's wish under every severity; the number of images is one each."""
    require(request.user, "create", SynthesisRequest)
    form = form_of(request, request.POST)
    if form.is_valid():
        values = form.cleaned_data
        try:
            grid = grid_submit(
                user=request.user, **form.wish(), seed=values.get("seed"), note=values.get("note") or ""
            )
        except ApplicationError as error:
            show_error(form, error)
        else:
            return redirect("jobs:grid-detail", id=grid.pk)
    return render(request, "jobs/synthesise.html", form_context(request, form), status=422)


@login_required
@never_cache
@require_safe
def grid_detail(request: HttpRequest, id: UUID) -> HttpResponse:
    """The four images in linked viewports once they are all there; until then, what is there so far."""
    grid = grid_get_for(user=request.user, id=id)
    return render(request, "jobs/grid_detail.html", _context(request, grid))


@login_required
@never_cache
@require_safe
def grid_fragment(request: HttpRequest, id: UUID) -> HttpResponse:
    """The part of the page that changes; when the last job is over, the page itself is asked for anew."""
    grid = grid_get_for(user=request.user, id=id)
    context = _context(request, grid)
    answer = render(request, "jobs/grid_live.html", context)
    if context["is_over"]:
        answer["HX-Refresh"] = "true"
    return answer


def _context(request: HttpRequest, grid: SeverityGrid) -> dict[str, Any]:
    cells = grid_cells(grid)
    cards = [(cell, JobCard(cell.job, request.user)) for cell in cells]
    done = [(cell.words, cell.result) for cell in cells if cell.result is not None]
    panes = [
        pane_config(words, result.case, mask=result.mask) | {"show_mask": False} for words, result in done
    ]
    return {
        "grid": grid,
        "cells": cards,
        "done": len(done),
        "is_over": all(cell.job.is_finished for cell in cells),
        "config": {"panes": panes} if cells and len(done) == len(cells) else None,
        "rises": rises(cells),
        "asked": _shared(cells),
    }


def _shared(cells: list[Cell]) -> list[tuple[str, str]]:
    """What all of them were asked for alike."""
    rows = [asked_rows(cell.request) for cell in cells]
    return [row for row in rows[0] if all(row in other for other in rows)] if rows else []
