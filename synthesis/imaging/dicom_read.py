"""DICOM images to arrays: what the header says of the pixels, one frame decoded, a series sorted.

Nothing here holds more than one file's header and one frame, but for `read_series`, which returns
the whole stack.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.multival import MultiValue

from synthesis.imaging.dicom_file import ParsedFile, frame_ranges, opened_file
from synthesis.imaging.dicom_pixels import PixelFormat, check_decodable, decode_frame, read_ranges
from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.geometry import Geometry, flat_geometry, geometry_of_slices, same_orientation
from synthesis.imaging.limits import DEFAULT, Limits, check_dimensions
from synthesis.imaging.volume import Stored, Volume, stack_slices


@dataclass(frozen=True, kw_only=True)
class FrameHeader:
    """What the header says of one frame: its place, its spacing, and what its numbers mean.

    `position_mm` and `orientation` are None where the file tells none; `spacing_mm` is between
    rows, between columns. Real value = stored * slope + intercept, in `units`.
    """

    index: int
    position_mm: tuple[float, float, float] | None = None
    orientation: tuple[float, ...] | None = None
    spacing_mm: tuple[float, float] | None = None
    slice_spacing_mm: float | None = None
    slope: float = 1.0
    intercept: float = 0.0
    units: str = "value"
    window: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """What a stack needs to know of one file."""

    format: PixelFormat
    frames: tuple[FrameHeader, ...]
    modality: str
    instance_number: int | None
    sop_instance_uid: str
    notes: tuple[str, ...] = field(default=())


def image_header(parsed: ParsedFile, *, limits: Limits = DEFAULT) -> ImageHeader:
    """Read everything about the pixels that is not pixels.

    Raises:
        UnreadableFile: no pixels, impossible sizes or numbers, or a compression without decoder (by name).
    """
    header = parsed.header
    if parsed.pixels is None:
        raise UnreadableFile("The file has no pixels.")
    check_decodable(str(parsed.transfer_syntax))
    pixels = pixel_format(
        header, str(parsed.transfer_syntax), keyword=parsed.pixels.keyword, vr=parsed.pixels.vr
    )
    count = _whole(header, "NumberOfFrames", 1)
    check_dimensions(pixels.rows, pixels.columns, count, pixels.samples, limits=limits)
    modality = str(header.get("Modality", "") or "").strip()[:16]
    return ImageHeader(
        format=pixels,
        frames=frame_headers(header, count),
        modality=modality or "OT",
        instance_number=_whole(header, "InstanceNumber", None),
        sop_instance_uid=str(header.get("SOPInstanceUID", "") or ""),
    )


def frame_headers(header: Dataset, count: int) -> tuple[FrameHeader, ...]:
    """What the header says of each of its `count` frames.

    Raises:
        UnreadableFile: for impossible numbers, or functional groups for another number of frames.
    """
    modality = str(header.get("Modality", "") or "").strip()
    shared = _first(header.get("SharedFunctionalGroupsSequence"))
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    if per_frame and len(per_frame) != count:
        raise UnreadableFile(f"The header announces {count} frames but describes {len(per_frame)}.")
    return tuple(
        _frame_header(header, shared, per_frame[k] if per_frame else None, k, modality) for k in range(count)
    )


def pixel_format(
    header: Dataset, transfer_syntax: str, *, keyword: str = "PixelData", vr: str = "OW"
) -> PixelFormat:
    """How the frames are stored, checked for sense.

    Raises:
        UnreadableFile: for a missing or impossible value.
    """
    rows, columns = _whole(header, "Rows", 0), _whole(header, "Columns", 0)
    allocated = _whole(header, "BitsAllocated", 0)
    if not (rows and columns and allocated):
        raise UnreadableFile("The header does not say how its pixels are stored (rows, columns, bits).")
    if allocated not in (8, 16, 32, 64) or (keyword == "PixelData" and allocated == 64):
        raise UnreadableFile(f"The pixels have {allocated} bits each; 8, 16 and 32 are taken.")
    stored = _whole(header, "BitsStored", allocated)
    samples = _whole(header, "SamplesPerPixel", 1)
    if samples not in (1, 3) or not 1 <= stored <= allocated:
        raise UnreadableFile(
            f"The header's pixel description makes no sense ({samples} samples, {stored} bits)."
        )
    return PixelFormat(
        rows=rows,
        columns=columns,
        samples=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        is_signed=_whole(header, "PixelRepresentation", 0) == 1,
        photometric=str(header.get("PhotometricInterpretation", "MONOCHROME2") or "MONOCHROME2").strip(),
        planar=_whole(header, "PlanarConfiguration", 0),
        transfer_syntax=transfer_syntax,
        keyword=keyword,
        vr=vr,
    )


def _frame_header(
    header: Dataset, shared: Dataset | None, own: Dataset | None, index: int, modality: str
) -> FrameHeader:
    """One frame's place and meaning: from its own functional groups, the shared ones, or the top level."""

    def group(keyword: str) -> Dataset | None:
        for place in (own, shared):
            if place is not None and (item := _first(place.get(keyword))) is not None:
                return item
        return None

    measures = group("PixelMeasuresSequence") or header
    position = _numbers(group("PlanePositionSequence") or header, "ImagePositionPatient", 3)
    orientation = _numbers(group("PlaneOrientationSequence") or header, "ImageOrientationPatient", 6)
    spacing = _spacing(measures)
    thickness = _number(measures, "SpacingBetweenSlices") or _number(measures, "SliceThickness")
    slope, intercept, units = _meaning(
        group("PixelValueTransformationSequence") or header,
        group("RealWorldValueMappingSequence") or _first(header.get("RealWorldValueMappingSequence")),
        modality,
        str(header.get("Units", "") or ""),
    )
    return FrameHeader(
        index=index,
        position_mm=position,  # type: ignore[arg-type]  # three numbers or None
        orientation=orientation,
        spacing_mm=spacing,
        slice_spacing_mm=abs(thickness) if thickness else None,
        slope=slope,
        intercept=intercept,
        units=units,
        window=_window(group("FrameVOILUTSequence") or header),
    )


