"""The lead's pages: the list of studies, one study, and the steps that are plain forms."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
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

from webapp.accounts.requests import PersonRequest
from webapp.core.errors import ApplicationError, NotVisible
from webapp.core.permissions import can, require
from webapp.readings.drafts import settled
from webapp.readings.forms import BasicsForm, QuestionForm, TitleForm, explain
from webapp.readings.forms_design import DesignForm
from webapp.readings.freezing import protocol_is_unchanged, reading_protocol, truth_is_unchanged
from webapp.readings.models import Place, Preparation, Reading
from webapp.readings.protocol import Question
from webapp.readings.questions import QUESTION_TYPES
from webapp.readings.selectors import place_list_for, reading_get_for, reading_list_for
from webapp.readings.services import (
    reading_close,
    reading_create,
    reading_delete,
    reading_new_version,
    reading_unblind,
    reading_update,
)
from webapp.readings.services_report import report_request
from webapp.readings.steps import counts_of, design_problem, hints_of, obstacles_of, steps_of

PER_PAGE = 24


StudyView = Callable[..., HttpResponse]
"""A view of one study: request and study, then what else the address holds."""


def of_study(view: StudyView) -> Any:
    """The view of a study that the person leads; 404 for every other."""

    @wraps(view)
    @login_required
    @never_cache
    def found(request: PersonRequest, id: UUID, **values: Any) -> HttpResponse:
        return view(request, reading_get_for(user=request.user, id=id), **values)

    return found


def of_draft(view: StudyView) -> Any:
    """The view of a study that may still change; a launched one's overview says why it may not."""

    @wraps(view)
    def found(request: PersonRequest, reading: Reading, **values: Any) -> HttpResponse:
        if reading.state in Reading.LAUNCHED:
            messages.info(request, _("This study has been launched, so nothing in it changes any more."))
            return redirect("readings:reading-detail", id=reading.pk)
        return view(request, reading, **values)

    return of_study(found)


def study_page(
    request: HttpRequest, template: str, reading: Reading, *, status: int = 200, **context: Any
) -> HttpResponse:
    """One of a study's pages, with its steps beside it."""
    step = context.pop("step", "")
    common = {"reading": reading, "step": step, "steps": steps_of(reading)}
    return render(request, f"readings/{template}.html", common | context, status=status)


# ---------------------------------------------------------------------------- list, new, overview


@login_required
@never_cache
@require_safe
def reading_list(request: PersonRequest) -> HttpResponse:
    """The studies that the person leads, and those in which they read."""
    leads, reads = can(request.user, "view", Reading), can(request.user, "view", Place)
    if not leads and not reads:
        raise NotVisible()
    page = Paginator(reading_list_for(user=request.user), PER_PAGE).get_page(request.GET.get("page"))
    for reading in page.object_list:
        settled(reading)
    context = {
        "page_obj": page,
        "places": place_list_for(user=request.user)[:100],
        "leads": leads,
        "reads": reads,
    }
    return render(request, "readings/reading_list.html", context)


@login_required
def reading_new(request: PersonRequest) -> HttpResponse:
    """Give a new study its title; the steps follow."""
    require(request.user, "create", Reading)
    form = TitleForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            reading = reading_create(user=request.user, **form.cleaned_data)
        except ApplicationError as error:
            explain(form, error)
        else:
            return redirect("readings:reading-basics", id=reading.pk)
    return render(request, "readings/reading_new.html", {"form": form}, status=400 if form.errors else 200)


@of_study
@require_safe
def reading_detail(request: PersonRequest, reading: Reading) -> HttpResponse:
    """A study at a glance: how it stands, what is missing, what was frozen."""
    launched = reading.state in Reading.LAUNCHED
    preparation = Preparation.objects.filter(reading=reading).first()
    context: dict[str, Any] = {
        "counts": counts_of(reading),
        "protocol": reading_protocol(reading),
        "launched": launched,
        "preparation": preparation,
        "places": Place.objects.filter(reading=reading, is_auditor=False).select_related("user"),
        "newer": reading.replaced_by.first(),
    }
    if launched:
        context["protocol_unchanged"] = protocol_is_unchanged(reading)
        context["truth_unchanged"] = truth_is_unchanged(reading)
    else:
        context["obstacles"] = obstacles_of(reading)
        context["hints"] = hints_of(reading)
    return study_page(request, "reading_detail", reading, **context)


# ---------------------------------------------------------------------------- basics and design


@of_draft
def reading_basics(request: PersonRequest, reading: Reading) -> HttpResponse:
    """Title, instructions, and how the reading page behaves."""
    protocol = reading_protocol(reading)
    initial = {"title": reading.title, "summary": reading.summary} | {
        name: getattr(protocol, name) for name in ("instructions", "prevalence_told", "window", "going_back")
    }
    form = BasicsForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            reading_update(
                user=request.user,
                reading=reading,
                title=form.cleaned_data["title"],
                summary=form.cleaned_data["summary"],
                protocol=form.change(protocol),
            )
        except ApplicationError as error:
            explain(form, error)
        else:
            return redirect("readings:reading-questions", id=reading.pk)
    status = 400 if form.errors else 200
    return study_page(request, "reading_basics", reading, status=status, form=form, step="basics")


