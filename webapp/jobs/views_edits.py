"""Counterfactuals: asking for one, and the workspace where it is looked at."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from synthesis.edit_request import BELONGS, EVERYWHERE, PAINTED, EditOptions
from webapp.cases.selectors import case_get_for, case_list_for, mask_list_for_case
from webapp.core.errors import ApplicationError
from webapp.core.permissions import can, require
from webapp.core.ranges import figure, nearest
from webapp.jobs.cards import tiles
from webapp.jobs.edit_preparation import PreparedEdit, unfit_words
from webapp.jobs.edit_words import changes, drift_words, mask_words
from webapp.jobs.edits import change_prepare, is_edit, mask_after_of, slices_of
from webapp.jobs.estimates import calls_of, in_words, pace_of, queue_told
from webapp.jobs.forms_edits import EditForm, initial_of
from webapp.jobs.forms_methods import with_other_method
from webapp.jobs.forms_series import series_initial
from webapp.jobs.memory import refuse_too_large
from webapp.jobs.models import EditStrip, SynthesisRequest
from webapp.jobs.pictures import data_address, grey_picture, region_picture
from webapp.jobs.preparation import best_slice
from webapp.jobs.selectors import request_get_for, result_list_for
from webapp.jobs.services import edit_submit, strip_submit
from webapp.registry.selectors import adapter_list_for, model_list_for

CASES_OFFERED = 200
PER_PAGE = 24
TOLD = ("steatosis", "age", "sex", "diagnosis")  # parts of a condition, besides its severity


@login_required
@never_cache
@require_safe
def counterfactual_list(request: HttpRequest) -> HttpResponse:
    """The person's counterfactuals, newest first."""
    require(request.user, "create", SynthesisRequest)
    results = result_list_for(user=request.user).filter(edited__isnull=False)
    page = Paginator(results, PER_PAGE).get_page(request.GET.get("page"))
    page.object_list = tiles(request.user, page.object_list)
    return render(request, "jobs/counterfactual_list.html", {"page_obj": page})


@login_required
@never_cache
def counterfactual_new(request: HttpRequest) -> HttpResponse:
    """Show the form (?case=&mask=&slice= from 0, or ?again= a request), or hand it in."""
    require(request.user, "create", SynthesisRequest)
    form = form_of(request)
    if form is None:
        if request.GET.get("again"):
            words = _("The case that this was made from was deleted. Choose another one.")
            messages.warning(request, words)
        return render(request, "jobs/counterfactual_new.html", {"cases": _offered(request.user)})
    if request.method != "POST":
        return render(request, "jobs/counterfactual_new.html", _context(request, form))
    if form.is_valid():
        values = form.cleaned_data
        try:
            item = edit_submit(
                user=request.user, **form.wish(), seed=values.get("seed"), note=values.get("note") or ""
            )
        except ApplicationError as error:
            show_error(form, error)
        else:
            messages.success(request, _("Handed in. You may leave this page; the work goes on."))
            return redirect("jobs:counterfactual-detail", id=item.pk)
    return render(request, "jobs/counterfactual_new.html", _context(request, form), status=422)


@login_required
@require_POST
def strip_create(request: HttpRequest) -> HttpResponse:
    """Hand in the form's change over strengths or severities (`along`)."""
    require(request.user, "create", SynthesisRequest)
    form = form_of(request)
    if form is None:
        return redirect("jobs:counterfactual-new")
    if form.is_valid():
        values = form.cleaned_data
        try:
            strip = strip_submit(
                user=request.user,
                along=request.POST.get("along", EditStrip.Along.SEVERITY),
                **form.wish(),
                seed=values.get("seed"),
                note=values.get("note") or "",
            )
        except ApplicationError as error:
            show_error(form, error)
        else:
            return redirect("jobs:strip-detail", id=strip.pk)
    return render(request, "jobs/counterfactual_new.html", _context(request, form), status=422)