def _meaning(
    transformation: Dataset, mapping: Dataset | None, modality: str, pet_units: str
) -> tuple[float, float, str]:
    """Slope, intercept, units: the modality rescale (C.11.1), else the real-world map (C.7.6.16.2.11)."""
    slope, intercept = _number(transformation, "RescaleSlope"), _number(transformation, "RescaleIntercept")
    if slope is not None or intercept is not None:
        if slope == 0:
            raise UnreadableFile("The rescale slope in the header is zero, so the values have no meaning.")
        kind = str(transformation.get("RescaleType", "") or "").strip()
        return slope if slope is not None else 1.0, intercept or 0.0, _units(modality, kind, pet_units)
    if mapping is not None and (real_slope := _number(mapping, "RealWorldValueSlope")):
        unit = _first(mapping.get("MeasurementUnitsCodeSequence"))
        code = str(unit.get("CodeValue", "") or "").strip() if unit is not None else ""
        return real_slope, _number(mapping, "RealWorldValueIntercept") or 0.0, _ucum(code, modality)
    return 1.0, 0.0, _units(modality, "", pet_units)


def _units(modality: str, kind: str, pet_units: str) -> str:
    if modality == "CT":
        return "HU" if kind.upper() in {"", "HU", "US"} else kind[:16]
    if modality == "PT" and pet_units:
        return pet_units.strip()[:16]
    if modality == "MR":
        return "signal"
    return kind[:16] if kind and kind.upper() not in {"US", "UNSPECIFIED", "NORMALIZED"} else "value"


def _ucum(code: str, modality: str) -> str:
    names = {"[hnsf'U]": "HU", "Bq/ml": "BQML", "1": "signal" if modality == "MR" else "value", "": "value"}
    return names.get(code, code[:16])


def _spacing(measures: Dataset) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        values = _numbers(measures, keyword, 2)
        if values is not None:
            if min(values) <= 0:
                raise UnreadableFile(f"The pixel spacing in the header is not positive: {list(values)}.")
            return values[0], values[1]
    return None


def _window(place: Dataset) -> tuple[float, float] | None:
    centre, width = _first_number(place.get("WindowCenter")), _first_number(place.get("WindowWidth"))
    return (centre, width) if centre is not None and width is not None and width > 0 else None


def _first(sequence: Any) -> Dataset | None:
    return sequence[0] if sequence else None


