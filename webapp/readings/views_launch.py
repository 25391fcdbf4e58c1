"""Readers, preparation with its audit, and the launch."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.models import User
from webapp.accounts.requests import PersonRequest
from webapp.core.errors import ApplicationError, NotVisible
from webapp.jobs.cards import JobCard
from webapp.jobs.models import Job
from webapp.readings.conflicts import places_unconfirmed
from webapp.readings.forms import AcceptForm, InviteForm, explain
from webapp.readings.freezing import reading_protocol
from webapp.readings.models import Place, Preparation, Reading
from webapp.readings.selectors import place_get_for_lead, reading_get_for
from webapp.readings.services_launch import reading_launch
from webapp.readings.services_places import MayKnow, place_invite, place_remove
from webapp.readings.services_preparation import preparation_accept, reading_prepare
from webapp.readings.steps import counts_of, hints_of, obstacles_of
from webapp.readings.views_design import of_draft, of_study, study_page

# ---------------------------------------------------------------------------- readers


@of_study
@require_safe
def reading_readers(request: PersonRequest, reading: Reading) -> HttpResponse:
    """Who reads."""
    return _readers_page(request, reading, InviteForm())


def _readers_page(
    request: PersonRequest, reading: Reading, form: InviteForm, *, status: int = 200, may_know: str = ""
) -> HttpResponse:
    places = Place.objects.filter(reading=reading, is_auditor=False).select_related("user")
    context: dict[str, Any] = {
        "form": form,
        "places": places,
        "may_know": may_know,
        "may_invite": reading.state not in (Reading.State.CLOSED, Reading.State.UNBLINDED),
    }
    return study_page(request, "reading_readers", reading, status=status, step="readers", **context)


@of_study
@require_POST
def reading_invite(request: PersonRequest, reading: Reading) -> HttpResponse:
    """Invite one reader by sign-in name."""
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _readers_page(request, reading, form, status=400)
    name = form.cleaned_data["reader"].strip()
    reader = User.objects.filter(username__iexact=name, is_active=True).first()
    try:
        if reader is None:
            raise ApplicationError(
                _("Nobody signs in as “%(name)s”. Ask an administrator for the name.") % {"name": name},
                field="reader",
            )
        place = place_invite(
            user=request.user, reading=reading, reader=reader, confirm=form.cleaned_data["confirm"]
        )
    except MayKnow as error:
        return _readers_page(request, reading, form, status=409, may_know=str(error))
    except ApplicationError as error:
        explain(form, error)
        return _readers_page(request, reading, form, status=400)
    messages.success(
        request,
        _("%(reader)s is invited as reader %(n)d.") % {"reader": reader, "n": place.number},
    )
    return redirect("readings:reading-readers", id=reading.pk)


@of_study
@require_POST
def reading_uninvite(request: PersonRequest, reading: Reading, place: UUID) -> HttpResponse:
    """Take an invitation back."""
    found = place_get_for_lead(user=request.user, reading=reading, id=place)
    reader = found.user
    place_remove(user=request.user, place=found)
    messages.success(request, _("%(reader)s reads in this study no more.") % {"reader": reader})
    return redirect("readings:reading-readers", id=reading.pk)


# ---------------------------------------------------------------------------- preparing, audit


@of_draft
def reading_prepare_view(request: PersonRequest, reading: Reading) -> HttpResponse:
    """Start the preparation, watch it, read what it found."""
    if request.method == "POST":
        try:
            reading_prepare(user=request.user, reading=reading)
        except ApplicationError as error:
            messages.error(request, str(error))
        return redirect("readings:reading-prepare", id=reading.pk)
    context = _preparation_context(request, reading)
    if request.GET.get("as") == "live":
        if reading.state != Reading.State.PREPARING:  # the whole page has changed
            return HttpResponse(headers={"HX-Refresh": "true"})
        return render(request, "readings/reading_prepare_live.html", {"reading": reading} | context)
    return study_page(request, "reading_prepare", reading, step="prepare", **context)


def _preparation_context(request: PersonRequest, reading: Reading) -> dict[str, Any]:
    job = Job.objects.filter(pk=reading.job_id).first() if reading.job_id else None
    return {
        "card": JobCard(job, request.user) if job is not None else None,
        "preparation": Preparation.objects.filter(reading=reading).first(),
        "obstacles": obstacles_of(reading),
        "counts": counts_of(reading),
        "accept_form": AcceptForm(),
    }


@of_study
@require_safe
def reading_audit(request: PersonRequest, reading: Reading) -> HttpResponse:
    """What harmonising did and what the audit found, in full."""
    preparation = Preparation.objects.filter(reading=reading).first()
    if preparation is None:
        raise NotVisible()
    context: dict[str, Any] = {"preparation": preparation, "accept_form": AcceptForm()}
    return study_page(request, "reading_audit", reading, step="prepare", **context)


@of_study
@require_POST
def reading_accept(request: PersonRequest, reading: Reading) -> HttpResponse:
    """Accept in writing what the audit found in the pixels."""
    form = AcceptForm(request.POST)
    if form.is_valid():
        try:
            preparation_accept(user=request.user, reading=reading, note=form.cleaned_data["note"])
        except ApplicationError as error:
            if error.status == 409:
                raise
            explain(form, error)
        else:
            messages.success(request, _("Accepted. The study can be launched."))
            return redirect("readings:reading-launch", id=reading.pk)
    preparation = Preparation.objects.filter(reading=reading).first()
    context: dict[str, Any] = {"preparation": preparation, "accept_form": form}
    return study_page(request, "reading_audit", reading, status=400, step="prepare", **context)


# ---------------------------------------------------------------------------- launch


@of_study
def reading_launch_view(request: PersonRequest, reading: Reading) -> HttpResponse:
    """What will be frozen, what is missing, and the button."""
    if request.method == "POST":
        launched = reading_launch(
            user=request.user, reading=reading, confirm=bool(request.POST.get("confirm"))
        )
        messages.success(request, _("The study is open. Its readers find it under Readings."))
        return redirect("readings:reading-detail", id=launched.pk)
    if reading.state in Reading.LAUNCHED:
        return redirect("readings:reading-detail", id=reading.pk)
    fresh = reading_get_for(user=request.user, id=reading.pk)
    context: dict[str, Any] = {
        "protocol": reading_protocol(fresh),
        "counts": counts_of(fresh),
        "places": Place.objects.filter(reading=fresh, is_auditor=False).select_related("user"),
        "obstacles": obstacles_of(fresh),
        "hints": hints_of(fresh),
        "unconfirmed": places_unconfirmed(fresh),
        "preparation": Preparation.objects.filter(reading=fresh).first(),
    }
    return study_page(request, "reading_launch", fresh, step="launch", **context)
