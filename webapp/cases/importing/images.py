"""DICOM images of an import: looked at once, grouped into stacks, stored stack by stack."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from django.db import DatabaseError
from pydicom import Dataset as DicomDataset

from synthesis.imaging.dicom_file import opened_file
from synthesis.imaging.dicom_pixels import LOSSLESS_SYNTAXES
from synthesis.imaging.dicom_read import FrameHeader, ImageHeader, frame_headers, image_header, stack_geometry
from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.geometry import same_orientation
from webapp.cases.importing.build import CaseFacts, case_create, case_extend
from webapp.cases.importing.deidentify import Cleaned, Pseudonyms, deidentify, forbidden_words
from webapp.cases.importing.incoming import image_attributes, refuse_kind, sop_uid_of
from webapp.cases.importing.report import UNEXPECTED, Report
from webapp.cases.importing.sources import Source
from webapp.cases.importing.store import StoredInstance, write_instance
from webapp.cases.models import Case, Dataset, ImportRun, Instance, Outcome, SourceFormat
from webapp.cases.services_masks import case_masks_relay

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What the first look at a DICOM file told."""

    source: Source
    series_uid: str
    sop_uid: str
    is_segmentation: bool
    is_lossless: bool
    image: ImageHeader | None
    words: re.Pattern[str] | None


@dataclass
class Stack:
    """Files of one series that lie in one stack."""

    series_uid: str
    first: FrameHeader
    size: tuple[int, int, bool]
    members: list[Looked] = field(default_factory=list)


def look(source: Source) -> Looked:
    """Read one header.

    Raises:
        UnreadableFile: when the file is no image that can be kept.
    """
    with opened_file(source.path) as parsed:
        header = parsed.header
        segmentation = str(header.get("Modality", "") or "") == "SEG"
        refuse_kind(header, has_pixels=parsed.pixels is not None)
        image = None
        if not segmentation:
            if parsed.pixels is not None and parsed.pixels.keyword != "PixelData":
                raise UnreadableFile("The image has floating-point pixels, which are not taken yet.")
            image = image_header(parsed)
            if len(image.frames) > 1:
                stack_geometry(image.frames, (image.format.rows, image.format.columns))
        series = str(header.get("SeriesInstanceUID", "") or "")
        return Looked(
            source=source,
            series_uid=series or "no series:" + str(header.get("StudyInstanceUID", "") or source.shown),
            sop_uid=sop_uid_of(parsed, source.path),
            is_segmentation=segmentation,
            is_lossless=str(parsed.original_syntax) in LOSSLESS_SYNTAXES,
            image=image,
            words=forbidden_words(header),
        )


def stacks_of(items: list[Looked]) -> list[Stack]:
    """Series split where size, spacing or orientation differ (localisers, reformats); largest part first."""
    stacks: list[Stack] = []
    for item in items:
        image = item.image
        if image is None:
            continue
        first = image.frames[0]
        size = (image.format.rows, image.format.columns, image.format.is_colour)
        alike = (s for s in stacks if s.series_uid == item.series_uid and s.size == size)
        home = next((s for s in alike if same_grid(s.first, first)), None)
        if home is None:
            home = Stack(series_uid=item.series_uid, first=first, size=size)
            stacks.append(home)
        home.members.append(item)
    for stack in stacks:  # a lossless copy of a slice is stored rather than a lossy one
        stack.members.sort(key=lambda item: (not item.is_lossless, item.source.shown))
    return sorted(stacks, key=lambda stack: (stack.series_uid, -len(stack.members)))


def same_grid(one: FrameHeader, other: FrameHeader) -> bool:
    """Whether two frames agree in spacing and direction (or neither tells)."""
    if (one.spacing_mm is None) != (other.spacing_mm is None) or (one.orientation is None) != (
        other.orientation is None
    ):
        return False
    if one.spacing_mm and other.spacing_mm and not np.allclose(one.spacing_mm, other.spacing_mm, rtol=1e-3):
        return False
    if one.orientation is None or other.orientation is None:
        return True
    return same_orientation(one.orientation, other.orientation)