def _first_number(value: Any) -> float | None:
    if isinstance(value, MultiValue | list | tuple):
        value = value[0] if value else None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _number(place: Dataset, keyword: str) -> float | None:
    """A finite number, None where it is missing or empty.

    Raises:
        UnreadableFile: where it is there and is not a finite number.
    """
    value = place.get(keyword)
    if value is None or value == "":
        return None
    number = _first_number(value)
    if number is None:
        raise UnreadableFile(f"The header's {keyword} is not a finite number.")
    return number


def _numbers(place: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    value = place.get(keyword)
    if value is None or value == "" or (isinstance(value, MultiValue) and not value):
        return None
    try:
        values = tuple(float(v) for v in value)
    except (TypeError, ValueError) as error:
        raise UnreadableFile(f"The header's {keyword} is not made of numbers.") from error
    if len(values) != count or not all(map(math.isfinite, values)):
        raise UnreadableFile(f"The header's {keyword} is not {count} finite numbers.")
    return values


def _whole(place: Dataset, keyword: str, default: Any) -> Any:
    value = place.get(keyword)
    if value is None or value == "":
        return default
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise UnreadableFile(f"The header's {keyword} is not a whole number.") from error


def read_series(paths: Sequence[Path], *, limits: Limits = DEFAULT) -> Volume:
    """One series (classic files, or enhanced multi-frame ones) as a sorted stack of stored values.

    Raises:
        UnreadableFile: when a file cannot be read, or the files do not make one stack.
    """
    placed: list[tuple[FrameHeader, Stored, ImageHeader]] = []
    for path in paths:
        with opened_file(Path(path), limits=limits) as parsed:
            header = image_header(parsed, limits=limits)
            ranges = frame_ranges(parsed, len(header.frames), header.format.frame_bytes)
            for frame, place in zip(header.frames, ranges, strict=True):
                values = decode_frame(header.format, read_ranges(parsed.path, place), palette=parsed.header)
                placed.append((frame, values, header))
    if not placed:
        raise UnreadableFile("There are no images to read.")
    rows, columns = placed[0][1].shape[:2]
    check_dimensions(rows, columns, len(placed), limits=limits)
    if len({(values.shape, values.dtype.str) for _, values, _ in placed}) != 1:
        raise UnreadableFile("The files hold images of different sizes or types: they are not one stack.")
    geometry, order = stack_geometry([frame for frame, _, _ in placed], (rows, columns))
    frames = [placed[i] for i in order]
    units = {frame.units for frame, _, _ in frames}
    return Volume(
        stored=stack_slices([values for _, values, _ in frames]),
        slope=np.array([frame.slope for frame, _, _ in frames], dtype=np.float64),
        intercept=np.array([frame.intercept for frame, _, _ in frames], dtype=np.float64),
        geometry=geometry,
        units=units.pop() if len(units) == 1 else "value",
        modality=frames[0][2].modality,
    )


def stack_geometry(
    frames: Sequence[FrameHeader], shape: tuple[int, int], *, numbers: Sequence[int] | None = None
) -> tuple[Geometry, list[int]]:
    """How frames of one stack lie, and their order: by position, else by `numbers`, else as given.

    Raises:
        UnreadableFile: when the frames have different orientations or spacings.
    """
    first = frames[0]
    spacing = first.spacing_mm or (1.0, 1.0)
    if any(f.spacing_mm is not None and not np.allclose(f.spacing_mm, spacing, rtol=1e-3) for f in frames):
        raise UnreadableFile("The images have different pixel spacings: they are not one stack.")
    keyed = list(range(len(frames)))
    if numbers:
        keyed.sort(key=lambda i: numbers[i])
    orientation = first.orientation
    if orientation is None or any(f.orientation is None or f.position_mm is None for f in frames):
        flat = flat_geometry((len(frames), *shape), spacing, slice_spacing_mm=first.slice_spacing_mm)
        return flat, keyed
    if not all(f.orientation is not None and same_orientation(f.orientation, orientation) for f in frames):
        raise UnreadableFile("The images have different orientations: they are not one stack.")
    geometry, order = geometry_of_slices(
        np.array([frames[i].position_mm for i in keyed], dtype=np.float64),
        orientation,
        spacing,
        shape,
        slice_spacing_mm=first.slice_spacing_mm,
    )
    return geometry, [keyed[i] for i in order]
