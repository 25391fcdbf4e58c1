"""The synthesise page: the form, its live check, and handing it in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from synthesis.catalog import SAMPLERS
from webapp.cases.selectors import case_get_for, case_list_for, mask_list_for_case
from webapp.core.errors import ApplicationError
from webapp.core.permissions import require
from webapp.jobs.edits import is_edit
from webapp.jobs.estimates import calls_of, in_words, pace_of, queue_told
from webapp.jobs.forms import RequestForm, own_sampler
from webapp.jobs.memory import fit_of, map_problem
from webapp.jobs.models import SynthesisRequest
from webapp.jobs.pictures import data_address, grey_picture, labels_picture
from webapp.jobs.preparation import Prepared, best_slice, prepare, told_in_words
from webapp.jobs.requests import request_job, request_submit
from webapp.jobs.sampling import OPTION_NAMES
from webapp.jobs.selectors import request_get_for
from webapp.jobs.severities import BETWEEN
from webapp.registry.selectors import adapter_list_for, model_list_for

CASES_OFFERED = 200


@login_required
@never_cache
def synthesise(request: HttpRequest) -> HttpResponse:
    """Show the form (?case=&mask=&slice= from 0, or ?again= a request), or hand it in."""
    require(request.user, "create", SynthesisRequest)
    if request.method == "POST":
        form = form_of(request, request.POST)
        if form.is_valid():
            done = _submit(request, form)
            if done is not None:
                return done
        return render(request, "jobs/synthesise.html", form_context(request, form), status=422)
    form = form_of(request, None)
    if _lost_source(_again(request)):
        messages.warning(
            request,
            _(
                "The case that this was made from was deleted. The form opens on a demo anatomy instead; all "
                "other settings are those of then."
            ),
        )
    return render(request, "jobs/synthesise.html", form_context(request, form))


@login_required
@require_POST
def synthesise_check(request: HttpRequest) -> HttpResponse:
    """What the present values would do: the label map, what speaks against it, time and queue."""
    require(request.user, "create", SynthesisRequest)
    form = form_of(request, request.POST)
    return render(request, "jobs/synthesise_check.html", _checked(request, form))


@login_required
@require_POST
def synthesise_apply(request: HttpRequest) -> HttpResponse:
    """The form with the nearest valid value put in, or another source chosen."""
    require(request.user, "create", SynthesisRequest)
    values = request.POST.copy()
    name, _sep, value = values.pop("apply", [""])[0].partition(":")
    if name == "source":  # another case: its own masks, open where the first covers most
        values.pop("mask", None)
        values.pop("slice_number", None)
    elif name in ("model", "adapter") and not value:  # another was chosen: its own way of drawing
        for key, own in _own_sampler(request, values.get("model"), values.get("adapter")).items():
            values[key] = str(own)
    elif name == "sampler" and not value:  # another was chosen: its own number of steps, where it has one
        entry = SAMPLERS.get(values.get("sampler", ""))
        if entry is not None and entry.steps is not None:
            values["steps"] = str(entry.steps)
    elif name in RequestForm.base_fields or name in OPTION_NAMES:
        values[name] = value
    form = form_of(request, values, bound=False)
    template = "jobs/synthesise_form.html" if request.headers.get("HX-Request") else "jobs/synthesise.html"
    return render(request, template, form_context(request, form))


def _submit(request: HttpRequest, form: RequestForm) -> HttpResponse | None:
    values = form.cleaned_data
    try:
        item = request_submit(
            user=request.user, **form.wish(), seed=values.get("seed"), note=values.get("note") or ""
        )
    except ApplicationError as error:
        show_error(form, error)
        return None
    messages.success(request, _("Handed in. You may leave this page; the work goes on."))
    return redirect("jobs:job-detail", id=request_job(item).pk)


def show_error(form: RequestForm, error: ApplicationError) -> None:
    """Write a refusal beside the field that it is about, or above the form."""
    name = _form_field(error.field)
    form.add_error(name if name in form.fields else None, str(error))


def _form_field(name: str | None) -> str | None:
    name = {"slice_index": "slice_number"}.get(name or "", name)
    return name if name in RequestForm.base_fields or name in OPTION_NAMES else None


def form_of(request: HttpRequest, values: QueryDict | None, *, bound: bool = True) -> RequestForm:
    """The form for the case in its values (or in the address), open on a sensible start."""
    again = _again(request) if values is None else None
    initial = _initial_of(again) if again else {}
    case_id = (values.get("case") if values is not None else request.GET.get("case")) or initial.get("case")
    case = case_get_for(user=request.user, id=case_id) if case_id and _is_uuid(case_id) else None
    masks = list(mask_list_for_case(case=case)) if case is not None else []
    if again is not None and again.mask is not None and again.mask not in masks:
        masks.append(again.mask)
    models = model_list_for(user=request.user, offered_only=True, drawing_only=True)
    adapters = adapter_list_for(user=request.user, offered_only=True)
    options: dict[str, Any] = {"models": models, "adapters": adapters, "case": case, "masks": masks}
    if values is not None and bound:
        return RequestForm(values, **options)
    if values is not None:
        initial = {key: values.get(key) for key in values}
        if case is not None and "mask" not in initial:
            initial |= _start(request, case, masks)
        return RequestForm(initial=initial, **options)
    if case is not None:
        initial = {**_start(request, case, masks), **initial}
    initial |= _wanted(request, models, adapters)
    if again is None:
        initial |= _own_sampler(request, initial.get("model"), initial.get("adapter"))
    return RequestForm(initial=initial, **options)


def _wanted(request: HttpRequest, models: Any, adapters: Any) -> dict[str, Any]:
    """The model (by id or name) and the adapter that the address asks for; an adapter brings its model."""
    adapter = next((one for one in adapters if str(one.pk) == request.GET.get("adapter")), None)
    if adapter is not None:
        return {"model": str(adapter.base_id), "adapter": str(adapter.pk)}
    name = request.GET.get("model")
    model = next((one for one in models if name in (str(one.pk), one.name)), None)
    return {"model": str(model.pk)} if model is not None else {}


def _own_sampler(request: HttpRequest, wanted: str | None, adapter: str | None = None) -> dict[str, Any]:
    """Sampler and steps of the model with that id, else of the first on offer, and of its adapter."""
    models = list(model_list_for(user=request.user, offered_only=True, drawing_only=True))
    chosen = next((m for m in models if str(m.pk) == wanted), models[0] if models else None)
    if chosen is None:
        return {}
    fitting = adapter_list_for(user=request.user, model=chosen, offered_only=True)
    return own_sampler(chosen, next((one for one in fitting if str(one.pk) == adapter), None))


def _start(request: HttpRequest, case: Any, masks: list[Any]) -> dict[str, Any]:
    """Case, mask and slice that the address asks for; else the first mask, where it covers most."""
    wanted = request.GET.get("mask", "")
    mask = next((one for one in masks if str(one.pk) == wanted), masks[0] if masks else None)
    place = request.GET.get("slice", "")
    if place.isdecimal() and int(place) < case.slice_count:
        index = int(place)
    else:
        index = best_slice(mask) if mask is not None else case.slice_count // 2
    return {"case": case.pk, "mask": str(mask.pk) if mask else "", "slice_number": index + 1}


def _again(request: HttpRequest) -> SynthesisRequest | None:
    wanted = request.GET.get("again", "")
    item = request_get_for(user=request.user, id=wanted) if _is_uuid(wanted) else None  # type: ignore[arg-type]
    return None if item is None or is_edit(item) else item


def _lost_source(item: SynthesisRequest | None) -> bool:
    """Whether a request was of a case that is there no more."""
    return item is not None and item.case_id is None and "phantom_seed" not in item.parameters


def _initial_of(item: SynthesisRequest) -> dict[str, Any]:
    """The form's values that would ask for the same again, with a fresh seed."""
    condition, sampler = item.parameters["condition"], item.parameters["sampler"]
    initial = {
        "model": str(item.model_id),
        "adapter": str(item.adapter_id or ""),
        **{
            key: condition.get(key)
            for key in ("modality", "severity", "steatosis", "diagnosis", "age", "sex")
        },
        **{key: sampler[key] for key in OPTION_NAMES if sampler.get(key) is not None},
        **{key: sampler.get(key) for key in ("steps", "guidance")},
        "sampler": sampler.get("name"),
        "count": item.count,
        "note": item.note,
        "uncertainty": "yes" if item.parameters.get("uncertainty") else "",
        "phantom_seed": item.parameters.get("phantom_seed", 0),
    }
    if condition.get("severity_level") is not None:
        initial |= {"severity": BETWEEN, "severity_level": condition["severity_level"]}
    if item.case_id:
        initial |= {"case": item.case_id, "mask": str(item.mask_id or "")}
        initial["slice_number"] = (item.slice_index or 0) + 1
    return initial


