"""Frames as pictures: windowed, scaled, and marked where they are synthetic."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from django.http import QueryDict
from PIL import Image, ImageDraw, ImageFont
from rest_framework.exceptions import NotAcceptable, ValidationError

from synthesis.imaging.errors import UnreadableFile
from webapp.cases.dicomweb.frames import check_frame, frame_array, value_of
from webapp.cases.models import Instance
from webapp.cases.selectors import case_slice

MARK = "SYNTHETIC"
LARGEST_SIDE = 4096
THUMBNAIL_SIDE = 256
WINDOW_CENTER, WINDOW_WIDTH = "00281050", "00281051"
DEFAULT_CT_WINDOW = (40.0, 400.0)


@dataclass(frozen=True)
class Rendering:
    """How a picture is to look: window (centre, width) or None, largest size or None, JPEG quality."""

    window: tuple[float, float] | None = None
    exact: bool = False
    size: tuple[int, int] | None = None
    quality: int = 90


def _numbers(text: str, count: int, name: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")[:count]]
    except ValueError:
        values = []
    if len(values) != count or not all(np.isfinite(values)):
        raise ValidationError(f"{name} needs {count} numbers with a comma between; got “{text[:60]}”.")
    return values


def parse_rendering(parameters: QueryDict) -> Rendering:
    """The rendering that an address asks for (PS3.18 section 8.3.5): ``window``, ``viewport``, ``quality``.

    Raises:
        ValidationError: when one of them is not what the standard says.
    """
    window, exact, size, quality = None, False, None, 90
    if text := parameters.get("window"):
        center, width = _numbers(text, 2, "window")
        function = [*text.split(","), "linear"][2].strip().lower() or "linear"
        if width < 1:
            raise ValidationError("The width of a window is at least 1.")
        if function not in ("linear", "linear-exact"):
            raise ValidationError(
                f"The window function “{function[:20]}” is not offered: linear, linear-exact."
            )
        window, exact = (center, width), function == "linear-exact"
    if text := parameters.get("viewport"):
        width, height = _numbers(text, 2, "viewport")
        if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
            raise ValidationError(f"A viewport's sides lie between 1 and {LARGEST_SIDE} pixels.")
        size = (int(width), int(height))
    if text := parameters.get("quality"):
        quality = int(_numbers(text, 1, "quality")[0])
        if not 1 <= quality <= 100:
            raise ValidationError("The quality lies between 1 and 100.")
    return Rendering(window, exact, size, quality)


def real_values(instance: Instance, frame: int) -> np.ndarray:
    """A grey frame in its case's units, float32 [rows, columns]; as stored where it is no slice of the case.

    Raises:
        NotFound: when the instance has no such frame.
        NotAcceptable: when no decoder can read it.
    """
    check_frame(instance, frame)
    case, place = instance.case, [instance.number, frame - 1]
    if place not in case.stack:
        return frame_array(instance, frame).astype(np.float32)
    try:
        return case_slice(case, case.stack.index(place)).array
    except UnreadableFile as error:
        raise NotAcceptable(f"{error} Ask for the frame with transfer-syntax=*.") from error


def default_window(instance: Instance, values: np.ndarray) -> tuple[float, float]:
    """The stored window, else soft tissue for CT, else the middle 98 hundredths of the values."""
    case = instance.case
    center, width = value_of(instance.metadata, WINDOW_CENTER), value_of(instance.metadata, WINDOW_WIDTH)
    if center is None or width is None:
        center, width = case.window_center, case.window_width
    if center is not None and width is not None and width >= 1:
        return float(center), float(width)
    if case.modality == "CT" and case.units == "HU":
        return DEFAULT_CT_WINDOW
    low, high = (float(value) for value in np.percentile(values, [1, 99]))
    return (low + high) / 2, max(high - low, 1.0)


def windowed(values: np.ndarray, center: float, width: float, *, exact: bool = False) -> np.ndarray:
    """Grey levels 0..255 by DICOM's linear VOI function (PS3.3 C.11.2.1.2), or its exact variant."""
    if exact:
        shifted = (values - center) / width + 0.5
    elif width <= 1:
        shifted = np.where(values <= center - 0.5, 0.0, 1.0)
    else:
        shifted = (values - (center - 0.5)) / (width - 1) + 0.5
    return np.rint(np.clip(shifted, 0.0, 1.0) * 255.0).astype(np.uint8)


def picture(instance: Instance, frame: int, rendering: Rendering) -> Image.Image:
    """One frame as a picture, marked SYNTHETIC where its case is.

    Raises:
        NotFound: when the instance has no such frame.
        NotAcceptable: when no decoder can read it.
    """
    image = unmarked_picture(instance, frame, rendering)
    return marked(image) if instance.case.is_synthetic else image


def unmarked_picture(instance: Instance, frame: int, rendering: Rendering) -> Image.Image:
    """One frame as a picture that still has to be marked where it is synthetic.

    Raises:
        NotFound: when the instance has no such frame.
        NotAcceptable: when no decoder can read it.
    """
    if instance.case.is_colour:
        array = frame_array(instance, frame)
        image = Image.fromarray(array.astype(np.uint8), "RGB")
    else:
        values = real_values(instance, frame)
        center, width = rendering.window or default_window(instance, values)
        levels = windowed(values, center, width, exact=rendering.exact)
        if value_of(instance.metadata, "00280004") == "MONOCHROME1":
            levels = 255 - levels
        image = Image.fromarray(levels, "L")
    if rendering.size is not None:
        image = _fitted(image, rendering.size)
    return image


def _fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture scaled to lie within a size, its proportions kept."""
    scale = min(size[0] / image.width, size[1] / image.height)
    target = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(target, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)


def marked(image: Image.Image) -> Image.Image:
    """The picture with SYNTHETIC written along its lower edge, legible on any ground.

    On a picture too small for letters, a strip with the word is added below it.
    """
    image = image.copy()
    size = max(10, min(image.width // 16, image.height // 10))
    font = ImageFont.load_default(size)
    box = ImageDraw.Draw(image).textbbox((0, 0), MARK, font=font)
    width, height = int(box[2] - box[0]), int(box[3] - box[1])
    if width + 4 > image.width or height + 6 > image.height // 2:
        ground = Image.new(image.mode, (max(image.width, width + 4), image.height + height + 6))
        ground.paste(image, ((ground.width - image.width) // 2, 0))
        image = ground
    draw = ImageDraw.Draw(image)
    corner = ((image.width - width) / 2 - box[0], image.height - height - 3 - box[1])
    white, black = (255, 0) if image.mode == "L" else ((255, 255, 255), (0, 0, 0))
    draw.text(corner, MARK, font=font, fill=white, stroke_width=max(1, size // 10), stroke_fill=black)
    return image


def encoded(image: Image.Image, media_type: str, quality: int) -> bytes:
    """The picture as JPEG or PNG."""
    buffer = BytesIO()
    if media_type == "image/png":
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