@login_required
@require_POST
def counterfactual_check(request: HttpRequest) -> HttpResponse:
    """What the present values would do: the slice, where it changes, what speaks against it, the time."""
    require(request.user, "create", SynthesisRequest)
    form = form_of(request)
    context: dict[str, Any] = {"form": form, "problems": []}
    if form is None or not form.is_valid():
        context["problems"] = _wrong(form)
        return render(request, "jobs/counterfactual_check.html", context)
    wish = form.wish()
    try:
        prepared = change_prepare(**wish, seed=form.cleaned_data.get("seed") or 0)
    except ApplicationError as error:
        context["problems"] = [{"message": str(error)}]
        return render(request, "jobs/counterfactual_check.html", context)
    context |= _checked(request.user, form, wish, prepared)
    return render(request, "jobs/counterfactual_check.html", context)


@login_required
@require_POST
def counterfactual_apply(request: HttpRequest) -> HttpResponse:
    """The form with the nearest valid value put in, or with another method's options."""
    require(request.user, "create", SynthesisRequest)
    values = request.POST.copy()
    name, _sep, value = values.pop("apply", [""])[0].partition(":")
    if value and name in EditForm.base_fields:
        values[name] = value
    start = {key: values.get(key) for key in values}
    form = form_of(request, initial=with_other_method(start) if name == "method" else start)
    if form is None:
        return redirect("jobs:counterfactual-new")
    is_part = bool(request.headers.get("HX-Request"))
    template = "jobs/counterfactual_form.html" if is_part else "jobs/counterfactual_new.html"
    context = _context(request, form)
    context["more_open"] = name in {field.name for field in (*form.more, *form.drifting)}
    return render(request, template, context)


def form_of(request: HttpRequest, initial: dict[str, Any] | None = None) -> EditForm | None:
    """The form for the case that the values or the address name; None where they name none."""
    again = None
    values = request.POST if request.method == "POST" else request.GET
    if request.method != "POST" and values.get("again"):
        item = request_get_for(user=request.user, id=_uuid(values["again"]))
        again = item if is_edit(item) else None
    case_id = str(again.case_id) if again is not None and again.case_id else values.get("case")
    if not case_id:
        return None
    case = case_get_for(user=request.user, id=_uuid(case_id))
    masks = list(mask_list_for_case(case=case).filter(replaced_by__isnull=True))
    offered = model_list_for(user=request.user, offered_only=True)
    adapters = adapter_list_for(user=request.user, offered_only=True)
    options: dict[str, Any] = {"models": offered, "adapters": adapters, "case": case, "masks": masks}
    if initial is not None:
        return EditForm(initial=initial, **options)
    if request.method == "POST":
        return EditForm(request.POST, **options)
    start = _initial_again(again) if again is not None else _start(request, case, masks)
    return EditForm(initial=start, **options)


def show_error(form: EditForm, error: ApplicationError) -> None:
    """Write a refusal beside the field that it is about, or above the form."""
    name = {"slice_index": "slice_number"}.get(error.field or "", error.field)
    form.add_error(name if form.shows(name or "") else None, str(error))


def _start(request: HttpRequest, case: Any, masks: list[Any]) -> dict[str, Any]:
    """What the form opens with: the mask and the slice of the address, else where the liver is largest."""
    wanted = request.GET.get("mask", "")
    mask = next((one for one in masks if str(one.pk) == wanted), masks[0] if masks else None)
    place = request.GET.get("slice", "")
    if place.isdecimal() and int(place) < case.slice_count:
        index = int(place)
    else:
        index = best_slice(mask) if mask is not None else case.slice_count // 2
    return initial_of(case, mask, index)


def _initial_again(item: SynthesisRequest) -> dict[str, Any]:
    """The form's values that would ask for the same again, with a fresh seed."""
    before, after = item.parameters["before"], item.parameters["condition"]
    start = initial_of(item.case, item.mask, item.slice_index or 0)
    options = item.parameters["edit"]
    words = {"blend", "undo"}
    told = {key: ("yes" if value else "") if key in words else value for key, value in options.items()}
    if not options.get("drift"):
        told.pop("drift_scheme", None)
    try:
        other = mask_after_of(item)
    except ApplicationError:
        other = None
    changed = {f"to_{key}": after.get(key) for key in TOLD if before.get(key) != after.get(key)}
    return {
        **start,
        **told,
        "where": EditOptions.from_json(options).place,
        **changed,
        **series_initial(slices_of(item), item.case.slice_count if item.case is not None else 1),
        "modality": after["modality"],
        "model": str(item.model_id),
        "adapter": str(item.adapter_id or ""),
        "was_severity": level_value(before),
        "to_severity": level_value(after) if level_value(before) != level_value(after) else "",
        **{f"was_{key}": before.get(key) for key in TOLD},
        "mask_after": str(other.pk) if other is not None else "",
        "count": item.count,
        "note": item.note,
    }


