"""An import from its first file to its report; can be taken up again where a killed worker left it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from uuid import UUID

from django.db import DatabaseError
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from synthesis.imaging.errors import UnreadableFile
from webapp.cases.files import case_folder, remove_folder, scratch_folder
from webapp.cases.importing import sniff
from webapp.cases.importing.deidentify import Pseudonyms
from webapp.cases.importing.images import Looked, StackImport, look, stacks_of
from webapp.cases.importing.incoming import quiet
from webapp.cases.importing.masks import LabelMapImport, MaskImport
from webapp.cases.importing.pairing import looks_like_mask
from webapp.cases.importing.report import UNEXPECTED, Report, Stopped
from webapp.cases.importing.sources import Source, gather
from webapp.cases.importing.staging import unique_name
from webapp.cases.importing.tables import Tables, read_tables
from webapp.cases.importing.volumes import VolumeImport
from webapp.cases.models import Case, Dataset, ImportRun, ImportState, Outcome
from webapp.core.errors import ApplicationError
from webapp.core.services import audit_record

logger = logging.getLogger(__name__)


def execute(*, run_id: UUID | str, on_step: Callable[[int, int, str], None]) -> ImportRun:
    """Do the import `run_id`; see `webapp.cases.services.import_execute`."""
    run = ImportRun.objects.select_related("dataset", "owner").get(pk=run_id)
    if run.state == ImportState.FINISHED:
        return run
    if run.state == ImportState.FAILED and not Path(run.staged_path).is_absolute():
        raise ApplicationError(
            _("The uploaded files were removed when this import stopped. Upload them once more."),
            code="files_gone",
        )
    _clear_half_written(run)
    ImportRun.objects.filter(pk=run.pk).update(state=ImportState.RUNNING)
    stopped = True
    try:
        with quiet(), scratch_folder() as scratch, ExitStack() as stack:
            _Import(run, Report(run, on_step), scratch, stack).go()
        stopped = False
    except Stopped as error:
        raise error.__cause__ or error from None
    except UnreadableFile as error:
        _finish(run, ImportState.FAILED, str(error))
        return ImportRun.objects.get(pk=run.pk)
    finally:
        if stopped:
            _count(run)
    _finish(run, ImportState.FINISHED, "")
    return ImportRun.objects.get(pk=run.pk)


def stop(*, run_id: UUID | str, message: str) -> None:
    """Close an import that will not go on (cancelled, or given up by the job core)."""
    run = ImportRun.objects.select_related("dataset", "owner").filter(pk=run_id).first()
    if run is None or run.state in (ImportState.FINISHED, ImportState.FAILED):
        return
    _clear_half_written(run)
    _finish(run, ImportState.FAILED, message)


def _clear_half_written(run: ImportRun) -> None:
    """Remove the files of a case that was being written when the worker died."""
    if run.open_case_id is not None:
        if not Case.objects.filter(pk=run.open_case_id).exists():
            remove_folder(case_folder(run.open_case_id))
        ImportRun.objects.filter(pk=run.pk).update(open_case_id=None)


def _count(run: ImportRun) -> dict[str, int]:
    counts = Report(run, lambda done, total, message: None).counts()
    ImportRun.objects.filter(pk=run.pk).update(**counts)
    return counts


def _finish(run: ImportRun, state: str, message: str) -> None:
    counts = _count(run)
    ImportRun.objects.filter(pk=run.pk).update(
        state=state, message=message, finished_at=timezone.now(), done=F("total")
    )
    if counts[Outcome.TAKEN] or counts[Outcome.CHANGED]:
        Dataset.objects.filter(pk=run.dataset_id).update(version=F("version") + 1)
    if run.staged_path and not Path(run.staged_path).is_absolute():
        remove_folder(run.staged_path)
    audit_record(actor=run.owner, action=f"import.{state}", obj=run, detail=counts)


class _Import:
    """The steps of one import, in order."""

    def __init__(self, run: ImportRun, report: Report, scratch: Path, stack: ExitStack) -> None:
        self.run, self.report, self.scratch, self.stack = run, report, scratch, stack
        self.done, self.total = 0, 1
        self.tables = Tables()
        self.masks: list[Source] = []
        self.image_names: list[str] = []

    def go(self) -> None:
        sources = gather(
            self.run.staged_path,
            self.scratch,
            self.stack,
            on_file=lambda shown: self.report.step(0, 1, f"Opening {shown}"),
        )
        if not sources:
            raise UnreadableFile("There are no files to import.")
        self.total = 2 * len(sources)
        looked = self._look(sources)
        self._hide_names(sources, looked)
        for source in sources:
            if source.problem:
                self.report.refuse(source.shown, source.problem)
        self._images([item for item in looked if not item.is_segmentation])
        self._volumes(sources)
        self._segmentations([item for item in looked if item.is_segmentation])
        self._label_maps()
        self.report.step(self.total, self.total, "Finishing")

    def _step(self, shown: str, doing: str) -> None:
        self.done += 1
        self.report.step(min(self.done, self.total), self.total, f"{doing} {shown}")

    def _look(self, sources: list[Source]) -> list[Looked]:
        """The first look at every DICOM file; what cannot be read gets its problem."""
        found: list[Looked] = []
        for source in sources:
            self._step(source.shown, "Reading")
            if source.problem or source.kind != sniff.DICOM:
                continue
            try:
                found.append(look(source))
            except UnreadableFile as error:
                source.problem = str(error)
            except (OSError, DatabaseError):
                raise
            except Exception as error:
                logger.exception("import %s: a file could not be handled", self.run.pk)
                source.problem = UNEXPECTED.format(type(error).__name__)
        return found

    def _hide_names(self, sources: list[Source], looked: list[Looked]) -> None:
        """Cut patients' names and numbers, known from the headers, out of the paths that are kept."""
        patterns = sorted({item.words.pattern for item in looked if item.words is not None})
        if not patterns:
            return
        words = [re.compile(pattern, re.IGNORECASE) for pattern in patterns]
        taken: set[str] = set()
        for source in sources:
            for word in words:
                source.shown = word.sub("…", source.shown)
            source.shown = unique_name(source.shown, taken)
        name = self.run.source_name
        for word in words:
            name = word.sub("…", name)
        if name != self.run.source_name:
            ImportRun.objects.filter(pk=self.run.pk).update(source_name=name)

    def _images(self, items: list[Looked]) -> None:
        for number, stack in enumerate(stacks_of(items)):
            folder = self.scratch / f"stack-{number}"
            folder.mkdir()
            worker = StackImport(self.run, self.report, folder, lambda shown: self._step(shown, "Storing"))
            self._guarded(partial(worker.take, stack), [item.source for item in stack.members])

    def _volumes(self, sources: list[Source]) -> None:
        """NIfTI volumes and pictures that are no masks, with what the tables say of them."""
        named = {source.shown for source in sources if not source.problem}
        self.tables, said = read_tables(sources, named, Pseudonyms(self.run.dataset.pseudonym_key))
        for source, sentence in said:
            self.report.add(source.shown, Outcome.TAKEN, sentence)
        pictures = [s for s in sources if not s.problem and s.kind in (sniff.NIFTI, sniff.PNG, sniff.JPEG)]
        self.masks = [s for s in pictures if s.shown in self.tables.masks or looks_like_mask(s.shown)]
        images = [s for s in pictures if s not in self.masks]
        self.image_names = [s.shown for s in images]
        worker = VolumeImport(self.run, self.report, self.scratch, self.tables)
        for source in images:
            self._step(source.shown, "Storing")
            if not self.report.knows(source.shown):
                self._guarded(partial(worker.take, source), [source])
        for source in sources:
            if source.problem and not self.report.knows(source.shown):
                self.report.refuse(source.shown, source.problem)

    def _label_maps(self) -> None:
        worker = LabelMapImport(MaskImport(self.run, self.report), self.tables, self.image_names)
        for group in worker.groups(self.masks):
            for source in group:
                self._step(source.shown, "Reading the mask")
            if not all(self.report.knows(source.shown) for source in group):
                self._guarded(partial(worker.take, group), group)

    def _segmentations(self, items: list[Looked]) -> None:
        worker = MaskImport(self.run, self.report)
        for item in items:
            self._step(item.source.shown, "Reading the mask")
            if not self.report.knows(item.source.shown):
                self._guarded(partial(worker.take_segmentation, item), [item.source])

    def _guarded(self, work: Callable[[], None], sources: Sequence[Source]) -> None:
        """Do one piece of work; whatever goes wrong with it costs only its own files."""
        try:
            work()
        except UnreadableFile as error:
            reason = str(error)
        except (OSError, DatabaseError):
            raise
        except Exception as error:
            logger.exception("import %s: a piece could not be handled", self.run.pk)
            reason = UNEXPECTED.format(type(error).__name__)
        else:
            return
        for source in sources:
            if not self.report.knows(source.shown):
                self.report.refuse(source.shown, reason)
