"""Masks that come with an import: DICOM SEG bound to the images that it refers to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import transaction

from synthesis.imaging.dicom_file import opened_file
from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.segmentation import read_segmentation, referenced_instances, referenced_series
from webapp.cases.importing.deidentify import Pseudonyms, clean_text, forbidden_words
from webapp.cases.importing.images import Looked
from webapp.cases.importing.report import Report
from webapp.cases.models import Case, ImportRun, Instance, Mask, MaskOrigin, Outcome
from webapp.cases.selectors import case_geometry


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
        from webapp.cases.services import mask_save, mask_sha256

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
                    labels=labels,
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
