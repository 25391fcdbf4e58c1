"""Exporting a dataset: into a folder for the command line, into a kept zip for the page."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.files.storage import default_storage
from django.db import transaction
from django.utils.translation import gettext as _

from synthesis.patient_splits import SHARES
from webapp.accounts.models import User
from webapp.cases.exporting.sinks import FolderSink, ZipSink
from webapp.cases.exporting.write import FORMS, OnStep, Written, dataset_write
from webapp.cases.files import export_folder, keep_file, scratch_folder
from webapp.cases.models import Dataset
from webapp.core import work
from webapp.core.errors import ApplicationError, Conflict
from webapp.core.permissions import can, require
from webapp.core.services import audit_record

WORDS = {"dicom": "DICOM", "nifti": "NIfTI"}


def dataset_export(
    *,
    user: User,
    dataset: Dataset,
    folder: Path,
    form: str,
    seed: int = 0,
    shares: Sequence[float] = SHARES,
    on_step: OnStep = lambda done, total, message: None,
) -> Written:
    """Write a dataset into a folder of this machine that is empty or not there yet.

    Raises:
        ApplicationError: where the folder holds something, or for what `dataset_write` refuses.
    """
    require(user, "export", dataset)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(
            _("%(folder)s is there already and not empty; nothing was written.") % {"folder": folder}
        )
    written = dataset_write(dataset, FolderSink(folder), form=form, seed=seed, shares=shares, on_step=on_step)
    _note(user, dataset, form, written)
    return written


@transaction.atomic
def dataset_export_start(*, user: User, dataset: Dataset, form: str) -> Any:
    """Hand the export to a worker; returns its job, whose outcome names the zip.

    Raises:
        ApplicationError: for an unknown form or an empty dataset.
    """
    require(user, "export", dataset)
    if form not in FORMS:
        raise ApplicationError(_("A dataset is exported as DICOM or as NIfTI."), field="form")
    if not dataset.cases.exists():
        raise ApplicationError(_("This dataset has no cases, so there is nothing to export."))
    job = work.submit(
        kind="export",
        owner=user,
        payload={"dataset_id": str(dataset.pk), "form": form, "title": f"{dataset.name}, {WORDS[form]}"},
        subject_type="cases.Dataset",
        subject_id=dataset.pk,
    )
    audit_record(
        actor=user, action="dataset.export_asked", obj=dataset, detail={"form": form, "job": str(job.pk)}
    )
    return job


def dataset_export_execute(
    *, user: User, dataset_id: UUID | str, form: str, name: str, on_step: OnStep
) -> dict[str, Any]:
    """Do an export; called by the records worker. The zip is kept as `name` in the dataset's exports.

    Returns {"file", "size", "cases", "masks", "left_out"}; what `on_step` raises leaves nothing behind.

    Raises:
        ApplicationError: where the dataset is gone or no longer theirs to export.
    """
    dataset = Dataset.objects.filter(pk=dataset_id).first()
    if dataset is None:
        raise ApplicationError(_("This dataset was deleted; there is nothing to export."))
    if not can(user, "export", dataset):
        raise ApplicationError(_("You may no longer export this dataset; nothing was written."))
    with scratch_folder() as scratch:
        path = scratch / "export.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            sink = ZipSink(archive, f"{dataset.slug}-v{dataset.version}")
            written = dataset_write(dataset, sink, form=form, on_step=on_step)
        size = path.stat().st_size
        file = keep_file(path, f"{export_folder(dataset.pk)}/{name}")
    _note(user, dataset, form, written)
    return {"file": file, "size": size, **written.summary()}


def dataset_export_forget(*, file: str) -> None:
    """Delete a kept zip; one that is gone is no error."""
    if default_storage.exists(file):
        default_storage.delete(file)


def _note(user: User, dataset: Dataset, form: str, written: Written) -> None:
    detail = {"form": form, "version": dataset.version, **written.summary()}
    audit_record(actor=user, action="dataset.exported", obj=dataset, detail=detail)
