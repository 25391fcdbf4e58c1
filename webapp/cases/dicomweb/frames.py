"""One frame of a stored instance: its bytes as they lie in the file, or its decoded pixels.

Only the byte range of the asked frame is read, never the whole file.
"""

from typing import Any

import numpy as np
from django.core.files.storage import default_storage
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from rest_framework.exceptions import NotAcceptable, NotFound

from webapp.cases.dicomweb.accept import EXPLICIT_BIG, EXPLICIT_LITTLE, NATIVE
from webapp.cases.models import Instance


def value_of(metadata: dict[str, Any], tag: str, default: Any = None) -> Any:
    """The first value of an attribute in the DICOM JSON model, or the default."""
    values = metadata.get(tag, {}).get("Value") or [default]
    return default if values[0] is None else values[0]


def frame_bytes(instance: Instance, frame: int) -> bytes:
    """The bytes of one frame (from 1) as stored: native pixels, or one compressed image.

    Raises:
        NotFound: when the instance has no such frame.
    """
    if not 1 <= frame <= len(instance.frame_index):
        raise NotFound(
            f"Frame {frame} does not exist: this instance has {len(instance.frame_index)} frame(s), from 1."
        )
    with default_storage.open(instance.file, "rb") as file:
        parts = []
        for offset, length in instance.frame_index[frame - 1]:
            file.seek(offset)
            part = file.read(length)
            if len(part) != length:
                raise OSError(f"{instance.file} ends before frame {frame} does")
            parts.append(part)
    return b"".join(parts)


def _decoding(instance: Instance, metadata: dict[str, Any]) -> dict[str, Any]:
    """What pydicom's decoder must know about one frame."""
    samples = int(value_of(metadata, "00280002", 1))
    options: dict[str, Any] = {
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "rows": instance.rows,
        "columns": instance.columns,
        "number_of_frames": 1,
        "samples_per_pixel": samples,
        "bits_allocated": int(value_of(metadata, "00280100", 16)),
        "bits_stored": int(value_of(metadata, "00280101", value_of(metadata, "00280100", 16))),
        "pixel_representation": int(value_of(metadata, "00280103", 0)),
        "photometric_interpretation": str(value_of(metadata, "00280004", "MONOCHROME2")),
        "pixel_keyword": "PixelData",
    }
    if samples > 1:
        options["planar_configuration"] = int(value_of(metadata, "00280006", 0))
    return options


def frame_array(instance: Instance, frame: int, *, raw: bool = True) -> np.ndarray:
    """The decoded stored values of one frame, [rows, columns] or [rows, columns, 3].

    With `raw` false, YBR colours are turned into RGB.

    Raises:
        NotFound: when the instance has no such frame.
        NotAcceptable: when no decoder can read it.
    """
    source = frame_bytes(instance, frame)
    if instance.transfer_syntax_uid not in NATIVE:
        source = encapsulate([source], has_bot=False)
    options = _decoding(instance, instance.metadata)
    syntax = instance.transfer_syntax_uid
    try:
        decoder = get_decoder(syntax if syntax == EXPLICIT_BIG or syntax not in NATIVE else EXPLICIT_LITTLE)
        array, _ = decoder.as_array(source, index=0, raw=raw, **options)
    except (NotImplementedError, RuntimeError, ValueError, AttributeError) as error:
        raise NotAcceptable(
            f"This frame is stored in transfer syntax {syntax}, which could not be decoded here ({error}). "
            "Ask for it with transfer-syntax=*."
        ) from error
    return np.asarray(array)


def explicit_little_frame(instance: Instance, frame: int) -> bytes:
    """One frame decoded to native little-endian pixels.

    Raises:
        NotFound: when the instance has no such frame.
        NotAcceptable: when no decoder can read it.
    """
    array = frame_array(instance, frame)
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()
