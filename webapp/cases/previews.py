"""Small pictures of one slice with a mask laid over it, for forms and lists."""

import zlib
from typing import Any

import numpy as np
from django.core.files.storage import default_storage
from PIL import Image

from webapp.cases.dicomweb import rendering
from webapp.cases.models import Case, Instance, Mask

OPACITY = 0.45
SIDE = 512


def mask_plane(mask: Mask, index: int) -> np.ndarray:
    """One slice of a mask, uint16 [rows, columns]; the slices before it are unpacked but not kept.

    Raises:
        ValueError: when the mask has no such slice, or its file ends too early.
    """
    slices, rows, columns = mask.shape
    if not 0 <= index < slices:
        raise ValueError(f"index: expected 0..{slices - 1}, got {index}")
    size = rows * columns * 2
    skip, plane = index * size, bytearray()
    unpacking = zlib.decompressobj()
    with default_storage.open(mask.file, "rb") as file:
        for chunk in file.chunks(1 << 18):
            while chunk and len(plane) < size:
                piece = unpacking.decompress(chunk, 1 << 20)
                chunk = unpacking.unconsumed_tail
                plane += piece[skip : skip + size - len(plane)] if skip < len(piece) else b""
                skip = max(0, skip - len(piece))
            if len(plane) >= size:
                break
    if len(plane) != size:
        raise ValueError(f"{mask.file} ends before slice {index} does")
    return np.frombuffer(bytes(plane), "<u2").reshape(rows, columns)


def _rgb(color: str) -> tuple[int, int, int]:
    text = color.lstrip("#")
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)


def painted(
    image: Image.Image, plane: np.ndarray, labels: list[dict[str, Any]], opacity: float = OPACITY
) -> Image.Image:
    """The picture in colour with the labels of a plane of the same size laid over it."""
    ground = np.asarray(image.convert("RGB"), np.float32)
    table = np.zeros((int(plane.max()) + 1, 3), np.float32)
    table[1:] = 255.0
    for label in labels:
        if 0 < label["value"] < len(table):
            table[label["value"]] = _rgb(label["color"])
    share = np.where(plane > 0, np.float32(opacity), np.float32(0.0))[..., None]
    return Image.fromarray(np.rint(ground * (1 - share) + table[plane] * share).astype(np.uint8), "RGB")


def slice_picture(case: Case, index: int, mask: Mask | None = None, *, side: int = SIDE) -> Image.Image:
    """One slice of a case, windowed, with the mask over it, in true proportions, at most `side` large.

    A synthetic case's picture carries the word SYNTHETIC.

    Raises:
        ValueError: when the case has no such slice.
    """
    if not 0 <= index < len(case.stack):
        raise ValueError(f"index: expected 0..{len(case.stack) - 1}, got {index}")
    number, frame = case.stack[index]
    instance = Instance.objects.get(case=case, number=number)
    instance.case = case
    image = rendering.unmarked_picture(instance, frame + 1, rendering.Rendering())
    if mask is not None:
        image = painted(image, mask_plane(mask, index), mask.labels)
    image = image.resize(_true_size(case, image.size, side), Image.Resampling.BICUBIC)
    return rendering.marked(image) if case.is_synthetic else image


def _true_size(case: Case, size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size in which a millimetre is as long across as down."""
    row_mm, column_mm = case.spacing_mm[:2] if case.spacing_mm and all(case.spacing_mm[:2]) else (1.0, 1.0)
    width, height = size[0] * column_mm, size[1] * row_mm
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))
