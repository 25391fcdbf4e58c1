"""The sample-size planner of a study."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from webapp.accounts.requests import PersonRequest
from webapp.readings.figures.drawing import THEMES
from webapp.readings.forms_design import PlannerForm
from webapp.readings.freezing import reading_protocol
from webapp.readings.models import Reading
from webapp.readings.planning import Wish, plan_figure, planned
from webapp.readings.steps import counts_of
from webapp.readings.views_design import of_study, study_page


def _form(request: PersonRequest, reading: Reading) -> PlannerForm:
    return PlannerForm(request.GET or None, protocol=reading_protocol(reading))


@of_study
@require_safe
def reading_planner(request: PersonRequest, reading: Reading) -> HttpResponse:
    """How many items and readers the margin needs; the simulation follows as a fragment."""
    form = _form(request, reading)
    if request.GET.get("as") == "answer":
        if not form.is_valid():
            raise Http404
        return render(request, "readings/reading_planner_answer.html", _answer(reading, form))
    context: dict[str, Any] = {"form": form, "is_valid": form.is_valid(), "counts": counts_of(reading)}
    if form.is_valid():
        context["query"] = urlencode(_asked(form))
    return study_page(request, "reading_planner", reading, step="design", **context)


def _asked(form: PlannerForm) -> dict[str, Any]:
    values = dict(form.cleaned_data)
    return values | {"readers": ", ".join(str(number) for number in values["readers"])}


def _answer(reading: Reading, form: PlannerForm) -> dict[str, Any]:
    found = planned(Wish(**form.cleaned_data))
    numbers = [point["items"] for point in found["curves"][0]["points"]] if found["curves"] else []
    return {
        "reading": reading,
        "found": found,
        "numbers": numbers,
        "query": urlencode(_asked(form)),
        "figure": plan_figure(found) if found["curves"] else None,
    }


@of_study
@require_safe
def planner_figure(request: PersonRequest, reading: Reading) -> HttpResponse:
    """The planner's plot as SVG (?theme=dark|light)."""
    form = _form(request, reading)
    theme = request.GET.get("theme", "light")
    if not form.is_valid() or theme not in THEMES:
        raise Http404
    found = planned(Wish(**form.cleaned_data))
    if not found["curves"]:
        raise Http404
    return HttpResponse(plan_figure(found).themed(theme), content_type="image/svg+xml")
