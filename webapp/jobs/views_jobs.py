"""The dashboard, the jobs and their live parts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.storage import default_storage
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.models import Role
from webapp.cases.selectors import dataset_list_for
from webapp.core.errors import ApplicationError
from webapp.core.permissions import can, require
from webapp.jobs.cards import JobCard, tiles
from webapp.jobs.models import Job
from webapp.jobs.rules import may_request, oversees_jobs
from webapp.jobs.selectors import (
    job_get_for,
    job_list_for,
    jobs_running_for,
    result_list_for,
    retries_of,
)
from webapp.jobs.services import job_cancel, job_retry
from webapp.registry.selectors import model_list_for

STOP_POLLING = 286  # htmx: swap this answer in and ask no more
PER_PAGE = 25
RECENT = 8


@login_required
@never_cache
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """Where everybody arrives: what runs, what came of it, what is shared, what to do next."""
    user: Any = request.user
    results = result_list_for(user=user)
    datasets = dataset_list_for(user=user)
    models = model_list_for(user=user, offered_only=True)
    running = [JobCard(job, user) for job in jobs_running_for(user=user)[:6]]
    context = {
        "running": running,
        "running_total": jobs_running_for(user=user).count(),
        "results": tiles(user, results[:RECENT]),
        "datasets": datasets[:6],
        "may_request": may_request(user),
        "next_steps": _next_steps(user, bool(models), bool(datasets), bool(results)),
        "is_reader_only": user.roles == {Role.ANNOTATOR},
    }
    return render(request, "jobs/dashboard.html", context)


def _next_steps(user: Any, has_models: bool, has_datasets: bool, has_results: bool) -> list[dict[str, str]]:
    """What this person can usefully do now, most useful first."""
    steps: list[dict[str, str]] = []

    def add(icon: str, title: str, text: str, name: str) -> None:
        steps.append({"icon": icon, "title": title, "text": text, "url": reverse(name)})

    if may_request(user) and has_models and not has_results:
        add(
            "wand-sparkles",
            _("Ask for your first synthetic image"),
            _("A demo anatomy is ready; it takes a few seconds."),
            "jobs:synthesise",
        )
    if user.has_role(Role.DATA_MANAGER) and not has_datasets:
        add(
            "database",
            _("Make a dataset"),
            _("Then import DICOM, NIfTI or pictures into it."),
            "cases:dataset-create",
        )
    if user.has_role(Role.DATA_MANAGER) and not has_models:
        add("boxes", _("Install a model"), _("Without one, no image can be made."), "registry:model-list")
    if has_datasets and may_request(user):
        add(
            "scan-eye",
            _("Open a real scan"),
            _("Paint or import a mask, then synthesise from that slice."),
            "cases:dataset-list",
        )
    if may_request(user) and has_results:
        add(
            "images",
            _("Judge your results"),
            _("Compare each with its mask and source; accept or reject it."),
            "jobs:result-list",
        )
    return steps


@login_required
@never_cache
@require_safe
def job_list(request: HttpRequest) -> HttpResponse:
    """One's jobs, newest first; administrators may look at everybody's (?whose=all)."""
    user: Any = request.user
    require(user, "view", Job)
    everybody = request.GET.get("whose") == "all" and oversees_jobs(user)
    jobs = job_list_for(user=user, everybody=everybody)
    state = request.GET.get("state", "")
    if state == "active":
        jobs = jobs.filter(state__in=Job.ACTIVE)
    elif state in Job.State.values:
        jobs = jobs.filter(state=state)
    page = Paginator(jobs, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page_obj": page,
        "cards": [JobCard(job, user) for job in page],
        "state": state,
        "states": [
            ("", _("All")),
            ("active", _("Unfinished")),
            ("succeeded", _("Done")),
            ("failed", _("Failed")),
        ],
        "everybody": everybody,
        "oversees": oversees_jobs(user),
    }
    return render(request, "jobs/job_list.html", context)


@login_required
@never_cache
@require_safe
def job_detail(request: HttpRequest, id: UUID) -> HttpResponse:
    """One job, live."""
    job = job_get_for(user=request.user, id=id)
    return render(request, "jobs/job_detail.html", _live(request, job))


@login_required
@never_cache
@require_safe
def job_fragment(request: HttpRequest, id: UUID) -> HttpResponse:
    """The part of a job that changes: asked for again and again until it answers 286."""
    job = job_get_for(user=request.user, id=id)
    status = STOP_POLLING if job.is_finished else 200
    if request.GET.get("as") == "card":
        return render(request, "jobs/job_card.html", {"card": JobCard(job, request.user)}, status=status)
    return render(request, "jobs/job_live.html", _live(request, job), status=status)


def _live(request: HttpRequest, job: Job) -> dict[str, Any]:
    user: Any = request.user
    made = job.results.select_related("case").order_by("index")
    sees_results = job.request is not None and can(user, "view", job.request)
    return {
        "job": job,
        "card": JobCard(job, user),
        "events": job.events.all(),
        "results": tiles(user, made, titles=False) if sees_results else [],
        "retries": retries_of(job),
        "sees_detail": oversees_jobs(user),
    }


@login_required
@never_cache
@require_safe
def drawer(request: HttpRequest) -> HttpResponse:
    """The top bar's list of unfinished jobs, with their number."""
    jobs = jobs_running_for(user=request.user)
    cards = [JobCard(job, request.user) for job in jobs[:8]]
    return render(request, "jobs/drawer.html", {"cards": cards, "total": jobs.count()})


@login_required
@require_POST
def job_cancel_view(request: HttpRequest, id: UUID) -> HttpResponse:
    """Cancel this job."""
    job = job_get_for(user=request.user, id=id)
    try:
        job_cancel(user=request.user, job=job)
    except ApplicationError as error:
        messages.warning(request, str(error))
    if request.headers.get("HX-Request"):
        job = job_get_for(user=request.user, id=id)
        template = "jobs/job_card.html" if request.GET.get("as") == "card" else "jobs/job_live.html"
        return render(request, template, _live(request, job))
    return redirect("jobs:job-detail", id=id)


@login_required
@require_POST
def job_retry_view(request: HttpRequest, id: UUID) -> HttpResponse:
    """Hand the same work in again."""
    job = job_get_for(user=request.user, id=id)
    try:
        again = job_retry(user=request.user, job=job)
    except ApplicationError as error:
        messages.warning(request, str(error))
        return redirect("jobs:job-detail", id=id)
    messages.success(request, _("Handed in again as a new job."))
    return redirect("jobs:job-detail", id=again.pk)


@login_required
@require_safe
def job_preview(request: HttpRequest, id: UUID) -> HttpResponseBase:
    """The latest preview picture; it says SYNTHETIC."""
    job = job_get_for(user=request.user, id=id)
    if not job.preview or not default_storage.exists(job.preview):
        raise Http404(_("There is no preview of this job yet."))
    response = FileResponse(default_storage.open(job.preview), content_type="image/png")
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response