@of_draft
def reading_design(request: PersonRequest, reading: Reading) -> HttpResponse:
    """Repeats, sessions, blocks, the margin, and the common form of the images."""
    protocol = reading_protocol(reading)
    form = DesignForm(request.POST if request.method == "POST" else None, protocol=protocol)
    if request.method == "POST" and form.is_valid():
        try:
            reading_update(user=request.user, reading=reading, protocol=form.change(protocol))
        except ApplicationError as error:
            explain(form, error)
        else:
            problem = design_problem(reading_get_for(user=request.user, id=reading.pk))
            if problem and counts_of(reading).total:
                messages.warning(request, problem)
                return redirect("readings:reading-design", id=reading.pk)
            return redirect("readings:reading-readers", id=reading.pk)
    status = 400 if form.errors else 200
    counts = counts_of(reading)
    return study_page(
        request, "reading_design", reading, status=status, form=form, counts=counts, step="design"
    )


# ---------------------------------------------------------------------------- questions


@of_draft
def reading_questions(request: PersonRequest, reading: Reading) -> HttpResponse:
    """The questions: look at them, add one, change one, move one, take one away."""
    protocol = reading_protocol(reading)
    if request.method == "POST" and request.POST.get("do") in ("up", "down", "remove"):
        return _question_moved(request, reading, request.POST.get("name", ""), request.POST["do"])
    source = request.POST if request.method == "POST" else request.GET
    editing = protocol.question(source.get("edit", ""))
    type_name = editing.type if editing else source.get("type", "")
    form = None
    if type_name in QUESTION_TYPES:
        data = request.POST if request.method == "POST" else None
        form = QuestionForm(data, type=type_name, question=editing)
        if data is not None and form.is_valid():
            try:
                _question_saved(request, reading, form, editing)
            except ApplicationError as error:
                explain(form, error)
            else:
                return redirect("readings:reading-questions", id=reading.pk)
    context: dict[str, Any] = {
        "questions": [(one, one.kind.widget(), QUESTION_TYPES[one.type].label) for one in protocol.questions],
        "types": [(entry.name, entry.label, entry.load().about) for entry in QUESTION_TYPES.values()],
        "form": form,
        "type": QUESTION_TYPES.get(type_name),
        "editing": editing,
    }
    status = 400 if form is not None and form.errors else 200
    return study_page(request, "reading_questions", reading, status=status, step="questions", **context)


def _question_saved(
    request: PersonRequest, reading: Reading, form: QuestionForm, editing: Question | None
) -> None:
    protocol = reading_protocol(reading)
    others = [one.name for one in protocol.questions if editing is None or one.name != editing.name]
    made = form.make(others)
    questions = list(protocol.questions)
    if editing is None:
        questions.append(made)
    else:
        questions[[one.name for one in questions].index(editing.name)] = made
    reading_update(user=request.user, reading=reading, protocol=protocol.changed(questions=tuple(questions)))


def _question_moved(request: PersonRequest, reading: Reading, name: str, do: str) -> HttpResponse:
    protocol = reading_protocol(reading)
    questions = list(protocol.questions)
    names = [one.name for one in questions]
    if name in names:
        at = names.index(name)
        question = questions.pop(at)
        if do != "remove":
            questions.insert(max(0, at + (-1 if do == "up" else 1)), question)
        try:
            changed = protocol.changed(questions=tuple(questions))
            reading_update(user=request.user, reading=reading, protocol=changed)
        except ApplicationError as error:
            messages.error(request, str(error))
    return redirect("readings:reading-questions", id=reading.pk)


# ---------------------------------------------------------------------------- the study as a whole


def _done(request: PersonRequest, reading: Reading, said: str) -> HttpResponse:
    messages.success(request, said)
    return redirect("readings:reading-detail", id=reading.pk)


@of_study
@require_POST
def reading_close_view(request: PersonRequest, reading: Reading) -> HttpResponse:
    """End the reading."""
    reading_close(user=request.user, reading=reading)
    return _done(request, reading, _("The study is closed. The truth is still hidden."))


@of_study
@require_POST
def reading_unblind_view(request: PersonRequest, reading: Reading) -> HttpResponse:
    """Reveal the truth, once, and have the report computed."""
    unblinded = reading_unblind(user=request.user, reading=reading)
    report_request(user=request.user, reading=unblinded)
    messages.success(request, _("The study is unblinded; this is in the audit trail."))
    return redirect("readings:reading-report", id=reading.pk)


@of_study
@require_POST
def reading_new_version_view(request: PersonRequest, reading: Reading) -> HttpResponse:
    """A new draft from a launched study."""
    new = reading_new_version(user=request.user, reading=reading)
    return _done(request, new, _("This is a new version: same questions and items, no readers yet."))


@of_study
@require_POST
def reading_delete_view(request: PersonRequest, reading: Reading) -> HttpResponse:
    """Delete a draft."""
    title = reading.title
    reading_delete(user=request.user, reading=reading)
    messages.success(request, _("The study “%(title)s” is deleted.") % {"title": title})
    return redirect("readings:reading-list")
