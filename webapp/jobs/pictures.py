"""Small pictures of label maps and of what a model sees, as PNG; synthetic ones say so in the pixels."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from synthesis.phantoms import WINDOWS

SIDE = 320
MARK = "SYNTHETIC"
NEAR = Image.Resampling.NEAREST
TINT, TINTED = (255, 176, 64), 90  # orange, and how solid of 255


def labels_picture(
    labels: npt.NDArray[np.uint8], label_set: Sequence[Mapping[str, Any]], *, side: int = SIDE
) -> Image.Image:
    """A label map [rows, columns] in its labels' colours."""
    palette = np.zeros((256, 3), np.uint8)
    for label in label_set:
        palette[int(label["value"])] = _rgb(str(label["color"]))
    return _larger(Image.fromarray(palette[labels], "RGB"), side, Image.Resampling.NEAREST)


def grey_picture(image: npt.NDArray[np.float32], modality: str, *, side: int = SIDE) -> Image.Image:
    """An image [rows, columns] in HU (CT: soft-tissue window) or MR signal (full range) in shades of grey."""
    if modality == "CT":
        low, high = WINDOWS["CT"]
    else:
        low, high = (float(value) for value in np.percentile(image, (1.0, 99.5)))
    shade = np.clip((image - low) * (255.0 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
    return _larger(Image.fromarray(shade, "L"), side, Image.Resampling.BICUBIC)


def region_picture(picture: Image.Image, region: npt.NDArray[np.bool_]) -> Image.Image:
    """A grey picture with a region of it [rows, columns] tinted."""
    shape = _larger(
        Image.fromarray(np.where(region, np.uint8(TINTED), np.uint8(0)), "L"), max(picture.size), NEAR
    )
    return Image.composite(Image.new("RGB", picture.size, TINT), picture.convert("RGB"), shape)


def preview_png(picture: npt.NDArray[np.uint8], *, side: int = SIDE) -> bytes:
    """What the sampler expects so far [rows, columns], with the word SYNTHETIC in it, as PNG."""
    return png(marked(_larger(Image.fromarray(picture, "L"), side, Image.Resampling.BICUBIC)))


def marked(image: Image.Image) -> Image.Image:
    """The picture with the word SYNTHETIC along its lower edge."""
    out = image.convert("RGB")
    draw = ImageDraw.Draw(out)
    font = ImageFont.load_default(size=max(10, out.height // 20))
    left, top, right, bottom = draw.textbbox((0, 0), MARK, font=font)
    at = ((out.width - (right - left)) / 2 - left, out.height - (bottom - top) - top - out.height // 40)
    draw.text(at, MARK, font=font, fill=(255, 196, 64), stroke_width=2, stroke_fill=(0, 0, 0))
    return out


def png(image: Image.Image) -> bytes:
    """The picture as PNG."""
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def data_address(image: Image.Image) -> str:
    """The picture as an address that needs no second request."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode("ascii")


def _larger(image: Image.Image, side: int, how: Image.Resampling) -> Image.Image:
    factor = side / max(image.size)
    return image.resize((round(image.width * factor), round(image.height * factor)), how)


def _rgb(color: str) -> tuple[int, int, int]:
    text = color.lstrip("#")
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)
