"""PNG and JPEG images of 8 or 16 bits, and the tables of attributes that come with them."""

from __future__ import annotations

import csv
import json
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.limits import DEFAULT, MIB, Limits, check_dimensions, check_file_size

TABLE_BYTES = 64 * MIB
TABLE_COLUMNS = 500
_GREY = {"L", "1", "I;16", "I;16B", "I;16L", "I;16N", "I"}
_KEPT_PNG_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD"}


@dataclass(frozen=True, kw_only=True, eq=False)
class RasterImage:
    """A picture's pixels: [rows, columns] or [rows, columns, 3], uint8 or uint16, and what was changed."""

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    notes: tuple[str, ...]

    @property
    def is_colour(self) -> bool:
        """Whether there are three samples per pixel."""
        return self.pixels.ndim == 3


def read_raster(path: Path, *, limits: Limits = DEFAULT) -> RasterImage:
    """Decode a PNG or JPEG; grey stays grey, 16 bits stay 16 bits, transparency is dropped.

    Raises:
        UnreadableFile: for anything damaged, oversized or of another kind.
    """
    check_file_size(path.stat().st_size, limits=limits)
    notes: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image: Image.Image
            with Image.open(path, formats=("PNG", "JPEG")) as opened:
                check_dimensions(opened.height, opened.width, limits=limits)
                turned = opened.getexif().get(0x0112, 1) if opened.format == "JPEG" else 1
                opened.load()
                image = opened.copy()
    except UnreadableFile:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableFile("The picture claims more pixels than are taken here.") from error
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error, EOFError) as error:
        raise UnreadableFile("The picture is damaged or ends early, and cannot be decoded.") from error
    if turned not in (0, 1):
        notes.append("the camera's note on turning the picture was not followed")
    return RasterImage(pixels=_pixels(image, notes), notes=tuple(notes))


def _pixels(image: Image.Image, notes: list[str]) -> npt.NDArray[Any]:
    mode = image.mode
    if mode in _GREY:
        if mode == "1":
            return np.asarray(image.convert("L"))
        array = np.asarray(image)
        if array.dtype == np.uint8:
            return array
        if array.min() < 0 or array.max() > 65_535:
            raise UnreadableFile("The picture has values outside of 16 bits.")
        return array.astype(np.uint16)
    if mode in ("LA", "La"):
        notes.append("transparency dropped")
        return np.asarray(image.getchannel(0))
    if mode not in ("RGB", "RGBA", "RGBa", "P", "PA", "CMYK", "YCbCr"):
        raise UnreadableFile(f"The picture's colours ({mode}) are of a kind that is not taken.")
    if mode in ("RGBA", "RGBa", "PA"):
        notes.append("transparency dropped")
    elif mode in ("P", "CMYK", "YCbCr"):
        notes.append("colours converted to RGB")
    array = np.asarray(image.convert("RGB"))
    if np.array_equal(array[..., 0], array[..., 1]) and np.array_equal(array[..., 0], array[..., 2]):
        notes.append("three equal colours stored as one grey")
        return np.ascontiguousarray(array[..., 0])
    return array


def anonymous_copy(path: Path, target: Path) -> list[str]:
    """Copy a picture without its texts (EXIF, XMP, comments), the compressed pixels byte for byte.

    Returns:
        What was taken out, in words; empty where there was nothing.

    Raises:
        UnreadableFile: when the file's structure is damaged.
    """
    with path.open("rb") as source:
        is_png = source.read(8) == b"\x89PNG\r\n\x1a\n"
    return _clean_png(path, target) if is_png else _clean_jpeg(path, target)


def _clean_png(path: Path, target: Path) -> list[str]:
    removed: list[str] = []
    with path.open("rb") as source, target.open("wb") as out:
        out.write(source.read(8))
        while head := source.read(8):
            if len(head) < 8:
                raise UnreadableFile("The picture is damaged or ends early.")
            length = struct.unpack(">L", head[:4])[0]
            body = source.read(length + 4)
            if len(body) < length + 4:
                raise UnreadableFile("The picture is damaged or ends early.")
            if head[4:] in _KEPT_PNG_CHUNKS:
                out.write(head + body)
            else:
                removed.append(head[4:].decode("ascii", "replace"))
            if head[4:] == b"IEND":
                break
    return [f"removed from the file: {', '.join(sorted(set(removed)))}"] if removed else []


def _clean_jpeg(path: Path, target: Path) -> list[str]:
    """Copy the segments but APPn (JFIF and Adobe stay) and COM; from the first scan on, everything."""
    removed = False
    with path.open("rb") as source, target.open("wb") as out:
        out.write(source.read(2))
        while True:
            mark = source.read(2)
            if len(mark) < 2 or mark[0] != 0xFF:
                raise UnreadableFile("The picture is damaged or ends early.")
            if mark[1] == 0xDA:
                out.write(mark)
                while block := source.read(MIB):
                    out.write(block)
                break
            size = source.read(2)
            body = source.read(max(struct.unpack(">H", size.ljust(2, b"\0"))[0] - 2, 0))
            named = 0xE0 <= mark[1] <= 0xEF and not body.startswith((b"JFIF\0", b"Adobe"))
            if named or mark[1] == 0xFE:
                removed = True
            else:
                out.write(mark + size + body)
    return ["camera data and comments removed"] if removed else []


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV or TSV with a header line, cells stripped.

    Raises:
        UnreadableFile: when it is no table, or larger than any table of attributes.
    """
    if path.stat().st_size > TABLE_BYTES:
        raise UnreadableFile("The table is larger than any table of attributes.")
    text = path.read_bytes().decode("utf-8-sig", "replace")
    if "\0" in text:
        raise UnreadableFile("This is not a text table, whatever its name says.")
    try:
        dialect = csv.Sniffer().sniff(text[:8192], delimiters=",;\t")
    except csv.Error:
        dialect = csv.excel
    try:
        reader = csv.reader(text.splitlines(), dialect)
        header = [cell.strip() for cell in next(reader, [])]
        if not header or len(header) > TABLE_COLUMNS or len(set(header)) != len(header):
            raise UnreadableFile("The table's first line does not name its columns.")
        return [{name: cell.strip() for name, cell in zip(header, row) if name} for row in reader if any(row)]
    except csv.Error as error:
        raise UnreadableFile("The table is damaged and cannot be read.") from error


def read_json(path: Path) -> Any:
    """The contents of a small JSON file.

    Raises:
        UnreadableFile: when it is none.
    """
    if path.stat().st_size > TABLE_BYTES:
        raise UnreadableFile("The JSON file is larger than any list of labels.")
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UnreadableFile("The JSON file is damaged and cannot be read.") from error
