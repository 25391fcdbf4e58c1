"""Masks that come with an import: DICOM SEG, NIfTI label maps and pictures, bound to their cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import transaction

from synthesis.imaging.dicom_file import opened_file
from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.nifti import aligned, opened_nifti
from synthesis.imaging.segmentation import read_segmentation, referenced_instances, referenced_series
from webapp.cases.importing import sniff
from webapp.cases.importing.deidentify import Pseudonyms, clean_text, forbidden_words
from webapp.cases.importing.images import Looked
from webapp.cases.importing.pairing import MASK_FOLDERS, MASK_WORDS, image_of, is_structure, stem, words_of
from webapp.cases.importing.report import Report
from webapp.cases.importing.sources import Source
from webapp.cases.importing.tables import Tables
from webapp.cases.importing.volumes import mask_values
from webapp.cases.models import Case, ImportRun, Instance, Mask, MaskOrigin, Outcome
from webapp.cases.selectors import case_geometry
from webapp.cases.services_masks import mask_save, mask_sha256


class MaskImport:
    """Gives the cases of a dataset the masks that an import brought."""

    def __init__(self, run: ImportRun, report: Report) -> None:
        """Masks are saved in the name of the run's owner."""
        self.run, self.report = run, report
        self.pseudonyms = Pseudonyms(run.dataset.pseudonym_key)

    def take_segmentation(self, item: Looked) -> None:
        """Turn one DICOM SEG into a mask of the case that it refers to.

        Raises:
            UnreadableFile: when that case is not here, or the file does not fit it.
        """
        with opened_file(item.source.path) as parsed:
            header = parsed.header
            original = {self.pseudonyms.uid(uid): uid for uid in referenced_instances(header)}
            case = self._case_of(header, set(original))
            instances = {row.number: row for row in case.instances.only("number", "sop_instance_uid")}
            images = [
                (original.get(instances[number].sop_instance_uid, ""), frame + 1)
                for number, frame in case.stack
            ]
            found = read_segmentation(parsed, case_geometry(case), images=images)
            words = forbidden_words(header)
            labels = [label | {"name": clean_text(label["name"], words)} for label in found.names]
            described = header.get("SeriesDescription") or header.get("ContentLabel") or "Segmentation"
            name = clean_text(described, words)
        self.keep(
            case=case,
            name=name or "Segmentation",
            array=found.labels,
            labels=labels,
            paths=[item.source.shown],
            notes=found.notes,
        )

    def _case_of(self, header: Any, images: set[str]) -> Case:
        """The case that holds most of the referenced images, else the referenced series or frame."""
        cases = Case.objects.filter(dataset=self.run.dataset)
        hits: Counter[Any] = Counter()
        ordered = sorted(images)
        for start in range(0, len(ordered), 500):
            rows = Instance.objects.filter(
                case__dataset=self.run.dataset, sop_instance_uid__in=ordered[start : start + 500]
            )
            hits.update(rows.values_list("case_id", flat=True))
        if hits:
            return cases.get(pk=hits.most_common(1)[0][0])
        series = referenced_series(header)
        by_series = cases.filter(series_uid=self.pseudonyms.uid(series)).first() if series else None
        if by_series is not None:
            return by_series
        frame = str(header.get("FrameOfReferenceUID", "") or "")
        same_frame = (
            list(cases.filter(frame_of_reference_uid=self.pseudonyms.uid(frame))[:2]) if frame else []
        )
        if len(same_frame) == 1:
            return same_frame[0]
        raise UnreadableFile(
            "This is a segmentation (DICOM SEG) of images that are neither in this import "
            "nor in the dataset. Import the images first, or together with it."
        )

    def keep(
        self,
        *,
        case: Case,
        name: str,
        array: npt.NDArray[np.uint16],
        labels: Sequence[dict[str, Any]],
        paths: Sequence[str],
        notes: Sequence[str] = (),
    ) -> Mask | None:
        """Save a mask and the entries of the files that it came from; None where it is here already."""
        same = case.masks.filter(replaced_by__isnull=True, content_sha256=mask_sha256(array)).first()
        if same is not None:
            reason = f"The same mask is here already (“{same.name}” of {case.name})."
            self.report.add_all([(path, Outcome.DUPLICATE, reason) for path in paths], case)
            return None
        outcome = Outcome.CHANGED if notes else Outcome.TAKEN
        free = self._free_name(case, name[:110])
        reason = " ".join([f"Became the mask “{free}” of {case.name}.", *notes])
        entries = [(path, outcome, reason) for path in paths]
        try:
            with transaction.atomic():
                mask = mask_save(
                    user=self.run.owner,
                    case=case,
                    name=free,
                    array=array,
                    labels=told_apart(labels),
                    origin=MaskOrigin.IMPORTED,
                )
                self.report.add_all(entries, case)
        except BaseException:
            self.report.forget(paths)
            raise
        return mask

    def _free_name(self, case: Case, name: str) -> str:
        candidate, number = name, 1
        while case.masks.filter(name=candidate).exists():
            number += 1
            candidate = f"{name} ({number})"
        return candidate


