"""The lead's pages about answers: live progress without truth, the report, its figures, and exports."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from webapp.core.permissions import require
from webapp.jobs.cards import JobCard
from webapp.readings.exports import EXPORTS, reading_export
from webapp.readings.figures import FIGURES
from webapp.readings.gathering import require_unblinded
from webapp.readings.models import Reading, ReadingItem, ReadingReport
from webapp.readings.progress import progress_of
from webapp.readings.report_page import context_of, figure_of, item_picture
from webapp.readings.selectors import reading_get_for
from webapp.readings.services_report import report_job, report_latest, report_request

STOP_POLLING = 286  # htmx: swap this answer in and ask no more
THEMES = ("dark", "light")


@login_required
@never_cache
@require_safe
def progress(request: HttpRequest, id: UUID) -> HttpResponse:
    """How far every reader is: a part of the study's page, asked for again while the study is open."""
    reading = reading_get_for(user=request.user, id=id)
    context = {"reading": reading, "progress": progress_of(user=request.user, reading=reading)}
    is_open = reading.state == Reading.State.OPEN
    polling = request.headers.get("HX-Trigger") == "reading-progress"
    status = STOP_POLLING if polling and not is_open else 200
    return render(request, "readings/progress.html", context | {"is_open": is_open}, status=status)


@login_required
@never_cache
@require_safe
def report(request: HttpRequest, id: UUID) -> HttpResponse:
    """The report; while it is being computed, a page that says so and follows the job."""
    reading = _unblinded(request, id)
    found = ReadingReport.objects.filter(reading=reading).first()
    if found is None:
        return render(request, "readings/report_waiting.html", _waiting(request, reading))
    return render(request, "readings/report.html", context_of(request.user, reading, found))


@login_required
@never_cache
@require_safe
def report_print(request: HttpRequest, id: UUID) -> HttpResponse:
    """The same for paper: light, every table open, the protocol's digest on every page."""
    reading = _unblinded(request, id)
    context = context_of(request.user, reading, report_latest(reading))
    return render(request, "readings/report_print.html", context | {"is_printed": True})


@login_required
@never_cache
@require_safe
def report_live(request: HttpRequest, id: UUID) -> HttpResponse:
    """The part of the waiting page that follows the job; once the report is there, to the report."""
    reading = _unblinded(request, id)
    if ReadingReport.objects.filter(reading=reading).exists():
        return HttpResponse(headers={"HX-Refresh": "true"})
    return render(request, "readings/report_live.html", _waiting(request, reading))


@login_required
@require_POST
def report_again(request: HttpRequest, id: UUID) -> HttpResponse:
    """Compute the report; an earlier one is kept beside it."""
    reading = _unblinded(request, id)
    job = report_request(user=request.user, reading=reading)
    if ReadingReport.objects.filter(reading=reading).exists():
        return redirect("jobs:job-detail", id=job.pk)
    return redirect("readings:reading-report", id=reading.pk)


@login_required
@require_safe
def report_figure(request: HttpRequest, id: UUID, name: str) -> HttpResponse:
    """One figure as SVG (?theme=dark|light); ?of= names the report, so that it can be kept for good."""
    reading = _unblinded(request, id)
    found = report_latest(reading)
    drawn = figure_of(found.pk, name) if name in FIGURES else None
    theme = request.GET.get("theme", "light")
    if drawn is None or theme not in THEMES:
        raise Http404
    kept = "private, max-age=31536000, immutable" if request.GET.get("of") == str(found.pk) else "no-cache"
    return HttpResponse(
        drawn.themed(theme),
        content_type="image/svg+xml",
        headers={
            "Cache-Control": kept,
            "Content-Disposition": f'inline; filename="{name}-{theme}.svg"',
        },
    )


@login_required
@require_safe
def report_item(request: HttpRequest, id: UUID, number: int) -> HttpResponse:
    """One item of the unblinded study as a small picture."""
    reading = _unblinded(request, id)
    item = ReadingItem.objects.select_related("truth__case").filter(reading=reading, number=number).first()
    if item is None:
        raise Http404
    headers = {"Cache-Control": "private, max-age=86400"}
    return HttpResponse(item_picture(item), content_type="image/png", headers=headers)


@login_required
@require_safe
def export(request: HttpRequest, id: UUID, kind: str) -> HttpResponse:
    """One export of the unblinded study as a file."""
    reading = reading_get_for(user=request.user, id=id)
    if kind not in EXPORTS:
        raise Http404
    file = reading_export(user=request.user, reading=reading, kind=kind)
    headers = {
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Cache-Control": "no-store",
    }
    return HttpResponse(file.content, content_type=file.content_type, headers=headers)


def _unblinded(request: HttpRequest, id: UUID) -> Reading:
    """The study, for its lead and once it is unblinded; a plain refusal before."""
    reading = reading_get_for(user=request.user, id=id)
    require_unblinded(reading)
    require(request.user, "export", reading)
    return reading


def _waiting(request: HttpRequest, reading: Reading) -> dict[str, Any]:
    job = report_job(reading)
    return {"reading": reading, "card": JobCard(job, request.user) if job else None, "job": job}
