"""Exporting a dataset: asking for it, and fetching the archive."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from synthesis.patient_splits import SHARES, SPLITS
from webapp.cases.selectors import dataset_get_for
from webapp.cases.services import dataset_export_start
from webapp.core.errors import ApplicationError
from webapp.core.permissions import require
from webapp.jobs.cards import JobCard
from webapp.jobs.exports import KEPT, export_download, export_list_for
from webapp.jobs.forms import ExportForm
from webapp.jobs.selectors import job_get_for

SHOWN = 6


@login_required
@never_cache
def dataset_export(request: HttpRequest, id: UUID) -> HttpResponse:
    """What an export holds, asking for one, and the last ones with their archives."""
    user: Any = request.user
    dataset = dataset_get_for(user=user, id=id)
    require(user, "export", dataset)
    form = ExportForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            job = dataset_export_start(user=user, dataset=dataset, form=form.cleaned_data["form"])
        except ApplicationError as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            messages.success(request, _("Handed in. You may leave this page; the work goes on."))
            return redirect("jobs:job-detail", id=job.pk)
    context = {
        "dataset": dataset,
        "form": form,
        "cards": [JobCard(job, user) for job in export_list_for(user=user, dataset=dataset)[:SHOWN]],
        "days": KEPT.days,
        "shares": [(split, round(100 * share)) for split, share in zip(SPLITS, SHARES, strict=True)],
    }
    return render(request, "jobs/dataset_export.html", context, status=400 if form.errors else 200)


@login_required
@require_safe
def job_file(request: HttpRequest, id: UUID) -> FileResponse:
    """The archive that an export made."""
    return export_download(user=request.user, job=job_get_for(user=request.user, id=id))
