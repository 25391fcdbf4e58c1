"""Writing datasets, cases and masks, and starting and doing imports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from synthesis.imaging.errors import UnreadableFile
from webapp.accounts.models import User
from webapp.cases.files import case_folder, export_folder, import_folder, remove_folder, scratch_folder
from webapp.cases.importing.build import CaseFacts
from webapp.cases.importing.build import case_create as build_case
from webapp.cases.importing.incoming import stored_from_files
from webapp.cases.importing.run import execute, stop
from webapp.cases.importing.staging import stage_files, stage_path
from webapp.cases.models import (
    Case,
    Dataset,
    DatasetShare,
    ImportRun,
    ImportState,
    Instance,
    ShareLevel,
    SourceFormat,
)
from webapp.cases.rules import MANAGERS, may_browse
from webapp.cases.selectors import mask_array as mask_array
from webapp.cases.services_cases import case_delete as case_delete
from webapp.cases.services_cases import case_update as case_update
from webapp.cases.services_cases import cases_with_derived
from webapp.cases.services_exports import dataset_export as dataset_export
from webapp.cases.services_exports import dataset_export_execute as dataset_export_execute
from webapp.cases.services_exports import dataset_export_forget as dataset_export_forget
from webapp.cases.services_exports import dataset_export_start as dataset_export_start
from webapp.cases.services_masks import case_masks_relay as case_masks_relay
from webapp.cases.services_masks import mask_delete as mask_delete
from webapp.cases.services_masks import mask_labels as mask_labels
from webapp.cases.services_masks import mask_save as mask_save
from webapp.cases.services_masks import mask_sha256 as mask_sha256
from webapp.core import work
from webapp.core.errors import ApplicationError, Conflict
from webapp.core.services import audit_record

OnStep = Callable[[int, int, str], None]
"""Told (done, of how many, what is happening); raises to stop the work."""

# ---------------------------------------------------------------------------- datasets


@transaction.atomic
def dataset_create(
    *, user: User, name: str, description: str = "", licence: str = "", purpose: str = ""
) -> Dataset:
    """Make an empty dataset that the person owns.

    Raises:
        ApplicationError: without a name, or where the name is taken.
    """
    name = _free_name(name)
    dataset = Dataset.objects.create(
        name=name,
        slug=_free_slug(name),
        description=description.strip(),
        licence=licence.strip(),
        purpose=purpose.strip(),
        owner=user,
    )
    audit_record(actor=user, action="dataset.created", obj=dataset)
    return dataset


@transaction.atomic
def dataset_update(
    *, user: User, dataset: Dataset, name: str, description: str, licence: str, purpose: str
) -> Dataset:
    """Change what a dataset says of itself.

    Raises:
        ApplicationError: without a name, or where another dataset has it.
    """
    new_name = _free_name(name, other_than=dataset)
    before = {"name": dataset.name, "licence": dataset.licence}
    dataset.name, dataset.description = new_name, description.strip()
    dataset.licence, dataset.purpose = licence.strip(), purpose.strip()
    dataset.save(update_fields=["name", "description", "licence", "purpose", "updated_at"])
    audit_record(actor=user, action="dataset.changed", obj=dataset, detail={"before": before})
    return dataset


def _free_name(name: str, *, other_than: Dataset | None = None) -> str:
    name = " ".join(name.split())
    if not name:
        raise ApplicationError(_("Give the dataset a name."), field="name")
    if len(name) > 120:
        raise ApplicationError(_("A dataset's name has at most 120 characters."), field="name")
    taken = Dataset.objects.filter(name__iexact=name)
    if other_than is not None:
        taken = taken.exclude(pk=other_than.pk)
    if taken.exists():
        raise ApplicationError(_("Another dataset already has this name."), field="name", code="name_taken")
    return name


def _free_slug(name: str) -> str:
    base = slugify(name)[:120] or "dataset"
    slug, number = base, 1
    while Dataset.objects.filter(slug=slug).exists():
        number += 1
        slug = f"{base}-{number}"
    return slug


@transaction.atomic
def dataset_share(*, user: User, dataset: Dataset, person: User, level: str | None) -> DatasetShare | None:
    """Let a person view, annotate or manage a dataset, or (level None) no longer.

    Raises:
        ApplicationError: for the owner, for somebody whose roles do not let them use the share, or
            an unknown level.
    """
    if level is None:
        DatasetShare.objects.filter(dataset=dataset, user=person).delete()
        audit_record(actor=user, action="dataset.unshared", obj=dataset, detail={"person": person.username})
        return None
    if level not in ShareLevel.values:
        raise ApplicationError(_("A dataset is shared as view, annotate or manage."), field="level")
    if person.pk == dataset.owner_id:
        raise ApplicationError(
            _("This person owns the dataset and may do everything already."), field="person"
        )
    if not may_browse(person):
        raise ApplicationError(
            _("This person's roles do not include looking at datasets. An administrator can change that."),
            field="person",
        )
    if level == ShareLevel.MANAGE and not person.has_role(*MANAGERS):
        raise ApplicationError(
            _("Managing a dataset takes the data manager's role, which this person does not have."),
            field="level",
        )
    share, _made = DatasetShare.objects.update_or_create(
        dataset=dataset, user=person, defaults={"level": level}
    )
    audit_record(
        actor=user, action="dataset.shared", obj=dataset, detail={"person": person.username, "level": level}
    )
    return share


@transaction.atomic
def dataset_delete(*, user: User, dataset: Dataset) -> None:
    """Delete a dataset with its cases, masks and imports, what was made of their pixels, and all files.

    Raises:
        Conflict: while an import into it is running.
    """
    if dataset.imports.filter(state__in=[ImportState.WAITING, ImportState.RUNNING]).exists():
        raise Conflict(_("An import into this dataset is still running. Wait for it or stop it first."))
    folders = [case_folder(pk) for pk in cases_with_derived(dataset.cases.values_list("pk", flat=True))]
    folders += [import_folder(pk) for pk in dataset.imports.values_list("pk", flat=True)]
    folders.append(export_folder(dataset.pk))
    audit_record(actor=user, action="dataset.deleted", obj=dataset, detail={"cases": dataset.cases.count()})
    dataset.delete()
    transaction.on_commit(lambda: _remove_folders(folders))


def _remove_folders(folders: Iterable[str]) -> None:
    for folder in folders:
        remove_folder(folder)


# ---------------------------------------------------------------------------- cases


def case_create_from_dicom(
    *,
    files: Sequence[bytes | Path],
    name: str,
    attributes: Mapping[str, Any] | None = None,
    is_synthetic: bool = False,
    dataset: Dataset | None = None,
    owner: User | None = None,
    case_id: UUID | None = None,
    derived_from: Case | None = None,
) -> Case:
    """A case out of DICOM files of one series, given as bytes or paths.

    Files that Semblance made itself (`is_synthetic`) keep their UIDs and headers; all others are
    de-identified like an import. Handing in the same files again for the same place gives the case
    that is there already. `case_id` is for callers that must note the id before any file is written.
    `derived_from` is the case whose pixels it was made from.

    Raises:
        ApplicationError: when the files cannot be read, do not make one stack, or when one of their
            UIDs is in use for other pixels.
        ValueError: without files, or with neither dataset nor owner.
    """
    if not files or (dataset is None and owner is None):
        raise ValueError("expected at least one file, and a dataset or an owner.")
    key = dataset.pseudonym_key if dataset is not None else str(owner.pk if owner else "")
    with scratch_folder() as folder:
        try:
            stored, facts = stored_from_files(files, folder, key=None if is_synthetic else key)
        except UnreadableFile as error:
            raise ApplicationError(str(error), code="unreadable") from error
        uids = [item.sop_instance_uid for item in stored]
        known = {i.sop_instance_uid: i for i in Instance.objects.filter(sop_instance_uid__in=uids)}
        if known:
            return _same_case(stored, known, dataset=dataset, owner=owner)
        details = CaseFacts(
            name=name,
            source_format=SourceFormat.SYNTHETIC if is_synthetic else SourceFormat.DICOM,
            patient=facts.patient,
            attributes={**facts.attributes, **(attributes or {})},
            is_synthetic=is_synthetic,
            derived_from=derived_from,
        )
        try:
            return build_case(facts=details, stored=stored, dataset=dataset, owner=owner, case_id=case_id)
        except UnreadableFile as error:
            raise ApplicationError(str(error), code="unreadable") from error


def _same_case(
    stored: Sequence[Any], known: Mapping[str, Instance], *, dataset: Dataset | None, owner: User | None
) -> Case:
    """The case that holds exactly these instances already."""
    cases = {instance.case_id for instance in known.values()}
    same = all(
        (there := known.get(item.sop_instance_uid)) is not None and there.pixel_sha256 == item.pixel_sha256
        for item in stored
    )
    if same and len(cases) == 1:
        case = Case.objects.get(pk=cases.pop())
        place = (dataset.pk if dataset else None, owner.pk if owner else None)
        if (case.dataset_id, case.owner_id) == place and case.instances.count() == len(stored):
            return case
    raise ApplicationError(
        _("An image with the same SOP Instance UID is stored already; it was not overwritten."),
        code="uid_in_use",
    )


# ---------------------------------------------------------------------------- imports


def import_start(
    *,
    user: User,
    dataset: Dataset,
    source_name: str,
    files: Iterable[tuple[str, Any]] | None = None,
    path: Path | None = None,
    in_background: bool = True,
) -> ImportRun:
    """Stage what was brought and hand the import to a worker.

    Args:
        files: (relative path as the person sees it, open binary file) for each upload; written to
            the storage in chunks, under numbers, never under their own names.
        path: a folder or file on the worker's machine, instead of uploads; read where it lies.
        in_background: whether a job is handed in; otherwise the caller runs `import_execute` itself.

    Raises:
        ApplicationError: when there is nothing to import.
        ValueError: with neither or both of `files` and `path`.
    """
    if (files is None) == (path is None):
        raise ValueError("expected either files or path.")
    run = ImportRun(dataset=dataset, owner=user, source_name=_plain(source_name) or _("upload"))
    if files is not None:
        run.staged_path = import_folder(run.pk)
        try:
            run.total = stage_files(run.staged_path, files)
        except BaseException:
            remove_folder(run.staged_path)
            raise
        if run.total == 0:
            raise ApplicationError(_("Choose at least one file to import."), field="files")
    elif path is not None:
        run.staged_path = stage_path(path)
    with transaction.atomic():
        run.save(force_insert=True)
        audit_record(
            actor=user, action="import.started", obj=run, detail={"dataset": str(dataset), "files": run.total}
        )
        if in_background:
            job = work.submit(
                kind="import_cases",
                owner=user,
                payload={"run_id": str(run.pk)},
                subject_type="cases.ImportRun",
                subject_id=run.pk,
            )
            run.job_id = job.pk
            run.save(update_fields=["job_id", "updated_at"])
    return run


def _plain(text: str) -> str:
    """A name to show: printable characters only, at most 300."""
    return "".join(c for c in text if c.isprintable()).strip()[-300:]


def import_execute(*, run_id: UUID | str, on_step: OnStep = lambda done, total, message: None) -> ImportRun:
    """Do an import; called by the records worker, and by `manage.py import_cases` in place.

    Safe to call again after a crash: files already reported are skipped, half-written ones cleared.
    `on_step` may raise to stop; what was taken until then stays, and the report says so.
    """
    return execute(run_id=run_id, on_step=on_step)


def import_stop(*, run_id: UUID | str, message: str) -> None:
    """Close an import that will not go on: cancelled, or given up after too many attempts.

    What was taken stays; the report says `message`. A finished import is left as it is.
    """
    stop(run_id=run_id, message=message)
