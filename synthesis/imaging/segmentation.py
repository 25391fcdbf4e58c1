"""DICOM SEG to a mask on a stack of slices: binary, fractional and label map, by geometry or reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.uid import UID

from synthesis.imaging.colours import hexadecimal, label_color, rgb_of
from synthesis.imaging.dicom_file import ParsedFile, frame_ranges
from synthesis.imaging.dicom_pixels import decode_frame, read_ranges
from synthesis.imaging.dicom_read import FrameHeader, frame_headers, pixel_format
from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.geometry import Geometry
from synthesis.imaging.limits import DEFAULT, Limits, check_dimensions
from synthesis.imaging.plane import Plane, plane_in_stack, resample_labels

Labels = npt.NDArray[np.uint16]

SEG_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP_CLASS = "1.2.840.10008.5.1.4.1.1.66.7"

_PARALLEL = 0.999
_SAME_MM = 0.01


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """A mask read from SEG: labels [slices, rows, columns] of segment numbers, in stack order.

    names: [{"value", "name", "color"}] per segment that the file describes. notes: sentences for
    the import report about frames that lie elsewhere and segments that overlap.
    """

    labels: Labels
    names: list[dict[str, Any]]
    notes: tuple[str, ...]


def is_segmentation(header: Dataset) -> bool:
    """Whether a header is a DICOM SEG (binary, fractional or label map)."""
    return str(header.get("SOPClassUID", "")) in (SEG_CLASS, LABELMAP_CLASS)


def referenced_series(header: Dataset) -> str | None:
    """The UID of the image series that a SEG says it belongs to, or None."""
    for item in header.get("ReferencedSeriesSequence") or []:
        return str(item.get("SeriesInstanceUID", "")) or None
    return None


def referenced_instances(header: Dataset) -> set[str]:
    """SOP Instance UIDs of all images that a SEG refers to, anywhere."""
    found = {
        str(image.get("ReferencedSOPInstanceUID", ""))
        for series in header.get("ReferencedSeriesSequence") or []
        for image in series.get("ReferencedInstanceSequence") or []
    }
    for frame in header.get("PerFrameFunctionalGroupsSequence") or []:
        found |= {uid for uid, _ in _sources(frame)}
    return found - {""}


def read_segmentation(
    parsed: ParsedFile,
    stack: Geometry,
    *,
    images: Sequence[tuple[str, int]] = (),
    limits: Limits = DEFAULT,
) -> Segmentation:
    """The mask that a SEG file draws on a stack of slices.

    Each frame goes to the slice at its position along the stack's normal (within half a slice);
    a frame or stack without positions goes by reference: `images` names each slice of the stack,
    (SOP Instance UID, frame number from 1), in stack order. Frames on another in-plane grid are
    resampled, each pixel taking what covers most of it. Where segments overlap, the one with the
    higher number stays on top, and a note says so. One frame is held at a time.

    Raises UnreadableFile where the file is no SEG, is damaged, or fits nowhere in the stack.
    """
    header = parsed.header
    if not is_segmentation(header):
        raise UnreadableFile("The file is not a DICOM segmentation.")
    names = _names(header)
    reader = _FrameReader(parsed, limits)
    labels = np.zeros(stack.shape, np.uint16)
    by_uid = {key: index for index, key in enumerate(images)}
    places = np.array([stack.position_of(k) @ stack.normal for k in range(stack.shape[0])])
    elsewhere = overlapping = 0
    for number, frame in enumerate(reader.places):
        group = reader.groups[number] if number < len(reader.groups) else Dataset()
        index = _slice_of(frame, group, stack, places, by_uid)
        if index is None:
            elsewhere += 1
            continue
        drawn = reader.read(number, _segment_number(group))
        drawn = _on_grid(drawn, frame, stack, index)
        target = labels[index]
        overlapping += int(((drawn > 0) & (target > 0) & (target != drawn)).sum())
        np.maximum(target, drawn, out=target)
    if elsewhere == len(reader.places):
        raise UnreadableFile(
            "The segmentation lies outside of these images: none of its frames fits a slice."
        )
    return Segmentation(labels=labels, names=names, notes=_notes(elsewhere, overlapping, len(reader.places)))


class _FrameReader:
    """Frames of a SEG one at a time, as segment numbers [rows, columns]."""

    def __init__(self, parsed: ParsedFile, limits: Limits) -> None:
        header = parsed.header
        self._parsed = parsed
        self._rows, self._columns = int(header.get("Rows", 0) or 0), int(header.get("Columns", 0) or 0)
        count = int(header.get("NumberOfFrames", 1) or 1)
        check_dimensions(self._rows, self._columns, count, limits=limits)
        self.places = frame_headers(header, count)
        self.groups = list(header.get("PerFrameFunctionalGroupsSequence") or [])
        self._kind = str(header.get("SegmentationType", "BINARY"))
        if str(header.get("SOPClassUID", "")) == LABELMAP_CLASS:
            self._kind = "LABELMAP"
        self._half = max(int(header.get("MaximumFractionalValue", 1) or 1), 1) / 2
        self._is_bits = int(header.get("BitsAllocated", 0) or 0) == 1
        if parsed.pixels is None:
            raise UnreadableFile("The segmentation has no pixels.")
        self._pixels = parsed.pixels
        if self._is_bits:
            self._check_bits(count)
        else:
            syntax = str(parsed.transfer_syntax)
            self._format = pixel_format(header, syntax, keyword=parsed.pixels.keyword, vr=parsed.pixels.vr)
            self._ranges = frame_ranges(parsed, count, self._format.frame_bytes)

    def read(self, number: int, segment: int) -> Labels:
        """Frame `number` (from 0) with `segment` where its segment is, or a label map's own values."""
        if self._is_bits:
            return (self._bits(number) * np.uint16(segment)).astype(np.uint16)
        values = decode_frame(self._format, read_ranges(self._parsed.path, self._ranges[number]))
        if self._kind == "LABELMAP":
            return values.astype(np.uint16)
        least = self._half if self._kind == "FRACTIONAL" else 0.5
        return np.where(values >= least, np.uint16(segment), np.uint16(0))

    def _check_bits(self, count: int) -> None:
        if self._pixels.vr == "OW" and not self._parsed.is_little_endian:
            raise UnreadableFile("Segmentations in big endian byte order cannot be read here.")
        if self._pixels.is_encapsulated:
            name = UID(self._parsed.transfer_syntax).name
            raise UnreadableFile(f"Segmentations of one bit per pixel in {name} cannot be read here.")
        needed = (count * self._rows * self._columns + 7) // 8
        if self._pixels.length < needed:
            raise UnreadableFile(
                f"The file ends early: {needed:,} bytes of mask are announced, "
                f"{self._pixels.length:,} are there."
            )

    def _bits(self, number: int) -> npt.NDArray[np.uint8]:
        """One frame of packed bits, which need not begin on a byte (PS3.5 8.1.1, first bit lowest)."""
        size = self._rows * self._columns
        first, last = number * size, (number + 1) * size
        offset = self._pixels.fragments[0][0]
        data = read_ranges(self._parsed.path, [(offset + first // 8, (last + 7) // 8 - first // 8)])
        words = np.frombuffer(data, np.uint8)
        bits = np.unpackbits(words, bitorder="little")[first % 8 : first % 8 + size]
        return bits.reshape(self._rows, self._columns)


def _segment_number(group: Dataset) -> int:
    for item in group.get("SegmentIdentificationSequence") or []:
        number = int(item.get("ReferencedSegmentNumber", 1) or 1)
        if not 1 <= number <= 65535:
            raise UnreadableFile(f"The segmentation names segment {number}, which no file can have.")
        return number
    return 1


def _sources(group: Dataset) -> Iterator[tuple[str, int]]:
    """The images that a frame was drawn on: (SOP Instance UID, frame number from 1)."""
    for derivation in group.get("DerivationImageSequence") or []:
        for image in derivation.get("SourceImageSequence") or []:
            frames = image.get("ReferencedFrameNumber", 1) or 1
            first: Any = frames if isinstance(frames, int | float | str) else next(iter(frames), 1)
            yield str(image.get("ReferencedSOPInstanceUID", "")), int(first)


def _slice_of(
    frame: FrameHeader,
    group: Dataset,
    stack: Geometry,
    places: npt.NDArray[np.float64],
    by_uid: dict[tuple[str, int], int],
) -> int | None:
    """The slice that a frame belongs to, by position, else by the image it refers to."""
    if frame.position_mm is not None and frame.orientation is not None and stack.is_known:
        normal = np.cross(frame.orientation[:3], frame.orientation[3:])
        if abs(float(normal @ stack.normal)) < _PARALLEL:
            return None
        along = float(np.asarray(frame.position_mm) @ stack.normal)
        nearest = int(np.argmin(np.abs(places - along)))
        thickness = stack.slice_spacing_mm or frame.slice_spacing_mm or 1.0
        same = [by_uid[key] for key in _sources(group) if key in by_uid]
        if same and abs(places[same[0]] - along) < thickness / 2:
            return same[0]  # slices may share a place (phases, echoes): the reference decides
        return nearest if abs(places[nearest] - along) <= thickness / 2 + _SAME_MM else None
    for key in _sources(group):
        if key in by_uid:
            return by_uid[key]
    return None


def _on_grid(drawn: Labels, frame: FrameHeader, stack: Geometry, index: int) -> Labels:
    """A frame's pixels on the stack's in-plane grid."""
    target = plane_in_stack(stack, index)
    if frame.position_mm is None or frame.orientation is None or not stack.is_known:
        if drawn.shape != target.shape:
            raise UnreadableFile(
                f"The segmentation has {drawn.shape[0]} x {drawn.shape[1]} pixels, "
                f"its images have {target.shape[0]} x {target.shape[1]}."
            )
        return drawn
    source = Plane(
        position_mm=frame.position_mm,
        orientation=tuple(frame.orientation),
        spacing_mm=frame.spacing_mm or target.spacing_mm,
        shape=(drawn.shape[0], drawn.shape[1]),
    )
    corners = [(0, 0), (target.shape[0] - 1, target.shape[1] - 1), (0, target.shape[1] - 1)]
    row, column = source.indices(target.points(*np.transpose(corners)))
    if source.shape == target.shape and np.allclose([row, column], np.transpose(corners), atol=0.05):
        return drawn
    return resample_labels(drawn, source, target, outside=0)


def _names(header: Dataset) -> list[dict[str, Any]]:
    """[{"value", "name", "color"}] of a SEG's segments."""
    names = []
    for position, segment in enumerate(header.get("SegmentSequence") or []):
        number = int(segment.get("SegmentNumber", position + 1) or 0)
        if number == 0:  # a label map's background
            continue
        label = str(segment.get("SegmentLabel", "") or "").strip() or f"segment {number}"
        color = _color(segment.get("RecommendedDisplayCIELabValue"))
        names.append({"value": number, "name": label[:64], "color": color or label_color(number)})
    if not names:
        raise UnreadableFile("The segmentation describes no segment.")
    return names


def _color(value: Any) -> str | None:
    """DICOM's scaled CIELab (PS3.3 C.10.7.1.1) as "#rrggbb", or None."""
    if value is None or len(value) != 3:
        return None
    scaled = np.array([float(part) / 65535 for part in value])
    return hexadecimal(rgb_of(scaled * [100, 255, 255] - [0, 128, 128]))


def _notes(elsewhere: int, overlapping: int, frames: int) -> tuple[str, ...]:
    notes = []
    if elsewhere:
        notes.append(f"{elsewhere} of {frames} frames of the segmentation lie outside of these images.")
    if overlapping:
        notes.append(f"Segments overlap in {overlapping:,} pixels; there the one listed later is kept.")
    return tuple(notes)