class StackImport:
    """Brings one stack in: written to scratch, compared with what is stored, then kept or refused."""

    def __init__(self, run: ImportRun, report: Report, scratch: Path, step: Callable[[str], None]) -> None:
        """`step` is called once per file."""
        self.run, self.report, self.scratch, self.step = run, report, scratch, step
        self.dataset: Dataset = run.dataset
        self.pseudonyms = Pseudonyms(run.dataset.pseudonym_key)

    def take(self, stack: Stack) -> None:
        """Store the stack's new images; every file gets its entry."""
        series_uid, case = self._home(stack)
        kept: list[tuple[StoredInstance, Looked, Cleaned]] = []
        seen: dict[str, tuple[str, str]] = {}
        for number, item in enumerate(stack.members):
            self.step(item.source.shown)
            if self.report.knows(item.source.shown):
                continue
            try:
                stored, cleaned = self._write(item, series_uid, number)
            except UnreadableFile as error:
                self.report.refuse(item.source.shown, str(error))
                continue
            except (OSError, DatabaseError):
                raise
            except Exception as error:
                logger.exception("import %s: a file could not be handled", self.run.pk)
                self.report.refuse(item.source.shown, UNEXPECTED.format(type(error).__name__))
                continue
            if not self._is_new(stored, item, seen):
                stored.path.unlink()
                continue
            seen[stored.sop_instance_uid] = (stored.pixel_sha256, item.source.shown)
            kept.append((stored, item, cleaned))
        if kept:
            self._keep(kept, case)

    def _home(self, stack: Stack) -> tuple[str, Case | None]:
        """The pseudonymous series UID for a stack, and the case that holds part of it already."""
        for place in range(100):
            uid = self.pseudonyms.uid(stack.series_uid, *([f"stack {place}"] if place else []))
            case = Case.objects.filter(dataset=self.dataset, series_uid=uid).first()
            if case is None:
                return uid, None
            instance = case.instances.first()
            if instance is not None and (case.rows, case.columns, case.is_colour) == stack.size:
                header = DicomDataset.from_json(instance.metadata)
                if same_grid(frame_headers(header, instance.frame_count)[0], stack.first):
                    return uid, case
        raise UnreadableFile("The series falls into more than 100 stacks.")

    def _write(self, item: Looked, series_uid: str, number: int) -> tuple[StoredInstance, Cleaned]:
        with opened_file(item.source.path) as parsed:
            cleaned = deidentify(parsed.header, self.pseudonyms)
            cleaned.header.SOPInstanceUID = self.pseudonyms.uid(item.sop_uid)
            cleaned.header.SeriesInstanceUID = series_uid
            if not cleaned.header.get("StudyInstanceUID"):
                cleaned.header.StudyInstanceUID = self.pseudonyms.uid(item.series_uid, "study")
            image = image_header(parsed)
            stored = write_instance(parsed, image, cleaned.header, self.scratch / f"out-{number:06d}.dcm")
        return stored, cleaned

    def _is_new(self, stored: StoredInstance, item: Looked, seen: dict[str, tuple[str, str]]) -> bool:
        """Whether the image is neither here nor in this import; otherwise its entry is written."""
        shown = item.source.shown
        if stored.sop_instance_uid in seen:
            digest, twin = seen[stored.sop_instance_uid]
            where, case = f"in this import ({twin})", None
        else:
            known = (
                Instance.objects.filter(sop_instance_uid=stored.sop_instance_uid)
                .select_related("case")
                .first()
            )
            if known is None:
                return True
            digest, where, case = known.pixel_sha256, f"in this dataset ({known.case.name})", known.case
        if digest == stored.pixel_sha256:
            self.report.add(shown, Outcome.DUPLICATE, f"The same image, pixel for pixel, is {where}.", case)
        else:
            self.report.refuse(
                shown,
                f"An image with the same SOP Instance UID but other pixels is {where}; "
                "it was not overwritten.",
            )
        return False

    def _keep(self, kept: list[tuple[StoredInstance, Looked, Cleaned]], case: Case | None) -> None:
        entries = [self._entry(stored, item, cleaned) for stored, item, cleaned in kept]
        stored_items = [stored for stored, _, _ in kept]
        try:
            if case is None:
                self._create(kept, entries)
            else:
                has_masks = case.masks.exists()
                places = case_extend(
                    case=case, stored=stored_items, within=lambda c: self.report.add_all(entries, c)
                )
                if has_masks:
                    case_masks_relay(case=case, places=places)
        except UnreadableFile as error:
            self.report.forget(path for path, _, _ in entries)
            self.report.add_all([(path, Outcome.REFUSED, str(error)) for path, _, _ in entries])
        except BaseException:
            self.report.forget(path for path, _, _ in entries)
            raise

    def _create(
        self, kept: list[tuple[StoredInstance, Looked, Cleaned]], entries: list[tuple[str, str, str]]
    ) -> None:
        stored, _, cleaned = kept[0]
        modality = stored.image.modality
        facts = CaseFacts(
            name=self.case_name(cleaned.patient, modality),
            source_format=SourceFormat.DICOM,
            patient=cleaned.patient,
            attributes=image_attributes(cleaned, cleaned.header),
            is_synthetic=str(cleaned.header.get("SyntheticData", "") or "").upper() == "YES",
        )
        case_create(
            facts=facts,
            stored=[item for item, _, _ in kept],
            dataset=self.dataset,
            on_open=self._open,
            within=lambda case: self._close(case, entries),
        )

    def case_name(self, patient: str, modality: str) -> str:
        """A name such as "P-7KQ2M4XW CT 2"."""
        before = Case.objects.filter(dataset=self.dataset, patient=patient, modality=modality).count()
        return f"{patient or 'Unnamed'} {modality} {before + 1}"

    def _open(self, case_id: object) -> None:
        ImportRun.objects.filter(pk=self.run.pk).update(open_case_id=case_id)

    def _close(self, case: Case, entries: list[tuple[str, str, str]]) -> None:
        self.report.confirm()
        self.report.add_all(entries, case)
        ImportRun.objects.filter(pk=self.run.pk).update(open_case_id=None)

    def _entry(self, stored: StoredInstance, item: Looked, cleaned: Cleaned) -> tuple[str, str, str]:
        changes = list(cleaned.removed)
        if not item.is_lossless:
            changes.append("note: the file itself is compressed with loss; it was kept as it is")
        outcome = Outcome.CHANGED if cleaned.removed else Outcome.TAKEN
        reason = "; ".join(changes)
        return item.source.shown, outcome, (reason[:1].upper() + reason[1:] + ".") if reason else ""
