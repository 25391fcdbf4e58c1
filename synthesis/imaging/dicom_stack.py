"""A volume from NIfTI or a picture as plain DICOM slices, so that one viewer shows everything.

CT and MR Image Storage for those modalities, Secondary Capture for all others. Whole numbers that
fit sixteen bits are stored as they are; others are scaled over the sixteen bits, and the note says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)
from pydicom.valuerep import format_number_as_ds

from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.geometry import Geometry

IMPLEMENTATION_UID = UID("2.25.194821563770281904426193650198273645518")
_EMPTY = [
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
    "PatientBirthDate",
    "PatientSex",
    "Manufacturer",
    "PositionReferenceIndicator",
    "AcquisitionNumber",
    "Laterality",
    "PatientPosition",
]


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How real voxels become sixteen-bit integers: real = stored * slope + intercept."""

    dtype: str
    slope: float
    intercept: float
    is_exact: bool


@dataclass(frozen=True, kw_only=True)
class StackIdentity:
    """UIDs and names of the series to write; `sop_uid` is called with the slice number from 1."""

    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    sop_uids: tuple[str, ...]
    patient: str
    modality: str
    description: str


def encoding_of(voxels: npt.NDArray[Any], slope: float, intercept: float) -> Encoding:
    """The exact sixteen-bit encoding where there is one, else a scaling over the range of values.

    Args:
        voxels: [slices, rows, columns] as stored; read slice by slice.

    Raises:
        UnreadableFile: when no voxel is a finite number, or a colour image has more than 8 bits.
    """
    low, high, whole = np.inf, -np.inf, True
    for plane in voxels:
        finite = plane[np.isfinite(plane)] if plane.dtype.kind == "f" else plane
        if finite.size != plane.size:
            whole = False
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            if whole and plane.dtype.kind == "f":
                whole = bool(np.all(finite == np.rint(finite)))
    if not np.isfinite(low):
        raise UnreadableFile("None of the voxels is a finite number.")
    if whole and low >= -32_768 and high <= 32_767:
        return Encoding(dtype="<i2", slope=slope, intercept=intercept, is_exact=True)
    if whole and low >= 0 and high <= 65_535:
        return Encoding(dtype="<u2", slope=slope, intercept=intercept, is_exact=True)
    step = float(str(format_number_as_ds(max((high - low) / 65_535, 1e-12))))
    real_step, real_low = step * slope, low * slope + intercept
    return Encoding(
        dtype="<u2",
        slope=float(str(format_number_as_ds(real_step))),
        intercept=float(str(format_number_as_ds(real_low))),
        is_exact=False,
    )


def encode(
    plane: npt.NDArray[Any], encoding: Encoding, slope: float, intercept: float
) -> npt.NDArray[np.integer]:
    """One slice's stored integers; voxels that are not numbers become the lowest value."""
    if encoding.is_exact:
        return plane.astype(encoding.dtype)
    real = plane.astype(np.float64) * slope + intercept
    scaled = np.rint((real - encoding.intercept) / encoding.slope)
    return np.clip(np.nan_to_num(scaled, nan=0.0, posinf=65_535, neginf=0.0), 0, 65_535).astype(
        encoding.dtype
    )


def write_stack(
    folder: Path,
    voxels: npt.NDArray[Any],
    *,
    geometry: Geometry,
    identity: StackIdentity,
    encoding: Encoding,
    slope: float = 1.0,
    intercept: float = 0.0,
    spacing_known: bool = True,
    window: tuple[float, float] | None = None,
) -> Iterator[Path]:
    """Write one uncompressed DICOM file per slice, in stack order, and give each path when it is done.

    Args:
        voxels: [slices, rows, columns], or [slices, rows, columns, 3] of uint8 in RGB.
        slope, intercept: what the voxels mean (real = voxel * slope + intercept).
    """
    for index, plane in enumerate(voxels):
        header = _header(identity, geometry, index, spacing_known=spacing_known)
        if plane.ndim == 3:
            values: npt.NDArray[Any] = np.ascontiguousarray(plane, dtype=np.uint8)
        elif plane.dtype == np.uint8 and encoding.is_exact:
            values = np.ascontiguousarray(plane)
        else:
            values = encode(plane, encoding, slope, intercept)
        _describe_pixels(header, values, encoding, window)
        path = folder / f"{index + 1:06d}.dcm"
        dcmwrite(path, header, implicit_vr=False, little_endian=True, enforce_file_format=True)
        yield path


def _header(identity: StackIdentity, geometry: Geometry, index: int, *, spacing_known: bool) -> Dataset:
    header = Dataset()
    classes = {"CT": CTImageStorage, "MR": MRImageStorage}
    header.SOPClassUID = classes.get(identity.modality, SecondaryCaptureImageStorage)
    header.SOPInstanceUID = identity.sop_uids[index]
    header.StudyInstanceUID, header.SeriesInstanceUID = identity.study_uid, identity.series_uid
    for keyword in _EMPTY:
        setattr(header, keyword, "" if keyword != "AcquisitionNumber" else None)
    header.PatientName = header.PatientID = identity.patient
    header.PatientIdentityRemoved = "YES"
    header.DeidentificationMethod = "Semblance import, profile 1"
    header.Modality, header.SeriesDescription = identity.modality, identity.description[:64]
    header.SeriesNumber, header.InstanceNumber = 1, index + 1
    header.ImageType = ["DERIVED", "SECONDARY", "AXIAL" if identity.modality == "CT" else "OTHER"]
    if geometry.is_known:
        header.FrameOfReferenceUID = identity.frame_of_reference_uid
        header.ImagePositionPatient = [_ds(v) for v in geometry.position_of(index)]
        header.ImageOrientationPatient = [_ds(v) for v in geometry.orientation]
    rows, columns, between = geometry.spacing_mm
    if spacing_known:
        header.PixelSpacing = [_ds(rows), _ds(columns)]
    header.SliceThickness = _ds(between) if between else None
    if between:
        header.SpacingBetweenSlices = _ds(between)
    if identity.modality == "CT":
        header.KVP = None
    elif identity.modality == "MR":
        header.ScanningSequence, header.SequenceVariant, header.ScanOptions = "RM", "NONE", ""
        header.MRAcquisitionType, header.EchoTime, header.EchoTrainLength = "", None, None
        header.RepetitionTime = None
    else:
        header.ConversionType, header.PatientOrientation = "WSD", ""
    header.file_meta = FileMetaDataset()
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.ImplementationClassUID = IMPLEMENTATION_UID
    return header


def _describe_pixels(
    header: Dataset, values: npt.NDArray[Any], encoding: Encoding, window: tuple[float, float] | None
) -> None:
    header.Rows, header.Columns = values.shape[:2]
    bits = values.dtype.itemsize * 8
    header.BitsAllocated, header.BitsStored, header.HighBit = bits, bits, bits - 1
    header.PixelRepresentation = int(values.dtype.kind == "i")
    if values.ndim == 3:
        header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "RGB", 0
    else:
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        header.RescaleSlope, header.RescaleIntercept = _ds(encoding.slope), _ds(encoding.intercept)
        header.RescaleType = "HU" if header.Modality == "CT" else "US"
        if window is not None:
            header.WindowCenter, header.WindowWidth = _ds(window[0]), _ds(max(window[1], 1.0))
    data = np.ascontiguousarray(values).tobytes()
    header.PixelData = data + b"\0" * (len(data) % 2)
    header["PixelData"].VR = "OB" if bits == 8 else "OW"


def _ds(value: float) -> str:
    return str(format_number_as_ds(float(value)))