def form_context(request: HttpRequest, form: RequestForm) -> dict[str, Any]:
    offered = case_list_for(user=request.user, masked=True).filter(result__isnull=True)
    return {
        "form": form,
        "case": form.case_object,
        "cases": offered.order_by("dataset__name", "name")[:CASES_OFFERED],
        "has_models": bool(form.models),
        "more_open": form.has_more,
    }


def _checked(request: HttpRequest, form: RequestForm) -> dict[str, Any]:
    """What the live check shows: never an error page, always a sentence."""
    context: dict[str, Any] = {"form": form, "problems": [], "prepared": None}
    if not form.is_valid():
        context["problems"] = [
            {"field": name, "message": " ".join(map(str, errors))} for name, errors in form.errors.items()
        ]
        return context
    wish = form.wish()
    try:
        prepared = prepare(**wish, seed=form.cleaned_data.get("seed") or 0)
    except ApplicationError as error:
        context["problems"] = [{"field": _form_field(error.field), "message": str(error)}]
        return context
    context["prepared"] = prepared
    context["problems"] = [_problem(problem, form) for problem in prepared.problems]
    fit = fit_of(wish["model"])
    if fit is not None and not fit.plan:
        context["problems"].append({"field": "model", "message": fit.words})
    context["memory"] = fit.words if fit is not None else ""
    no_map = map_problem(wish["model"]) if prepared.parameters.get("uncertainty") else None
    if no_map is not None:
        context["problems"].append({"field": "uncertainty", "message": no_map})
    context["untrained"] = wish["model"].recipe.get("mask_trained") is False
    context["prompt"] = told_in_words(wish["model"].recipe_with(wish["adapter"]), prepared.condition)
    label_set = wish["model"].label_set_with(wish["adapter"])
    context["pictures"] = _pictures(label_set, prepared)
    context["legend"] = _legend(label_set, prepared)
    context["forecast"] = forecast(request.user, wish, prepared)
    return context


