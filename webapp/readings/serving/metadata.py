"""The whitelist: the attributes of an item that a viewer needs to draw it, and no other."""

from __future__ import annotations

import json
from typing import Any

from webapp.readings.models.study import ReadingItem
from webapp.readings.serving.uids import Uids

METADATA_BYTES = 2048
MULTI_FRAME_WORD_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.3"

WHITELIST = {
    "00080016": "SOPClassUID, the same for every item",
    "00080018": "SOPInstanceUID, from the token",
    "00080060": "Modality",
    "0020000D": "StudyInstanceUID, from the token",
    "0020000E": "SeriesInstanceUID, from the token",
    "00200013": "InstanceNumber, always 1",
    "00200032": "ImagePositionPatient, always 0, 0, 0",
    "00200037": "ImageOrientationPatient, always 1, 0, 0, 0, 1, 0",
    "00200052": "FrameOfReferenceUID, from the token",
    "00280002": "SamplesPerPixel, always 1",
    "00280004": "PhotometricInterpretation, always MONOCHROME2",
    "00280008": "NumberOfFrames",
    "00280010": "Rows",
    "00280011": "Columns",
    "00280030": "PixelSpacing",
    "00280100": "BitsAllocated, always 16",
    "00280101": "BitsStored, always 16",
    "00280102": "HighBit, always 15",
    "00280103": "PixelRepresentation, always 1",
    "00281050": "WindowCenter",
    "00281051": "WindowWidth",
    "00281052": "RescaleIntercept, always 0",
    "00281053": "RescaleSlope, always 1",
}
"""Every attribute that leaves the server, and what it holds. Nothing else ever does."""


def attributes(item: ReadingItem, uids: Uids) -> dict[str, dict[str, Any]]:
    """The item's attributes in the DICOM JSON model (PS3.18 annex F); one instance with all its frames.

    An attribute of which nothing is known stands there without a value, so that every item has the
    same attributes in the same order.
    """
    spacing = [float(value) for value in item.spacing_mm[:2]]
    window = item.window_center is not None and item.window_width is not None
    values: list[tuple[str, str, list[Any]]] = [
        ("00080016", "UI", [MULTI_FRAME_WORD_SECONDARY_CAPTURE]),
        ("00080018", "UI", [uids.instance]),
        ("00080060", "CS", [item.modality or "OT"]),
        ("0020000D", "UI", [uids.study]),
        ("0020000E", "UI", [uids.series]),
        ("00200013", "IS", [1]),
        ("00200032", "DS", [0, 0, 0]),
        ("00200037", "DS", [1, 0, 0, 0, 1, 0]),
        ("00200052", "UI", [uids.frame_of_reference]),
        ("00280002", "US", [1]),
        ("00280004", "CS", ["MONOCHROME2"]),
        ("00280008", "IS", [item.frames]),
        ("00280010", "US", [item.rows]),
        ("00280011", "US", [item.columns]),
        ("00280030", "DS", spacing),
        ("00280100", "US", [16]),
        ("00280101", "US", [16]),
        ("00280102", "US", [15]),
        ("00280103", "US", [1]),
        ("00281050", "DS", [item.window_center] if window else []),
        ("00281051", "DS", [item.window_width] if window else []),
        ("00281052", "DS", [0]),
        ("00281053", "DS", [1]),
    ]
    return {tag: {"vr": vr, "Value": value} if value else {"vr": vr} for tag, vr, value in values}


def padded(body: bytes, length: int) -> bytes:
    """A JSON text of exactly `length` bytes: filled with blanks, which JSON allows at its end.

    Raises:
        ValueError: when it is longer.
    """
    if len(body) > length:
        raise ValueError(f"body: expected at most {length} bytes, got {len(body)}.")
    return body.ljust(length)


def metadata_body(item: ReadingItem, uids: Uids) -> bytes:
    """The series' metadata as DICOM JSON of always `METADATA_BYTES` bytes."""
    body = json.dumps([attributes(item, uids)], separators=(",", ":")).encode()
    return padded(body, METADATA_BYTES)