def level_value(condition: dict[str, Any]) -> str:
    """A condition's severity as the form's choice."""
    from synthesis.request import Condition

    return f"{Condition.from_json(condition).level:g}"


def _offered(user: Any) -> Any:
    return case_list_for(user=user, masked=True).order_by("dataset__name", "name")[:CASES_OFFERED]


def _context(request: HttpRequest, form: EditForm) -> dict[str, Any]:
    return {
        "form": form,
        "case": form.case_object,
        "has_models": bool(form.models),
        "more_open": form.has_more,
        "unfit": unfit_words(form.case_object, [model.recipe for model in form.models.values()]),
        "may_paint": can(request.user, "annotate", form.case_object),
    }


def _checked(user: Any, form: EditForm, wish: dict[str, Any], prepared: PreparedEdit) -> dict[str, Any]:
    place, region = prepared.options.place, prepared.region
    picture = grey_picture(prepared.image.astype("float32"), prepared.before.modality)
    problems = [_problem(problem, form) for problem in prepared.problems]
    try:
        refuse_too_large(wish["model"], prepared.options.method, wish["count"])
    except ApplicationError as error:
        problems.append({"message": error.message})
    return {
        "problems": problems,
        "prepared": prepared,
        "changes": changes(prepared.parameters) + _mask_row(wish, prepared),
        "drift": drift_words(prepared.options.to_json(), wish["model"].recipe_with(wish["adapter"])),
        "picture": data_address(region_picture(picture, region)),
        "whole": bool(region.all()),
        "place": place if place in (BELONGS, EVERYWHERE) else "chosen",
        "forecast": _forecast(user, wish, prepared),
    }


def _mask_row(wish: dict[str, Any], prepared: PreparedEdit) -> list[tuple[str, str, str]]:
    """Another mask as a row of what changes; none where it only marks the place."""
    if prepared.labels_after is None or prepared.options.place == PAINTED:
        return []
    return [(_("Mask"), str(wish["mask"]), f"{wish['mask_after']} ({mask_words(prepared.notes)})")]


def _wrong(form: EditForm | None) -> list[dict[str, Any]]:
    """What the form itself refuses, with the names of the fields and the nearest numbers that it takes."""
    if form is None:
        return [{"message": _("Choose a case first.")}]
    rows = []
    for name, found in form.errors.items():
        label = form.fields[name].label if name in form.fields else ""
        row = {"label": label, "message": " ".join(map(str, found))}
        near = nearest(form, name)
        if near is not None:
            row |= {"apply": f"{name}:{figure(near)}", "nearest": figure(near)}
        rows.append(row)
    return rows


def _problem(problem: Any, form: EditForm) -> dict[str, Any]:
    """A problem with its button, where the form has a field that the nearest value fits."""
    row: dict[str, Any] = {"message": problem.message}
    if problem.field in form.fields:
        field = form.fields[problem.field]
        row["label"] = field.label
        if problem.suggestion is not None and not isinstance(problem.suggestion, list | tuple):
            row["apply"] = f"{problem.field}:{problem.suggestion}"
            words = dict(getattr(field, "choices", ()))
            row["nearest"] = words.get(problem.suggestion, problem.suggestion)
    return row


def _forecast(user: Any, wish: dict[str, Any], prepared: PreparedEdit) -> dict[str, Any]:
    options = prepared.options
    adapter = wish["adapter"]
    pace = pace_of(wish["model"].pk, adapter.pk if adapter is not None else None, method=options.method)
    units = calls_of(prepared.parameters, wish["count"])
    return {
        "count": wish["count"],
        "slices": (prepared.slices or {}).get("edited"),
        "total": in_words(pace.seconds(units)) if pace else "",
        **queue_told(user),
    }


def _uuid(text: Any) -> UUID:
    from webapp.core.errors import NotVisible

    try:
        return UUID(str(text))
    except ValueError as error:
        raise NotVisible from error