class LabelMapImport:
    """Finds the case of each label map or mask picture and binds them."""

    def __init__(self, masks: MaskImport, tables: Tables, images: Sequence[str]) -> None:
        """`images` are the shown names of the import's NIfTI volumes and pictures."""
        self.masks, self.tables, self.images = masks, tables, images
        self.run, self.report = masks.run, masks.report

    def groups(self, sources: Sequence[Source]) -> list[list[Source]]:
        """Masks that are stored together: the structures of one folder beside one image."""
        together: dict[tuple[str, str], list[Source]] = {}
        for source in sources:
            image = self.image_of(source)
            alone = image is None or not is_structure(source.shown, image)
            key = (source.shown, "") if alone else (str(PurePosixPath(source.shown).parent), image or "")
            together.setdefault(key, []).append(source)
        return list(together.values())

    def image_of(self, source: Source) -> str | None:
        """The image that a mask belongs to, by a table or by its name."""
        return self.tables.masks.get(source.shown) or image_of(source.shown, self.images)

    def take(self, group: Sequence[Source]) -> None:
        """Store one mask, made of one label map or of one file per structure.

        Raises:
            UnreadableFile: when no image fits, or a file is no mask.
        """
        case = self._case(group[0])
        geometry = case_geometry(case)
        if len(group) == 1 and not self._is_structure(group[0]):
            array, named = mask_values(group[0], case, geometry)
            labels = self._labels(group[0], array, named)
            self.masks.keep(
                case=case, name=self._name(group[0]), array=array, labels=labels, paths=[group[0].shown]
            )
            return
        total = np.zeros((case.slice_count, case.rows, case.columns), np.uint16)
        labels, paths, overlapping = [], [], 0
        for value, source in enumerate(group, start=1):
            try:
                values, _ = mask_values(source, case, geometry)
            except UnreadableFile as error:
                self.report.refuse(source.shown, str(error))
                continue
            overlapping += int(((total > 0) & (values > 0)).sum())
            total[values > 0] = value
            labels.append({"value": value, "name": stem(source.shown)[:80]})
            paths.append(source.shown)
        if paths:
            notes = (
                [f"{overlapping:,} voxels lie in two structures; the later one was kept."]
                if overlapping
                else []
            )
            folder = PurePosixPath(group[0].shown).parent.name
            self.masks.keep(case=case, name=folder, array=total, labels=labels, paths=paths, notes=notes)

    def _is_structure(self, source: Source) -> bool:
        image = self.image_of(source)
        return image is not None and is_structure(source.shown, image)

    def _case(self, source: Source) -> Case:
        image = self.image_of(source)
        case_id = self.report.case_of(image) if image else None
        if case_id is not None:
            return Case.objects.get(pk=case_id)
        if source.kind == sniff.NIFTI:
            return self._by_grid(source)
        raise UnreadableFile("This is named like a mask, but the picture that it belongs to is not here.")

    def _by_grid(self, source: Source) -> Case:
        """The one case of the dataset on the label map's own grid, this import's first."""
        with opened_nifti(source.path) as file:
            shape = sorted(file.geometry.shape)
            fitting = []
            for case in Case.objects.filter(dataset=self.run.dataset).defer("stack", "attributes"):
                same_size = sorted((case.slice_count, case.rows, case.columns)) == shape
                if same_size and aligned(file, case_geometry(case)) is not None:
                    fitting.append(case)
        here = [case for case in fitting if self.report.has_case(case.pk)]
        for candidates in (here, fitting):
            if len(candidates) == 1:
                return candidates[0]
        if fitting:
            raise UnreadableFile(
                f"This label map fits {len(fitting)} cases equally well; name it after its image."
            )
        raise UnreadableFile(
            "This is named like a label map, but no image on the same grid is in this import or the dataset."
        )

    def _name(self, source: Source) -> str:
        name = stem(source.shown)
        folder = PurePosixPath(source.shown).parent.name
        return folder if folder.lower() in MASK_FOLDERS else name

    def _labels(
        self, source: Source, array: npt.NDArray[np.uint16], named: Sequence[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Names for the values that occur: from the file, the tables beside it, else numbers."""
        known = {label["value"]: label for label in self.tables.labels_for(source.shown)}
        known |= {label["value"]: label for label in named}
        present = [int(value) for value in np.unique(array) if value]
        if len(present) == 1 and not known:
            return [{"value": present[0], "name": _plain_name(source.shown)}]
        return [known.get(value, {"value": value, "name": f"Label {value}"}) for value in present]


def told_apart(labels: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The labels with the colours that their file gives them; without, where it gives one colour twice.

    TotalSegmentator's files go round eight colours for more than a hundred structures.
    """
    colors = [str(label["color"]).lower() for label in labels if label.get("color")]
    if len(set(colors)) == len(colors):
        return labels
    return [{name: value for name, value in label.items() if name != "color"} for label in labels]


def _plain_name(shown: str) -> str:
    words = [word for word in words_of(stem(shown)) if word not in MASK_WORDS and not word.isdigit()]
    return " ".join(words)[:80] if words and len(words) <= 3 and len(" ".join(words)) <= 30 else "Mask"
