"""A reader's pages and what their scripts call: welcome, the reading page, answers, pause, thanks."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webapp.core.errors import ApplicationError
from webapp.readings import services_taking
from webapp.readings.forms_taking import ExperienceForm
from webapp.readings.models.taking import Place
from webapp.readings.selectors_taking import (
    Terms,
    has_practice,
    opens_at,
    phase_of,
    place_for,
    place_state,
    present_of,
    terms_of,
)
from webapp.readings.serving.answers import for_readers, no_store

MOST_BYTES = 64 * 1024
_ITEM = "ITEM"  # stands in the reading page's addresses where the script puts an item's token


# --- pages


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def welcome(request: HttpRequest, place_id: UUID) -> HttpResponse:
    """What the study asks, the keys, and where to begin or go on. POST: profession and experience."""
    place = place_for(user=request.user, place_id=place_id)
    terms = terms_of(place.reading_id)
    present = present_of(place)
    phase = phase_of(place, present, terms.washout)
    form = ExperienceForm(request.POST or None)
    asks = phase == "ready" and place.started_at is None and not place.experience
    if request.method == "POST" and asks and form.is_valid():
        services_taking.experience_set(
            user=request.user,
            place_id=place_id,
            experience=form.cleaned_data,
        )
        return redirect("readings:take-read", place_id=place_id)
    total = place.assignments.count()
    context = {
        "place": place,
        "reading": place.reading,
        "terms": terms,
        "phase": phase,
        "form": form if asks else None,
        "total": total,
        "done": place.assignments.filter(completed_at__isnull=False).count(),
        "has_practice": has_practice(place),
        "session": present.session if present else terms.session_count,
        "opens_at": opens_at(place, present, terms.washout) if present else None,
    }
    return no_store(render(request, "readings/take_welcome.html", context))


@login_required
@require_GET
def read(request: HttpRequest, place_id: UUID) -> HttpResponse:
    """The reading page: one address and one title, whatever item is on it."""
    place = place_for(user=request.user, place_id=place_id)
    terms = terms_of(place.reading_id)
    phase = phase_of(place, present_of(place), terms.washout)
    if phase == "finished":
        return redirect("readings:take-finish", place_id=place_id)
    is_new = place.started_at is None and not place.experience and not place.is_auditor
    if phase not in ("reading", "paused", "ready", "complete") or is_new:
        return redirect("readings:take-welcome", place_id=place_id)
    context = {"place": place, "reading": place.reading, "terms": terms, "config": _config(place, terms)}
    return no_store(render(request, "readings/take_read.html", context))


def _config(place: Place, terms: Terms) -> dict[str, Any]:
    """What the reading page is given once: the questions and the addresses it calls."""

    def address(name: str) -> str:
        return reverse(f"readings:take-{name}", kwargs={"place_id": place.pk})

    def of_item(name: str) -> str:
        return reverse(f"readings:take-{name}", kwargs={"place_id": place.pk, "token": _ITEM})

    return {
        "place": str(place.pk),
        "questions": [question.for_reader() for question in terms.questions],
        "window": terms.window,
        "going_back": terms.going_back,
        "urls": {
            "state": address("state"),
            "resume": address("resume"),
            "pause": address("pause"),
            "finish": address("finish"),
            "welcome": address("welcome"),
            "answers": of_item("answers"),
            "viewing": of_item("viewing"),
        },
    }


# --- what the reading page calls


@for_readers
@require_GET
def state(request: HttpRequest, place_id: UUID) -> HttpResponse:
    """Where the reader is. ``?page=`` names the asking page, ``?at=`` looks back where that is allowed."""
    place = place_for(user=request.user, place_id=place_id)
    at = request.GET.get("at", "")
    if at and (not at.isascii() or not at.isdecimal() or len(at) > 6):
        raise ApplicationError(_("A position is a whole number from 0."), field="at")
    page = request.GET.get("page", "")
    found = place_state(place=place, page=page[:36], at=int(at) if at else None)
    return no_store(JsonResponse(found))


@for_readers
@require_POST
def resume(request: HttpRequest, place_id: UUID) -> HttpResponse:
    """``{"page"}``: this page takes the answers from now on."""
    page = _uuid(_body(request), "page")
    place = services_taking.place_open(user=request.user, place_id=place_id, page=page)
    return no_store(JsonResponse(place_state(place=place, page=str(page))))


@for_readers
@require_POST
def pause(request: HttpRequest, place_id: UUID) -> HttpResponse:
    """``{"page"}``: pause."""
    page = _uuid(_body(request), "page")
    place = services_taking.place_pause(user=request.user, place_id=place_id, page=page)
    return no_store(JsonResponse(place_state(place=place, page=str(page))))


@for_readers
@require_POST
def answers(request: HttpRequest, place_id: UUID, token: str) -> HttpResponse:
    """``{"page", "submission", "answers": {name: value}, "seconds", "is_complete"}``: answer.

    The reply tells what became of it, and the state that follows, so that the next items can be loaded.
    """
    body = _body(request)
    given = body.get("answers")
    if not isinstance(given, dict):
        raise ApplicationError(_("The answers could not be read."), field="answers")
    page = _uuid(body, "page")
    outcome = services_taking.answer_give(
        user=request.user,
        place_id=place_id,
        token=token,
        page=page,
        submission=_uuid(body, "submission"),
        answers=given,
        seconds=_seconds(body),
        is_complete=body.get("is_complete") is True,
    )
    place = place_for(user=request.user, place_id=place_id)
    reply = {"outcome": outcome.outcome, "feedback": outcome.feedback}
    return no_store(JsonResponse(reply | {"state": place_state(place=place, page=str(page))}))


@for_readers
@require_POST
def viewing(request: HttpRequest, place_id: UUID, token: str) -> HttpResponse:
    """``{"submission", "log"}``: keep how the item was looked at."""
    body = _body(request)
    log = body.get("log")
    if not isinstance(log, dict):
        raise ApplicationError(_("This is no report of how an item was looked at."), field="log")
    services_taking.viewing_record(
        user=request.user,
        place_id=place_id,
        token=token,
        submission=_uuid(body, "submission"),
        log=log,
    )
    return no_store(JsonResponse({"outcome": "stored"}))


def finish(request: HttpRequest, place_id: UUID) -> HttpResponseBase:
    """GET: the page of thanks. POST, by the reading page: end the reading."""
    return _finish(request, place_id) if request.method == "POST" else _thanks(request, place_id)


@for_readers
def _finish(request: HttpRequest, place_id: UUID) -> HttpResponse:
    place = services_taking.place_finish(user=request.user, place_id=place_id)
    return no_store(JsonResponse(place_state(place=place)))


@login_required
@require_GET
def _thanks(request: HttpRequest, place_id: UUID) -> HttpResponse:
    place = place_for(user=request.user, place_id=place_id)
    if place.state != Place.State.FINISHED:
        return redirect("readings:take-welcome", place_id=place_id)
    context = {"place": place, "reading": place.reading, "total": place.assignments.count()}
    return no_store(render(request, "readings/take_finish.html", context))


# --- what the scripts send


def _body(request: HttpRequest) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        ApplicationError: when it is none, or larger than any page of ours would send.
    """
    if len(request.body) > MOST_BYTES:
        raise ApplicationError(_("This is larger than an answer can be."))
    try:
        found = json.loads(request.body)
    except ValueError as error:
        raise ApplicationError(_("This could not be read.")) from error
    if not isinstance(found, dict):
        raise ApplicationError(_("This could not be read."))
    return found


def _uuid(body: dict[str, Any], name: str) -> UUID:
    try:
        return UUID(str(body.get(name)))
    except ValueError as error:
        raise ApplicationError(_("This could not be read."), field=name) from error


def _seconds(body: dict[str, Any]) -> float:
    value = body.get("seconds")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApplicationError(_("The time in view is missing."), field="seconds")
    return float(value)
