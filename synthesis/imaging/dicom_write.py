"""Synthetic images as standard CT and MR Image Storage, marked as synthetic wherever DICOM can say so."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

import synthesis
from synthesis.imaging.geometry import is_even
from synthesis.imaging.plane import Plane
from synthesis.imaging.storage import Stored

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
MR_CLASS = "1.2.840.10008.5.1.4.1.1.4"
MANUFACTURER = "Semblance"
IMPLEMENTATION_CLASS = "2.25.302461987240138964105519012387766532411"

# Centre and width for the first look; other viewers let the reader choose.
WINDOWS = {"CT": (40.0, 400.0), "T1": (400.0, 800.0), "T2": (450.0, 900.0)}

_UID_SPACE = uuid.UUID("5e3b1a7c-9d1f-4c55-8f0e-6a7d2b90c1e4")


def derived_uid(*parts: object) -> str:
    """A UID that is always the same for the same parts: 2.25 and a name-based UUID (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_UID_SPACE, '/'.join(str(part) for part in parts)).int}"


@dataclass(frozen=True, kw_only=True)
class Making:
    """How images were made; what Contributing Equipment and Derivation Description say.

    job: the job's identity, from which all UIDs follow. made_at: when the job was asked for, not
    when it ran, so that a second run makes the same objects. method: such as "rectified flow".
    adapter: name and version of what was laid on the model; empty without one.
    """

    job: str
    made_at: datetime
    model_name: str
    model_version: str
    method: str
    weights_sha256: str
    description: str
    software_version: str = synthesis.__version__
    adapter: str = ""
    adapter_sha256: str = ""

    @property
    def weights(self) -> str:
        """The weights that made it: the model's, and the adapter's where one lay on it."""
        words = f"model {self.model_name} version {self.model_version}, weights SHA-256 {self.weights_sha256}"
        if not self.adapter:
            return words
        return f"{words}; adapter {self.adapter}, weights SHA-256 {self.adapter_sha256}"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whom the image pretends to show; never a real person, except the pseudonym of a counterfactual.

    sex: "F", "M", "O" or None. age: years or None; below two it is written in months.
    """

    patient_id: str
    patient_name: str
    sex: str | None = None
    age: float | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """The image a counterfactual was made from, whose (pseudonymous) place and study it keeps.

    patient_position: how the patient lay, such as "FFS"; empty where the source does not say.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    frame_of_reference_uid: str
    frame_number: int | None = None
    patient_position: str = ""


def invented_subject(job: str, *, sex: str | None = None, age: float | None = None) -> Subject:
    """A subject that belongs to one job and to nobody."""
    short = uuid.uuid5(_UID_SPACE, f"{job}/subject").hex[:8].upper()
    return Subject(patient_id=f"SYN-{short}", patient_name=f"SYNTHETIC^{short}", sex=sex, age=age)


def synthetic_slices(
    stored: Stored,
    planes: Sequence[Plane],
    *,
    modality: str,
    making: Making,
    subject: Subject,
    image: int = 1,
    thickness_mm: float = 5.0,
    source: Source | Sequence[Source] | None = None,
    description: str = "",
) -> Iterator[FileDataset]:
    """One synthetic image, or volume, as a DICOM series: one data set after another, slice by slice.

    stored: int16 [slices, rows, columns] as `synthesis.imaging.storage` keeps them (HU, or MR
    signal, at slope 1). planes: where each slice lies. modality: "CT", "T1" or "T2". image: which
    of the job's images this is, from 1. source: set for counterfactuals only, one for all slices or
    one for each; then study and frame of reference are the source's.

    All UIDs follow from (job, image, slice), so a job run twice makes the same objects.
    Raises ValueError where shapes do not match or an enclosed value is impossible.
    """
    if stored.ndim != 3 or stored.dtype != np.int16:
        raise ValueError(
            f"stored: expected int16 [slices, rows, columns], got {stored.dtype} {stored.shape}."
        )
    if len(planes) != len(stored) or any(plane.shape != stored.shape[1:] for plane in planes):
        raise ValueError(
            f"planes: expected one of shape {stored.shape[1:]} for each of {len(stored)} slices."
        )
    if modality not in WINDOWS:
        raise ValueError(f"modality: expected one of {', '.join(WINDOWS)}, got {modality}.")
    sources = [source] * len(stored) if source is None or isinstance(source, Source) else list(source)
    if len(sources) != len(stored):
        raise ValueError(f"source: expected one for each of {len(stored)} slices, got {len(sources)}.")
    for number, (pixels, plane, origin) in enumerate(zip(stored, planes, sources, strict=True), start=1):
        dataset = _file(derived_uid(making.job, image, number), CT_CLASS if modality == "CT" else MR_CLASS)
        _patient_and_study(dataset, subject, making, origin)
        _series(dataset, modality, making, image, origin, description)
        _general_image(dataset, making, number, origin)
        _place(dataset, plane, thickness_mm, spacing_between(planes))
        _pixels(dataset, pixels, modality)
        (_ct if modality == "CT" else _mr)(dataset)
        mark_synthetic(dataset, making)
        yield dataset


