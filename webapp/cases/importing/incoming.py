"""Images read from the outside, cleaned and ready for a case."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset

from synthesis.imaging.dicom_file import ParsedFile, opened_file
from synthesis.imaging.dicom_read import image_header
from synthesis.imaging.errors import UnreadableFile
from webapp.cases.importing.deidentify import Cleaned, Pseudonyms, deidentify
from webapp.cases.importing.store import StoredInstance, write_instance

REFUSED_KINDS = {
    "RTSTRUCT": "an RT structure set (contours); import the segmentation as DICOM SEG or NIfTI instead",
    "RTDOSE": "a radiotherapy dose grid",
    "RTPLAN": "a radiotherapy plan",
    "RTRECORD": "a radiotherapy treatment record",
    "SR": "a structured report",
    "PR": "a presentation state",
    "KO": "a key object selection",
    "REG": "a spatial registration",
    "SM": "whole-slide microscopy, whose tiles are not a stack of slices",
    "ECG": "an electrocardiogram",
    "AU": "a sound recording",
    "DOC": "a document",
    "PLAN": "a plan",
    "FID": "a set of fiducials",
    "RWV": "a real-world value map",
}
"""Modalities that hold no images of the kind kept here, in words for the report."""

_REFUSED_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.30": "a parametric map with floating-point pixels",
    "1.2.840.10008.5.1.4.1.1.66": "raw data without an image",
    "1.2.840.10008.1.3.10": "a media directory (DICOMDIR), which only lists other files",
    "1.2.840.10008.5.1.4.1.1.104.1": "an encapsulated PDF",
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the header tells beyond the pixels."""

    patient: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)


def sop_uid_of(parsed: ParsedFile, path: Path) -> str:
    """The file's SOP Instance UID; a file without one gets a name that its bytes alone decide."""
    uid = str(parsed.header.get("SOPInstanceUID", "") or "").strip()
    if uid:
        return uid
    with path.open("rb") as source:
        return "no uid:" + hashlib.file_digest(source, "sha256").hexdigest()


@contextmanager
def quiet() -> Iterator[None]:
    """pydicom warns at length about headers that bend the rules; the report is the place for that."""
    log = logging.getLogger("pydicom")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def refuse_kind(header: Dataset, *, has_pixels: bool = True) -> None:
    """Refuse, in plain words, DICOM objects that are not images of the kind kept here.

    Raises:
        UnreadableFile: naming what the object is.
    """
    modality = str(header.get("Modality", "") or "").strip().upper()
    sop_class = str(
        header.get("SOPClassUID", "") or header.file_meta.get("MediaStorageSOPClassUID", "") or ""
    )
    for prefix, words in _REFUSED_CLASSES.items():
        if sop_class == prefix:
            raise UnreadableFile(f"This is {words}; it is not taken.")
    if modality in REFUSED_KINDS:  # before the pixels: a dose grid has some
        raise UnreadableFile(f"This is {REFUSED_KINDS[modality]}; it is not taken.")
    if str(header.get("BurnedInAnnotation", "") or "").strip().upper() == "YES":
        raise UnreadableFile(
            "The header says that text is burned into the pixels, which may name the patient; "
            "it is not taken."
        )
    if not has_pixels:
        raise UnreadableFile("This DICOM file has no pixels; it is not taken.")


def clean_instance(
    parsed: ParsedFile, target: Path, pseudonyms: Pseudonyms | None
) -> tuple[StoredInstance, Cleaned | None]:
    """De-identify (unless `pseudonyms` is None) and write one image.

    Raises:
        UnreadableFile: when it is not an image that can be kept.
    """
    refuse_kind(parsed.header, has_pixels=parsed.pixels is not None)
    if parsed.pixels is not None and parsed.pixels.keyword != "PixelData":
        raise UnreadableFile("The image has floating-point pixels, which are not taken yet.")
    image = image_header(parsed)
    if not parsed.header.get("SOPInstanceUID"):
        raise UnreadableFile("The file names no SOP Instance UID.")
    if pseudonyms is None:
        return write_instance(parsed, image, plain_copy(parsed.header), target), None
    cleaned = deidentify(parsed.header, pseudonyms)
    return write_instance(parsed, image, cleaned.header, target), cleaned


def plain_copy(header: Dataset) -> Dataset:
    """The header as it is, for files that Semblance made itself."""
    copy = Dataset()
    for element in header:
        copy.add(element)
    return copy


def image_attributes(cleaned: Cleaned | None, header: Dataset) -> dict[str, Any]:
    """What a case says of itself: age, sex, body part, scanner; only what the header knows."""
    found: dict[str, Any] = {}
    if cleaned is not None and cleaned.age_years is not None:
        found["age"] = round(cleaned.age_years, 1) if cleaned.age_years < 2 else int(cleaned.age_years)
    if cleaned is not None and cleaned.sex:
        found["sex"] = cleaned.sex
    for name, keyword in (
        ("body_part", "BodyPartExamined"),
        ("manufacturer", "Manufacturer"),
        ("scanner", "ManufacturerModelName"),
        ("kernel", "ConvolutionKernel"),
        ("contrast", "ContrastBolusAgent"),
        ("kvp", "KVP"),
        ("field_strength_t", "MagneticFieldStrength"),
        ("slice_thickness_mm", "SliceThickness"),
    ):
        value = header.get(keyword)
        if value in (None, ""):
            continue
        found[name] = (
            float(value) if keyword in {"KVP", "MagneticFieldStrength", "SliceThickness"} else str(value)
        )
    return found


def stored_from_files(
    files: Sequence[bytes | Path], folder: Path, *, key: str | None
) -> tuple[list[StoredInstance], Facts]:
    """Read, clean (with a key) and write the files of one series into a scratch folder.

    Raises:
        UnreadableFile: when one of them cannot be read.
    """
    pseudonyms = Pseudonyms(key) if key is not None else None
    stored: list[StoredInstance] = []
    facts = Facts()
    with quiet():
        for number, file in enumerate(files):
            path = file if isinstance(file, Path) else folder / f"in-{number}.dcm"
            if isinstance(file, bytes):
                path.write_bytes(file)
            with opened_file(path) as parsed:
                item, cleaned = clean_instance(parsed, folder / f"out-{number}.dcm", pseudonyms)
                if number == 0:
                    header = cleaned.header if cleaned is not None else parsed.header
                    facts = Facts(
                        patient=cleaned.patient
                        if cleaned is not None
                        else str(header.get("PatientID", "") or ""),
                        attributes=image_attributes(cleaned, header),
                    )
            stored.append(item)
    return stored, facts
