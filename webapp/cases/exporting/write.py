"""Writing a dataset, case by case, with one case in memory at a time."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from django.core.files.storage import default_storage
from django.utils.text import slugify
from django.utils.translation import gettext as _
from PIL import Image
from pydicom import Dataset as DicomDataset
from pydicom import dcmread

from synthesis.imaging.dicom_write import to_bytes
from synthesis.imaging.segmentation_write import Authorship, segmentation_of
from synthesis.patient_splits import SHARES
from webapp.cases.exporting.sinks import Sink
from webapp.cases.exporting.splits import splits_of
from webapp.cases.exporting.tables import (
    CASE_COLUMNS,
    MASK_COLUMNS,
    case_row,
    csv_bytes,
    dataset_json,
    json_bytes,
    readme,
)
from webapp.cases.models import Case, Dataset, Mask, MaskOrigin
from webapp.cases.nifti import case_to_nifti, mask_to_nifti
from webapp.cases.selectors import case_stored_slice, mask_array, mask_list_for_case
from webapp.core.errors import ApplicationError

FORMS = ("dicom", "nifti")
OnStep = Callable[[int, int, str], None]
MARKS = ("SyntheticData", "ContentQualification")
KINDS = {MaskOrigin.PAINTED: "MANUAL", MaskOrigin.IMPORTED: "SEMIAUTOMATIC"}


@dataclass
class Written:
    """What an export holds: lines of the tables, and what was left out and why."""

    cases: list[dict[str, Any]] = field(default_factory=list)
    masks: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)

    def summary(self) -> dict[str, int]:
        """Counts for a person."""
        return {"cases": len(self.cases), "masks": len(self.masks), "left_out": len(self.left_out)}


def dataset_write(
    dataset: Dataset,
    sink: Sink,
    *,
    form: str,
    seed: int = 0,
    shares: Sequence[float] = SHARES,
    on_step: OnStep = lambda done, total, message: None,
) -> Written:
    """Write every case with its masks, then the tables; the same dataset gives the same files.

    `on_step` may raise to stop.

    Raises:
        ApplicationError: for an unknown form, an empty dataset, or a patient in several splits.
    """
    if form not in FORMS:
        raise ApplicationError(_("A dataset is exported as DICOM or as NIfTI."), field="form")
    cases = list(dataset.cases.order_by("name", "created_at", "pk").values_list("pk", flat=True))
    if not cases:
        raise ApplicationError(_("This dataset has no cases, so there is nothing to export."))
    splits = splits_of(
        dataset.cases.only("pk", "patient", "study_uid", "attributes"), seed=seed, shares=shares
    )
    written = Written()
    for done, pk in enumerate(cases):
        case = Case.objects.filter(pk=pk).first()
        if case is None or pk not in splits:  # deleted, or moved, since the list was made
            continue
        on_step(done, len(cases), case.name)
        _case(case, splits[pk], sink, form, written)
    on_step(len(cases), len(cases), _("Writing the tables"))
    sink.write("cases.csv", csv_bytes(CASE_COLUMNS, written.cases))
    sink.write("masks.csv", csv_bytes(MASK_COLUMNS, written.masks))
    about = dataset_json(
        dataset, form=form, seed=seed, shares=shares, rows=written.cases, left_out=written.left_out
    )
    sink.write("dataset.json", about)
    sink.write("README.txt", readme(dataset, form=form))
    return written


def _case(case: Case, split: str, sink: Sink, form: str, written: Written) -> None:
    stem = f"{slugify(case.name)[:40] or 'case'}-{str(case.pk)[:8]}"
    try:
        image = _dicom(case, stem, sink) if form == "dicom" else _nifti(case, stem, sink)
    except ApplicationError as error:
        written.left_out.append({"case": str(case.pk), "name": case.name, "why": str(error)})
        return
    rows = [_mask(case, mask, stem, sink, form) for mask in mask_list_for_case(case=case)]
    written.masks += rows
    # One mask per case for those who want one image and one mask; all of them are in masks.csv.
    chosen: Mapping[str, Any] = max(rows, key=lambda row: row["structures"], default={})
    written.cases.append(
        case_row(case, split=split, image=image, mask=chosen.get("mask", ""), labels=chosen.get("labels", ""))
    )


def _dicom(case: Case, stem: str, sink: Sink) -> str:
    """The instances in the order of the stack; returns their folder."""
    files = dict(case.instances.values_list("number", "file"))
    for place, number in enumerate(dict.fromkeys(number for number, _frame in case.stack), start=1):
        sink.copy(f"images/{stem}/{place:04d}.dcm", files[number])
    return f"images/{stem}"


def _nifti(case: Case, stem: str, sink: Sink) -> str:
    """The volume, or a single colour picture as PNG; returns its path.

    Raises:
        ApplicationError: for a stack of colour images, which has neither form.
    """
    if case.is_colour and case.slice_count == 1:
        picture = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(case_stored_slice(case, 0), np.uint8)).save(picture, "PNG")
        sink.write(f"images/{stem}.png", picture.getvalue())
        return f"images/{stem}.png"
    sink.write(f"images/{stem}.nii.gz", _packed(case_to_nifti(case)))
    return f"images/{stem}.nii.gz"


def _mask(case: Case, mask: Mask, stem: str, sink: Sink, form: str) -> dict[str, Any]:
    """Write one mask and what its values mean; its line of the table."""
    name = f"{stem}/{slugify(mask.name)[:40] or 'mask'}-{str(mask.pk)[:8]}"
    array = mask_array(mask)
    present = set(np.unique(array).tolist()) - {0}
    segmentation = _segmentation(case, mask, array) if form == "dicom" else None
    if segmentation is None:
        path = f"masks/{name}.nii.gz"
        sink.write(path, _packed(mask_to_nifti(mask)))
    else:
        path = f"masks/{name}.dcm"
        sink.write(path, segmentation)
    labels = f"labels/{name}.json"
    sink.write(labels, json_bytes(mask.labels))
    values = (
        *(str(case.pk), mask.name, mask.version, mask.origin, path, labels),
        *(len(present), mask.content_sha256),
    )
    return dict(zip(MASK_COLUMNS, values, strict=True))


def _segmentation(case: Case, mask: Mask, array: Any) -> bytes | None:
    """The mask as DICOM SEG on its images.

    None where a SEG cannot be: images without a place or not one file per slice, nothing labelled.
    """
    named = {int(label["value"]) for label in mask.labels if str(label["name"]).lower() != "air"}
    placed = bool(case.geometry.get("is_known")) and case.instances.count() == case.slice_count
    if not placed or not named.intersection(np.unique(array).tolist()):
        return None
    files = dict(case.instances.values_list("number", "file"))
    images = [_header(files[number]) for number, _frame in case.stack]
    authorship = Authorship(
        identity=f"{mask.pk}/{mask.content_sha256}",
        made_at=mask.created_at,
        kind=KINDS.get(MaskOrigin(mask.origin), "AUTOMATIC"),
    )
    segmentation = segmentation_of(images, array, mask.labels, authorship)
    _mark_like(segmentation, images[0])
    return to_bytes(segmentation)


def _header(file: str) -> DicomDataset:
    with default_storage.open(file, "rb") as stored:
        return dcmread(BytesIO(stored.read()), stop_before_pixels=True)


def _mark_like(segmentation: DicomDataset, image: DicomDataset) -> None:
    """A mask of a synthetic image says that it belongs to one."""
    if image.get("SyntheticData") != "YES":
        return
    for keyword in MARKS:
        if keyword in image:
            setattr(segmentation, keyword, image.get(keyword))
    equipment = list(segmentation.get("ContributingEquipmentSequence") or [])
    equipment += list(image.get("ContributingEquipmentSequence") or [])
    segmentation.ContributingEquipmentSequence = equipment
    segmentation.SeriesDescription = "SYNTHETIC image's mask"


def _packed(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=6, mtime=0)
