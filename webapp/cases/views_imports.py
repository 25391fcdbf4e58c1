"""Importing: choose files, watch, read the report."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from webapp.accounts.requests import PersonRequest
from webapp.cases.forms import UploadForm
from webapp.cases.models import Case, ImportRun, ImportState, Outcome
from webapp.cases.selectors import dataset_get_for, import_get_for
from webapp.cases.services import import_start
from webapp.core.errors import ApplicationError
from webapp.core.permissions import require

STOP_POLLING = 286  # htmx: swap this answer in and ask no more
ENTRIES_PER_PAGE = 100
TONES = {
    Outcome.TAKEN: "badge--ok",
    Outcome.CHANGED: "badge--info",
    Outcome.DUPLICATE: "",
    Outcome.REFUSED: "badge--error",
}
ICONS = {
    Outcome.TAKEN: "check",
    Outcome.CHANGED: "pencil",
    Outcome.DUPLICATE: "copy",
    Outcome.REFUSED: "x",
}


@login_required
def import_new(request: PersonRequest, id: UUID) -> HttpResponse:
    """GET: the page to drop files on. POST: stage them and hand the import to a worker."""
    dataset = dataset_get_for(user=request.user, id=id)
    require(request.user, "manage", dataset)
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if request.method == "POST":
        if form.is_valid():
            files = form.named_files()
            try:
                run = import_start(
                    user=request.user, dataset=dataset, files=files, source_name=_source_name(files)
                )
            except ApplicationError as error:
                form.add_error("files", str(error))
            else:
                address = reverse("cases:import-detail", kwargs={"id": run.pk})
                if _wants_json(request):
                    return JsonResponse({"location": address}, status=201)
                return redirect(address)
        if _wants_json(request):
            detail = " ".join(str(error) for errors in form.errors.values() for error in errors)
            return JsonResponse({"detail": detail}, status=400)
    context = {"dataset": dataset, "form": form}
    return render(request, "cases/import_new.html", context, status=400 if form.errors else 200)


def _wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "").startswith("application/json")


def _source_name(files: list[tuple[str, Any]]) -> str:
    """The one file's name, the folder that all lie in, or how many files there are."""
    if len(files) == 1:
        return files[0][0].rsplit("/", 1)[-1]
    tops = {path.split("/", 1)[0] for path, _file in files if "/" in path}
    if len(tops) == 1 and all("/" in path for path, _file in files):
        return tops.pop()
    return ngettext("%(count)d file", "%(count)d files", len(files)) % {"count": len(files)}


@login_required
@never_cache
@require_safe
def import_detail(request: PersonRequest, id: UUID) -> HttpResponse:
    """The report of one import; it fills while the worker is at it."""
    run = import_get_for(user=request.user, id=id)
    return render(request, "cases/import_detail.html", _context(request, run))


@login_required
@never_cache
@require_safe
def import_fragment(request: PersonRequest, id: UUID) -> HttpResponse:
    """The part of the report that changes; 286 at the end, so that htmx asks no more."""
    run = import_get_for(user=request.user, id=id)
    context = _context(request, run)
    return render(
        request, "cases/import_live.html", context, status=STOP_POLLING if context["is_over"] else 200
    )


def _context(request: HttpRequest, run: ImportRun) -> dict[str, Any]:
    wanted = request.GET.get("outcome", "")
    entries = run.entries.select_related("case")
    if wanted in Outcome.values:
        entries = entries.filter(outcome=wanted)
    page = Paginator(entries, ENTRIES_PER_PAGE).get_page(request.GET.get("page"))
    rows = [
        {"entry": entry, "tone": TONES[Outcome(entry.outcome)], "icon": ICONS[Outcome(entry.outcome)]}
        for entry in page
    ]
    counts = {outcome: getattr(run, outcome) for outcome in Outcome.values}
    filters = [("", _("All files"), sum(counts.values()))]
    filters += [(outcome.value, str(outcome.label), counts[outcome.value]) for outcome in Outcome]
    return {
        "run": run,
        "dataset": run.dataset,
        "cases": Case.objects.filter(import_entries__run=run).distinct().order_by("name")[:24],
        "page_obj": page,
        "rows": rows,
        "filters": filters,
        "outcome": wanted if wanted in Outcome.values else "",
        "is_over": run.state in {ImportState.FINISHED, ImportState.FAILED},
        "fraction": run.done / run.total if run.total else 0,
    }
