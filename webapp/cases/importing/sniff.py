"""What a file is, by its content; the name only decides between kinds of text."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

from synthesis.imaging.errors import UnreadableFile

DICOM, NIFTI, PNG, JPEG, ZIP, CSV, JSON = "dicom", "nifti", "png", "jpeg", "zip", "csv", "json"

_REFUSED_MAGIC = (
    (b"NRRD", "an NRRD volume; convert it to NIfTI"),
    (b"%PDF", "a PDF"),
    (b"II*\0", "a TIFF image; convert it to PNG"),
    (b"MM\0*", "a TIFF image; convert it to PNG"),
    (b"GIF8", "a GIF image; convert it to PNG"),
    (b"BM", "a BMP image; convert it to PNG"),
    (b"\x1f\x9d", "a compressed archive; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it, or make a zip of it"),
    (b"Rar!", "a RAR archive; unpack it, or make a zip of it"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"ObjectType", "a MetaImage header; convert it to NIfTI"),
    (b"RIFF", "a RIFF file"),
)
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_SYSTEM_NAMES = {".ds_store", "thumbs.db", "desktop.ini", ".gitignore", ".gitkeep"}


def kind_of(path: Path, shown: str) -> str:
    """One of the kinds above.

    Raises:
        UnreadableFile: for an empty file, or one of a kind that is not taken, by name.
    """
    name = shown.rsplit("/", 1)[-1].lower()
    if name in _SYSTEM_NAMES or name.startswith("._") or "__macosx/" in shown.lower():
        raise UnreadableFile("A file of the computer's own, not an image.")
    with path.open("rb") as source:
        head = source.read(352)
    if not head:
        raise UnreadableFile("The file is empty.")
    if head[:2] == b"\x1f\x8b":
        return _kind_of_gzip(path)
    found = _kind_of_bytes(head)
    if found:
        return found
    for magic, words in _REFUSED_MAGIC:
        if head.startswith(magic):
            raise UnreadableFile(f"This is {words}.")
    if name.endswith((".csv", ".tsv")):
        return CSV
    if name.endswith(".json"):
        return JSON
    if _looks_like_bare_dicom(head):
        return DICOM
    raise UnreadableFile("This is not a DICOM, NIfTI, PNG or JPEG image, whatever its name says.")


def _kind_of_bytes(head: bytes) -> str:
    if head[128:132] == b"DICM":
        return DICOM
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(_ZIP_MAGIC):
        return ZIP
    if is_nifti(head):
        return NIFTI
    return ""


def is_nifti(head: bytes) -> bool:
    """Whether the first 352 bytes are a single-file NIfTI-1 or NIfTI-2 header.

    Raises:
        UnreadableFile: for the two-file form.
    """
    if len(head) < 348:
        return False
    if head[344:348] == b"ni1\0" or head[4:8] == b"ni2\0":
        raise UnreadableFile("This is half of a two-file NIfTI (.hdr/.img); convert it to .nii.gz.")
    return head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0"


def _kind_of_gzip(path: Path) -> str:
    try:
        with gzip.open(path, "rb") as source:
            head = source.read(352)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFile("The gzip file is damaged and cannot be unpacked.") from error
    if is_nifti(head):
        return NIFTI
    raise UnreadableFile("This is a gzip file, and what is in it is not a NIfTI volume.")


def _looks_like_bare_dicom(head: bytes) -> bool:
    """A DICOM data set without the 128-byte preamble: it begins with group 0002 or 0008."""
    if len(head) < 16:
        return False
    group, element = struct.unpack("<HH", head[:4])
    big_group = struct.unpack(">H", head[:2])[0]
    if group not in (0x0002, 0x0008) and big_group != 0x0008:
        return False
    if head[4:6].isalpha() and head[4:6].isupper():
        return True
    length: int = struct.unpack("<L", head[4:8])[0]
    return group in (0x0002, 0x0008) and element <= 0x0070 and length < 4096