def spacing_between(planes: Sequence[Plane]) -> float | None:
    """Distance between neighbouring planes along their normal, or None where there is no such one."""
    normal = np.cross(planes[0].along_columns, planes[0].along_rows)
    places = np.asarray([plane.position_mm for plane in planes]) @ normal
    if places.size < 2 or not is_even(places):
        return None
    return float(np.round(abs(places[-1] - places[0]) / (places.size - 1), 6))


def mark_synthetic(dataset: Dataset, making: Making) -> None:
    """Say that pixels are synthetic: SyntheticData, ContentQualification, Contributing Equipment."""
    dataset.SyntheticData = "YES"
    dataset.ContentQualification = "RESEARCH"
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [_code("109100", "DCM", "Synthesizing Equipment")]
    equipment.Manufacturer = MANUFACTURER
    equipment.ManufacturerModelName = _short(f"{making.model_name} {making.model_version}")
    equipment.SoftwareVersions = [_short(making.software_version), _short(making.model_version)]
    equipment.ContributionDateTime = making.made_at.strftime("%Y%m%d%H%M%S")
    equipment.ContributionDescription = (
        f"Synthetic image by {making.method}; {making.weights}. Not for clinical use."
    )[:1024]
    dataset.ContributingEquipmentSequence = [*(dataset.get("ContributingEquipmentSequence") or []), equipment]


def to_bytes(dataset: Dataset) -> bytes:
    """The data set as a DICOM file (preamble, meta group, Explicit VR Little Endian)."""
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _file(uid: str, sop_class: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS)
    meta.ImplementationVersionName = f"SEMBLANCE_{synthesis.__version__}"[:16]
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = uid
    return dataset


def _patient_and_study(dataset: Dataset, subject: Subject, making: Making, source: Source | None) -> None:
    dataset.PatientName = subject.patient_name
    dataset.PatientID = subject.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = subject.sex if subject.sex in ("F", "M", "O") else ""
    if subject.age is not None:
        months = round(subject.age * 12)
        dataset.PatientAge = f"{months:03d}M" if months < 24 else f"{round(subject.age):03d}Y"
    dataset.StudyInstanceUID = source.study_uid if source else derived_uid(making.job, "study")
    dataset.StudyDate = making.made_at.strftime("%Y%m%d")
    dataset.StudyTime = making.made_at.strftime("%H%M%S")
    dataset.StudyID = uuid.uuid5(_UID_SPACE, making.job).hex[:16].upper()
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "SYNTHETIC"


