"""Archives of datasets that wait to be fetched: which there are, for how long, and handing them out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.files.storage import default_storage
from django.db.models import QuerySet
from django.http import FileResponse, Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.cases.files import export_folder
from webapp.cases.models import Dataset
from webapp.cases.selectors import dataset_get_for
from webapp.cases.services import dataset_export_forget
from webapp.core.permissions import require
from webapp.core.services import audit_record
from webapp.jobs.models import Job
from webapp.jobs.selectors import job_get_for, job_list_for

KIND = "export"
KEPT = timedelta(days=7)


def export_list_for(*, user: Any, dataset: Dataset) -> QuerySet[Job]:
    """The person's own exports of a dataset, newest first."""
    return job_list_for(user=user).filter(kind=KIND, subject_type="cases.Dataset", subject_id=dataset.pk)


def export_get_for(*, user: Any, id: UUID) -> Job:
    """An export of the person's own. Whoever may no longer export that dataset may not see it either.

    Raises:
        Http404: for another's job, another kind of job, or a dataset that is gone.
    """
    job = job_get_for(user=user, id=id)
    if job.kind != KIND or job.owner_id != user.pk:
        raise Http404(_("This export does not exist, or it is not yours."))
    require(user, "export", dataset_get_for(user=user, id=job.payload["dataset_id"]))
    return job


def export_is_ready(job: Job) -> bool:
    """Whether the job's archive can be fetched."""
    until = export_kept_until(job)
    return until is not None and until > timezone.now() and default_storage.exists(job.outcome["file"])


def export_kept_until(job: Job) -> datetime | None:
    """When the archive of a finished export is deleted; None for every other job."""
    if job.kind != KIND or job.state != Job.State.SUCCEEDED or not job.outcome.get("file"):
        return None
    return job.finished_at + KEPT if job.finished_at is not None else None


def export_download(*, user: Any, job: Job) -> FileResponse:
    """The archive; the right to export is asked for again, for it may have been taken away.

    Raises:
        Http404: for another's job, another kind of job, or an archive that is gone.
    """
    require(user, "view", job)
    if job.owner_id != user.pk or not export_is_ready(job):
        raise Http404(_("There is no archive of this export, or it was deleted after its time."))
    dataset = dataset_get_for(user=user, id=job.payload["dataset_id"])
    require(user, "export", dataset)
    audit_record(
        actor=user,
        action="dataset.downloaded",
        obj=dataset,
        detail={"form": job.payload["form"], "job": str(job.pk)},
    )
    name = f"{dataset.slug}-{job.payload['form']}.zip"
    return FileResponse(
        default_storage.open(job.outcome["file"], "rb"),
        as_attachment=True,
        filename=name,
        content_type="application/zip",
    )


def exports_tidy(*, dataset_id: UUID | str) -> int:
    """Delete the archives of a dataset that no export names, left by workers that were killed; how many."""
    folder = export_folder(dataset_id)
    try:
        _folders, names = default_storage.listdir(folder)
    except FileNotFoundError:
        return 0
    jobs = Job.objects.filter(kind=KIND, subject_id=dataset_id)
    named = {job.outcome.get("file") for job in jobs.filter(state=Job.State.SUCCEEDED)}
    running = tuple(f"{pk}-" for pk in jobs.filter(state__in=Job.HELD).values_list("pk", flat=True))
    lost = [name for name in names if f"{folder}/{name}" not in named and not name.startswith(running)]
    for name in lost:
        dataset_export_forget(file=f"{folder}/{name}")
    return len(lost)


def exports_expire() -> int:
    """Delete the archives whose time is over; how many."""
    old = Job.objects.filter(
        kind=KIND, state=Job.State.SUCCEEDED, finished_at__lt=timezone.now() - KEPT, outcome__has_key="file"
    )
    over = list(old.exclude(outcome__file=""))
    for job in over:
        dataset_export_forget(file=job.outcome["file"])
        Job.objects.filter(pk=job.pk).update(outcome={**job.outcome, "file": ""})
    return len(over)
