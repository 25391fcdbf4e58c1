"""One frame of a stored instance: its bytes as they lie in the file, or its decoded pixels.

Only the byte range of the asked frame is read, never the whole file.
"""

from typing import Any

import numpy as np
from django.core.files.storage import default_storage
from rest_framework.exceptions import NotAcceptable, NotFound

from synthesis.imaging.errors import UnreadableFile
from webapp.cases.models import Instance
from webapp.cases.selectors import instance_frame


def value_of(metadata: dict[str, Any], tag: str, default: Any = None) -> Any:
    """The first value of an attribute in the DICOM JSON model, or the default."""
    values = metadata.get(tag, {}).get("Value") or [default]
    return default if values[0] is None else values[0]


def check_frame(instance: Instance, frame: int) -> None:
    """Refuse a frame (from 1) that the instance does not have.

    Raises:
        NotFound: naming how many there are.
    """
    count = len(instance.frame_index)
    if not 1 <= frame <= count:
        raise NotFound(f"Frame {frame} does not exist: this instance has {count} frame(s), from 1.")


def frame_bytes(instance: Instance, frame: int) -> bytes:
    """The bytes of one frame (from 1) as stored: native pixels, or one compressed image.

    Raises:
        NotFound: when the instance has no such frame.
    """
    check_frame(instance, frame)
    parts = []
    with default_storage.open(instance.file, "rb") as file:
        for offset, length in instance.frame_index[frame - 1]:
            file.seek(offset)
            part = file.read(length)
            if len(part) != length:
                raise OSError(f"{instance.file} ends before frame {frame} does")
            parts.append(part)
    return b"".join(parts)


def frame_array(instance: Instance, frame: int) -> np.ndarray:
    """The stored values of one frame, [rows, columns], or [rows, columns, 3] in RGB.

    Raises:
        NotFound: when the instance has no such frame.
        NotAcceptable: when no decoder can read it.
    """
    check_frame(instance, frame)
    try:
        return np.asarray(instance_frame(instance, frame - 1))
    except UnreadableFile as error:
        raise NotAcceptable(f"{error} Ask for it with transfer-syntax=*.") from error


def explicit_little_frame(instance: Instance, frame: int) -> bytes:
    """One frame decoded to native little-endian pixels (colours as RGB, pixel by pixel).

    Raises:
        NotFound: when the instance has no such frame.
        NotAcceptable: when no decoder can read it.
    """
    array = frame_array(instance, frame)
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()