def _series(
    dataset: Dataset, modality: str, making: Making, image: int, source: Source | None, description: str
) -> None:
    dataset.Modality = "CT" if modality == "CT" else "MR"
    dataset.SeriesInstanceUID = derived_uid(making.job, image, "series")
    dataset.SeriesNumber = image
    dataset.SeriesDate, dataset.SeriesTime = dataset.StudyDate, dataset.StudyTime
    words = description or f"{modality} by {making.model_name} {making.model_version}"
    dataset.SeriesDescription = f"SYNTHETIC {words}"[:64]
    dataset.BodyPartExamined = "ABDOMEN"
    dataset.PatientPosition = source.patient_position if source else "HFS"
    dataset.FrameOfReferenceUID = (
        source.frame_of_reference_uid if source else derived_uid(making.job, image, "frame of reference")
    )
    dataset.PositionReferenceIndicator = ""
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = _short(making.model_name)
    dataset.DeviceSerialNumber = making.weights_sha256[:16] or "0"
    dataset.SoftwareVersions = _short(making.software_version)


def _general_image(dataset: Dataset, making: Making, number: int, source: Source | None) -> None:
    dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL" if dataset.Modality == "CT" else "OTHER"]
    dataset.InstanceNumber = number
    dataset.AcquisitionNumber = 1
    dataset.ContentDate, dataset.ContentTime = dataset.StudyDate, dataset.StudyTime
    dataset.AcquisitionDate = dataset.AcquisitionTime = ""
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.StudyDate, dataset.StudyTime
    dataset.BurnedInAnnotation = "NO"
    dataset.RecognizableVisualFeatures = "NO"
    dataset.LossyImageCompression = "00"
    dataset.ImageComments = "SYNTHETIC image. Not for clinical use."
    dataset.DerivationDescription = making.description[:1024]
    if source is None:
        return
    origin = Dataset()
    origin.ReferencedSOPClassUID = source.sop_class_uid
    origin.ReferencedSOPInstanceUID = source.sop_instance_uid
    if source.frame_number is not None:
        origin.ReferencedFrameNumber = source.frame_number
    origin.PurposeOfReferenceCodeSequence = [
        _code("121322", "DCM", "Source image for image processing operation")
    ]
    dataset.SourceImageSequence = [origin]


def _place(dataset: Dataset, plane: Plane, thickness_mm: float, between_mm: float | None) -> None:
    dataset.PixelSpacing = [_decimal(value) for value in plane.spacing_mm]
    dataset.ImageOrientationPatient = [_decimal(value) for value in plane.orientation]
    dataset.ImagePositionPatient = [_decimal(value) for value in plane.position_mm]
    dataset.SliceThickness = _decimal(thickness_mm)
    if between_mm is not None:
        dataset.SpacingBetweenSlices = _decimal(between_mm)


def _pixels(dataset: Dataset, pixels: Stored, modality: str) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    dataset.SmallestImagePixelValue = int(pixels.min())
    dataset.LargestImagePixelValue = int(pixels.max())
    dataset.RescaleIntercept, dataset.RescaleSlope = "0", "1"
    dataset.RescaleType = "HU" if modality == "CT" else "US"
    dataset.WindowCenter, dataset.WindowWidth = (_decimal(value) for value in WINDOWS[modality])
    dataset.PixelData = np.ascontiguousarray(pixels, dtype="<i2").tobytes()


def _ct(dataset: Dataset) -> None:
    """Type 2 attributes of the CT Image module (PS3.3 C.8.2.1): nothing was exposed."""
    dataset.KVP = None
    dataset.ScanOptions = ""


def _mr(dataset: Dataset) -> None:
    """Attributes of the MR Image module (PS3.3 C.8.3.1); "RM" is research mode: no pulse sequence ran."""
    dataset.ScanningSequence = "RM"
    dataset.SequenceVariant = "NONE"
    dataset.ScanOptions = ""
    dataset.MRAcquisitionType = "2D"
    dataset.RepetitionTime = dataset.EchoTime = dataset.EchoTrainLength = None


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _decimal(value: float) -> str:
    """A number as a DICOM decimal string of at most 16 characters, as exact as that allows."""
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"expected a finite number for the DICOM header, got {value}.")
    if number == 0:
        return "0"
    for digits in range(17, 0, -1):
        text = f"{number:.{digits}g}"
        if len(text) <= 16:
            return text
    raise ValueError(f"{value} does not fit a DICOM decimal string.")


def _short(text: str) -> str:
    return text[:64]