def _problem(problem: Any, form: RequestForm) -> dict[str, Any]:
    """A preflight problem with its button, where the form has a field that the nearest value fits."""
    row: dict[str, Any] = {"field": problem.field, "message": problem.message}
    if problem.field in form.fields and not isinstance(problem.suggestion, list | tuple):
        field = form.fields[problem.field]
        row["label"] = field.label
        if problem.suggestion is not None or not field.required:
            row["apply"] = f"{problem.field}:{'' if problem.suggestion is None else problem.suggestion}"
            words = dict(getattr(field, "choices", ()))
            shown = words.get(problem.suggestion, problem.suggestion)
            row["nearest"] = _("no value") if problem.suggestion is None else shown
    return row


def _pictures(label_set: list[dict[str, Any]], prepared: Prepared) -> list[dict[str, str]]:
    pictures = []
    if prepared.image is not None:
        grey = grey_picture(prepared.image, str(prepared.notes.get("source_modality", "CT")))
        pictures.append({"title": _("Source on the model's grid"), "src": data_address(grey)})
    labels = labels_picture(prepared.labels, label_set)
    pictures.append({"title": _("What the model is told"), "src": data_address(labels)})
    return pictures


def _legend(label_set: list[dict[str, Any]], prepared: Prepared) -> list[dict[str, Any]]:
    present = set(np.unique(prepared.labels).tolist()) - {0}
    return [label for label in label_set if int(label["value"]) in present]


def forecast(user: Any, wish: dict[str, Any], prepared: Prepared) -> dict[str, Any]:
    """How many images, how long each, how many jobs ahead, and whether anybody is there to do it."""
    pace = pace_of(wish["model"].pk, wish["adapter"].pk if wish["adapter"] is not None else None)
    calls = calls_of(prepared.parameters, wish["count"])
    return {
        "count": wish["count"],
        "each": in_words(pace.per_call * calls / wish["count"]) if pace else "",
        "total": in_words(pace.seconds(calls)) if pace else "",
        **queue_told(user),
    }


def _is_uuid(text: Any) -> bool:
    try:
        UUID(str(text))
    except ValueError:
        return False
    return True
