"""The severity read off the image, for the form that asks what it shows now."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from webapp.core.errors import ApplicationError
from webapp.core.permissions import require
from webapp.jobs.cards import JobCard
from webapp.jobs.edit_words import level_word
from webapp.jobs.forms_edits import LEVELS
from webapp.jobs.models import Job, SynthesisRequest
from webapp.jobs.severities import GRADE_WORDS
from webapp.jobs.severity_estimates import estimate_of, severity_estimate_for, severity_estimate_submit
from webapp.jobs.views_edits import form_of

PART = "jobs/counterfactual_severity.html"
NEEDED = ("mask", "model", "modality")


@login_required
@require_POST
def severity_estimate(request: HttpRequest) -> HttpResponse:
    """Have the form's slice read; answers with how far that is."""
    require(request.user, "create", SynthesisRequest)
    form = form_of(request)
    if form is None:
        return render(request, PART, {"problem": _("Choose a case first.")})
    form.is_valid()
    wrong = form.errors.get("slice_number")
    if wrong:
        return render(request, PART, {"problem": " ".join(map(str, wrong))})
    values = form.cleaned_data
    if not all(values.get(name) for name in NEEDED):
        return render(request, PART, {"problem": _("Choose a mask, a model and the kind of image first.")})
    number = values.get("slice_number")
    try:
        job = severity_estimate_submit(
            user=request.user,
            model=form.models[values["model"]],
            case=form.case_object,
            mask=form.masks.get(values["mask"]),
            modality=values["modality"],
            slice_index=number - 1 if number is not None else None,
        )
    except ApplicationError as error:
        return render(request, PART, {"problem": str(error)})
    return render(request, PART, {"job": job, "card": JobCard(job, request.user), "is_first": True})


@login_required
@never_cache
@require_safe
def severity_estimate_fragment(request: HttpRequest, id: UUID) -> HttpResponse:
    """How far it is; once it is read, what was read, and the form's field with it."""
    job = severity_estimate_for(user=request.user, id=id)
    found = estimate_of(job)
    context: dict[str, Any] = {"job": job, "card": JobCard(job, request.user)}
    if found is not None:
        context |= {
            "estimate": found,
            "words": level_word(found.choice),
            "grades": [(GRADE_WORDS[name], share) for name, share in found.grades],
            "number": int(job.payload["slice_index"]) + 1,
            "field": _field(found.choice),
        }
    answer = render(request, PART, context)
    if job.state == Job.State.SUCCEEDED:
        answer["HX-Trigger-After-Settle"] = "severity-read"
    return answer


def _field(level: float) -> str:
    """The form's field with a value in it, to be put in the old one's place."""
    choices = [(f"{one:g}", level_word(one)) for one in LEVELS]
    place = {
        "id": "id_was_severity",
        "aria-describedby": "id_was_severity_helptext",
        "hx-swap-oob": "true",
    }
    return forms.Select(choices=choices).render("was_severity", f"{level:g}", attrs=place)
