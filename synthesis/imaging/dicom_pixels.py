"""One frame of DICOM pixels: how it is stored, and its stored values from its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRBigEndian, JPEGExtended12Bit

from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.volume import Stored

LOSSLESS_SYNTAXES = frozenset(
    {
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.4.57",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.201",
        "1.2.840.10008.1.2.4.202",
        "1.2.840.10008.1.2.5",
    }
)
NO_DECODER = {
    "1.2.840.10008.1.2.4.52": "JPEG Extended (Process 3 and 5)",
    "1.2.840.10008.1.2.4.53": "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)",
    "1.2.840.10008.1.2.4.54": "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)",
    "1.2.840.10008.1.2.4.55": "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)",
    "1.2.840.10008.1.2.4.56": "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)",
}


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """How one frame is stored; everything that decoding it takes."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    photometric: str
    planar: int
    transfer_syntax: str
    keyword: str = "PixelData"
    vr: str = "OW"

    @property
    def frame_bytes(self) -> int:
        """Bytes of one native frame; YBR_FULL_422 stores two colour samples for two pixels' one."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * self.bits_allocated // 8

    @property
    def is_colour(self) -> bool:
        """Whether decoding gives three samples per pixel."""
        return self.samples == 3 or self.photometric == "PALETTE COLOR"


def check_decodable(transfer_syntax: str) -> None:
    """Refuse, by name, a compression that no decoder here knows.

    Raises:
        UnreadableFile: naming the transfer syntax.
    """
    name = NO_DECODER.get(transfer_syntax)
    uid = UID(transfer_syntax)
    if name is None and (not uid.is_valid or not uid.is_transfer_syntax or _is_video(uid)):
        name = uid.name if uid.name != transfer_syntax else f"unknown ({transfer_syntax[:64]})"
    if name is not None:
        raise UnreadableFile(
            f"The pixels are compressed as {name}, which no decoder here reads. "
            "Export the images uncompressed or as JPEG 2000 lossless."
        )


def _is_video(uid: UID) -> bool:
    return "MPEG" in uid.name or "HEVC" in uid.name or "JPIP" in uid.name or "SMPTE" in uid.name


def decode_frame(
    pixels: PixelFormat, payload: bytes | Sequence[bytes], *, palette: Dataset | None = None
) -> Stored:
    """Decode one frame's bytes to its stored values.

    Args:
        payload: the frame's native bytes, or its fragments.
        palette: the header with the palette tables, for PALETTE COLOR.

    Returns:
        [rows, columns], or [rows, columns, 3] in RGB for colour; unused high bits cleared.

    Raises:
        UnreadableFile: naming the compression where it cannot be decoded.
    """
    data = payload if isinstance(payload, bytes) else b"".join(payload)
    if pixels.keyword != "PixelData":
        return _float_frame(pixels, data)
    try:
        if pixels.transfer_syntax == JPEGExtended12Bit and pixels.bits_stored > 8:
            array = _jpeg_12_bit(pixels, data)
        else:
            array = pixel_array(_frame_dataset(pixels, data))
        if pixels.photometric == "PALETTE COLOR" and palette is not None:
            array = _eight_bit(apply_color_lut(array, palette))
    except Exception as error:
        name = UID(pixels.transfer_syntax).name
        raise UnreadableFile(
            f"The pixels could not be decoded ({name}): the file is damaged or uses a variant "
            "that no decoder here reads."
        ) from error
    expected = (pixels.rows, pixels.columns)
    if array.shape[:2] != expected:
        raise UnreadableFile(f"The decoded image is {array.shape[:2]}, the header announces {expected}.")
    return array


def _jpeg_12_bit(pixels: PixelFormat, data: bytes) -> Stored:
    """JPEG process 4 (12 bit) through GDCM itself: pydicom offers no free decoder for it.

    Raises:
        ValueError: when the scan header breaks ISO 10918-1 B.2.3, where libjpeg would only warn.
    """
    scan = data.find(b"\xff\xda")
    components = data[scan + 4] if 0 <= scan < len(data) - 4 else 0
    if scan < 0 or data[scan + 5 + 2 * components :][:3] != b"\x00\x3f\x00":
        raise ValueError("the scan parameters are not those of sequential JPEG")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((pixels.columns, pixels.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(pixels.photometric)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(pixels.transfer_syntax)))
    stored = pixels.bits_stored
    image.SetPixelFormat(
        gdcm.PixelFormat(pixels.samples, pixels.bits_allocated, stored, stored - 1, int(pixels.is_signed))
    )
    raw = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM hands out char* as str
    values = np.frombuffer(raw, dtype="<i2" if pixels.is_signed else "<u2")
    return values.reshape(pixels.rows, pixels.columns).copy()


def _eight_bit(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return (array >> 8).astype(np.uint8) if array.dtype == np.uint16 else array


def _float_frame(pixels: PixelFormat, data: bytes) -> Stored:
    order = ">" if pixels.transfer_syntax == ExplicitVRBigEndian else "<"
    kind = "f4" if pixels.keyword == "FloatPixelData" else "f8"
    return np.frombuffer(data, dtype=order + kind, count=pixels.rows * pixels.columns).reshape(
        pixels.rows, pixels.columns
    )


def _frame_dataset(pixels: PixelFormat, data: bytes) -> Dataset:
    """A data set of one frame that pydicom's decoders accept."""
    image = Dataset()
    image.Rows, image.Columns = pixels.rows, pixels.columns
    image.SamplesPerPixel, image.PhotometricInterpretation = pixels.samples, pixels.photometric
    image.BitsAllocated, image.BitsStored = pixels.bits_allocated, pixels.bits_stored
    image.HighBit, image.PixelRepresentation = pixels.bits_stored - 1, int(pixels.is_signed)
    if pixels.samples > 1:
        image.PlanarConfiguration = pixels.planar
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = UID(pixels.transfer_syntax)
    compressed = image.file_meta.TransferSyntaxUID.is_compressed
    encapsulated = compressed and image.file_meta.TransferSyntaxUID.is_encapsulated
    if len(data) % 2:
        data += b"\0"
    image.PixelData = encapsulate([data], has_bot=False) if encapsulated else data
    image["PixelData"].VR = "OB" if encapsulated or pixels.vr == "OB" else "OW"
    return image


def read_ranges(path: Path, ranges: Sequence[tuple[int, int]]) -> bytes:
    """The bytes of one frame, its fragments joined."""
    with path.open("rb") as source:
        pieces = []
        for offset, length in ranges:
            source.seek(offset)
            pieces.append(source.read(length))
    return b"".join(pieces)
