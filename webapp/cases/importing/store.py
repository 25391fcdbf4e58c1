"""One DICOM instance on its way into the storage: a clean header, the pixels' own bytes, their hash."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
)

from synthesis.imaging.dicom_file import ParsedFile, Range, frame_ranges
from synthesis.imaging.dicom_pixels import PixelFormat, decode_frame
from synthesis.imaging.dicom_read import ImageHeader
from synthesis.imaging.errors import UnreadableFile

IMPLEMENTATION_UID = UID("2.25.194821563770281904426193650198273645518")
_CHUNK = 1 << 20
_CLASS_OF = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}
_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
_LONGEST_OFFSET = 0xFFFFFFFF - 16


@dataclass(frozen=True, kw_only=True)
class StoredInstance:
    """A finished file, not yet in the storage, and what its record will say."""

    path: Path
    image: ImageHeader
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    size: int
    pixel_sha256: str
    metadata: dict[str, Any]
    frame_index: list[list[Range]]


def write_instance(parsed: ParsedFile, image: ImageHeader, header: Dataset, target: Path) -> StoredInstance:
    """Write the clean header followed by the file's own pixel bytes, and hash the decoded frames.

    Compressed pixels are copied byte for byte; native ones too, but for big-endian files, whose
    words are turned round. Native files become Explicit VR Little Endian. One frame is held at a
    time.

    Raises:
        UnreadableFile: when a frame is missing or cannot be decoded.
    """
    pixels = parsed.pixels
    if pixels is None:
        raise UnreadableFile("The file has no pixels.")
    ranges = frame_ranges(parsed, len(image.frames), image.format.frame_bytes)
    syntax = UID(parsed.transfer_syntax if pixels.is_encapsulated else ExplicitVRLittleEndian)
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in header:
            delattr(header, keyword)
    _write_header(header, syntax, target)
    with parsed.path.open("rb") as source, target.open("r+b") as out:
        out.seek(0, 2)
        if pixels.is_encapsulated:
            index = _copy_encapsulated(source, out, ranges)
        else:
            swap = _swap_width(parsed, image.format)
            index = _copy_native(source, out, ranges, image.format, swap)
    digest = pixel_sha256(target, image.format, index, str(syntax), header)
    return StoredInstance(
        path=target,
        image=image,
        sop_instance_uid=str(header.SOPInstanceUID),
        sop_class_uid=str(header.get("SOPClassUID", "")),
        transfer_syntax_uid=str(syntax),
        size=target.stat().st_size,
        pixel_sha256=digest,
        metadata=json_metadata(header),
        frame_index=index,
    )


def _write_header(header: Dataset, syntax: UID, target: Path) -> None:
    header.SpecificCharacterSet = "ISO_IR 192"
    if not header.get("SOPClassUID"):
        header.SOPClassUID = _CLASS_OF.get(
            str(header.get("Modality", "") or ""), SecondaryCaptureImageStorage
        )
    header.file_meta = FileMetaDataset()
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.file_meta.TransferSyntaxUID = syntax
    header.file_meta.ImplementationClassUID = IMPLEMENTATION_UID
    header.file_meta.ImplementationVersionName = "SEMBLANCE"
    dcmwrite(target, header, implicit_vr=False, little_endian=True, enforce_file_format=True)


def _copy_encapsulated(source: BinaryIO, out: BinaryIO, frames: list[list[Range]]) -> list[list[Range]]:
    """Fragments as they are, behind a correct basic offset table (PS3.5 A.4)."""
    out.write(b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff")
    starts, at = [], 0
    for frame in frames:
        starts.append(at)
        at += sum(length + 8 for _, length in frame)
    table = struct.pack(f"<{len(starts)}L", *starts) if len(frames) > 1 and at < _LONGEST_OFFSET else b""
    out.write(_ITEM + struct.pack("<L", len(table)) + table)
    index: list[list[Range]] = []
    for frame in frames:
        places: list[Range] = []
        for offset, length in frame:
            out.write(_ITEM + struct.pack("<L", length))
            places.append((out.tell(), length))
            for block in _blocks(source, offset, length):
                out.write(block)
        index.append(places)
    out.write(_DELIMITER)
    return index


def _copy_native(
    source: BinaryIO, out: BinaryIO, frames: list[list[Range]], pixels: PixelFormat, swap: int
) -> list[list[Range]]:
    total = sum(length for frame in frames for _, length in frame)
    tag = {"PixelData": b"\xe0\x7f\x10\x00", "FloatPixelData": b"\xe0\x7f\x08\x00"}.get(
        pixels.keyword, b"\xe0\x7f\x09\x00"
    )
    kind = {"FloatPixelData": b"OF", "DoubleFloatPixelData": b"OD"}.get(
        pixels.keyword, b"OW" if pixels.bits_allocated > 8 else b"OB"
    )
    out.write(tag + kind + b"\x00\x00" + struct.pack("<L", total + total % 2))
    index: list[list[Range]] = []
    for frame in frames:
        offset, length = frame[0]
        index.append([(out.tell(), length)])
        for block in _blocks(source, offset, length):
            out.write(np.frombuffer(block, f">u{swap}").astype(f"<u{swap}").tobytes() if swap > 1 else block)
    if total % 2:
        out.write(b"\0")
    return index


def _swap_width(parsed: ParsedFile, pixels: PixelFormat) -> int:
    """Bytes of the words to turn round: none in a little-endian file or for bytes stored as OB."""
    if parsed.transfer_syntax != ExplicitVRBigEndian:
        return 1
    if pixels.bits_allocated == 8:
        return 2 if pixels.vr == "OW" and pixels.frame_bytes % 2 == 0 else 1
    return pixels.bits_allocated // 8


def _blocks(source: BinaryIO, offset: int, length: int) -> Iterator[bytes]:
    source.seek(offset)
    while length > 0:
        block = source.read(min(_CHUNK, length))
        if not block:
            raise UnreadableFile("The file ends in the middle of its pixels: it is truncated.")
        length -= len(block)
        yield block


def pixel_sha256(
    path: Path, pixels: PixelFormat, index: list[list[Range]], syntax: str, header: Dataset
) -> str:
    """SHA-256 over size and decoded stored values, as little-endian int32 (or float64), frame by frame.

    Independent of the encoding, so that lossless re-encodings of the same pixels agree.
    """
    format_here = PixelFormat(**{**pixels.__dict__, "transfer_syntax": syntax})
    digest = hashlib.sha256(f"{pixels.rows} {pixels.columns} {len(index)}".encode())
    with path.open("rb") as source:
        for frame in index:
            payload = b"".join(b"".join(_blocks(source, offset, length)) for offset, length in frame)
            values = decode_frame(format_here, payload, palette=header)
            kind = "<f8" if values.dtype.kind == "f" else "<i8" if values.dtype.itemsize > 2 else "<i4"
            digest.update(np.ascontiguousarray(values, dtype=kind).tobytes())
    return digest.hexdigest()


def json_metadata(header: Dataset) -> dict[str, Any]:
    """The DICOM JSON model (PS3.18 F) of a header without pixels; what JSON cannot hold is left out."""
    model = header.to_json_dict(bulk_data_threshold=1 << 30, suppress_invalid_tags=True)
    for tag in list(model):
        try:
            json.dumps(model[tag], allow_nan=False)
        except ValueError:
            del model[tag]
    return model
