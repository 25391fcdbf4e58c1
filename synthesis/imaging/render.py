"""Pictures for screens and papers: windowed, coloured by mask where asked for, and visibly marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

MARK = "SYNTHETIC"
LEAST_SIDE = 512  # smaller images are enlarged by a whole factor, so that the mark can be read


def windowed(image: npt.NDArray[np.floating], window: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Values to 0..255 by a window (centre, width), LINEAR_EXACT of PS3.3 C.11.2.1.3.2."""
    centre, width = window
    if width <= 0:
        raise ValueError(f"window: expected a positive width, got {width}.")
    return np.clip((image - (centre - width / 2)) * 255.0 / width + 0.5, 0, 255).astype(np.uint8)


def overlaid(
    grey: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer],
    names: Sequence[Mapping[str, Any]],
    opacity: float = 0.4,
) -> npt.NDArray[np.uint8]:
    """A grey picture [rows, columns] with its mask in colour over it, [rows, columns, 3]."""
    picture = np.repeat(grey[..., None].astype(np.float64), 3, axis=2)
    for row in names:
        where = labels == int(row["value"])
        if int(row["value"]) != 0 and where.any():
            colour = np.array([int(str(row["color"])[k : k + 2], 16) for k in (1, 3, 5)], float)
            picture[where] = (1 - opacity) * picture[where] + opacity * colour
    return np.rint(picture).astype(np.uint8)


def render_png(
    image: npt.NDArray[np.floating],
    window: tuple[float, float],
    *,
    labels: npt.NDArray[np.integer] | None = None,
    names: Sequence[Mapping[str, Any]] = (),
    is_synthetic: bool = True,
    is_blinded: bool = False,
    spacing_mm: tuple[float, float] = (1.0, 1.0),
) -> bytes:
    """An image [rows, columns] as PNG, enlarged to at least LEAST_SIDE, with square pixels.

    A synthetic image carries the word SYNTHETIC in the picture and in the file's text, except in a
    blinded reading (`is_blinded`), where nothing may tell.
    """
    picture = windowed(image, window)
    if labels is not None:
        picture = overlaid(picture, labels, names)
    drawn = Image.fromarray(picture)
    rows, columns = image.shape
    factor = max(1, -(-LEAST_SIDE // max(rows, columns)))
    height = max(1, round(rows * factor * spacing_mm[0] / min(spacing_mm)))
    width = max(1, round(columns * factor * spacing_mm[1] / min(spacing_mm)))
    if (width, height) != drawn.size:
        drawn = drawn.resize((width, height), Image.Resampling.NEAREST)
    text = PngInfo()
    if is_synthetic and not is_blinded:
        drawn = marked(drawn)
        text.add_text("Description", f"{MARK} image. Not for clinical use.")
    out = BytesIO()
    drawn.save(out, "PNG", pnginfo=text)
    return out.getvalue()


def marked(picture: Image.Image) -> Image.Image:
    """The picture with the word SYNTHETIC in its lower left corner, readable on any ground."""
    out = picture.convert("RGB")
    size = max(12, min(out.size) // 22)
    font = ImageFont.load_default(size=size)
    ImageDraw.Draw(out).text(
        (size // 2, out.height - size // 2),
        MARK,
        font=font,
        anchor="ls",
        fill=(255, 205, 60),
        stroke_width=max(1, size // 10),
        stroke_fill=(0, 0, 0),
    )
    return out
