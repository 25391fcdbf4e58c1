"""One frame of an item as a DICOMweb answer; only its own bytes are read from the storage."""

from __future__ import annotations

import secrets

from django.core.files.storage import default_storage

from webapp.readings.models.study import ReadingItem

BYTES_PER_PIXEL = 2
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
PART_TYPE = f"application/octet-stream; transfer-syntax={EXPLICIT_LITTLE}"


def frame_bytes(item: ReadingItem, frame: int) -> bytes:
    """The pixels of one frame (from 1): little-endian int16, [rows, columns].

    Raises:
        ValueError: when the stored pixels are shorter than the item says.
    """
    length = item.rows * item.columns * BYTES_PER_PIXEL
    with default_storage.open(item.pixels, "rb") as file:
        file.seek((frame - 1) * length)
        pixels = bytes(file.read(length))
    if len(pixels) != length:
        raise ValueError(f"pixels of {item}: expected {length} bytes of frame {frame}, got {len(pixels)}.")
    return pixels


def multipart(pixels: bytes) -> tuple[bytes, str]:
    """Body and content type of a one-part multipart/related answer; its boundary is random, of one length."""
    boundary = secrets.token_hex(20)
    body = b"".join(
        (
            f"--{boundary}\r\nContent-Type: {PART_TYPE}\r\n\r\n".encode(),
            pixels,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
    return body, f'multipart/related; type="application/octet-stream"; boundary={boundary}'
