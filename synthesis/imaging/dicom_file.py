"""One DICOM file, read without trusting it: its header within bounds, and where its pixels lie.

The header is parsed by pydicom up to the pixel data; the pixel data element is then walked here,
so that neither a giant element nor a truncated one is ever loaded whole.
"""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_partial, read_preamble
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.limits import DEFAULT, GIB, MIB, Limits, check_file_size, read_bounded

PIXEL_TAGS = {0x7FE00010: "PixelData", 0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}
_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN", b"UT", b"SQ", b"UC", b"UR", b"SV", b"UV"}
_FRAME_STARTS = (b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")

Range = tuple[int, int]
"""Offset in the file, and length."""


@dataclass(frozen=True, kw_only=True)
class PixelElement:
    """Where the pixel data lie: `fragments` in file order, and the offset table's first entry if any.

    Native pixel data are one range. `table` holds the basic offset table (relative to the first
    fragment's item tag).
    """

    keyword: str
    vr: str
    is_encapsulated: bool
    fragments: tuple[Range, ...]
    table: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """Bytes of pixel data without any framing."""
        return sum(length for _, length in self.fragments)


@dataclass(frozen=True, kw_only=True)
class ParsedFile:
    """A header, its transfer syntax, and where the pixels lie in `path`.

    `path` is the file that the offsets count in: an unpacked copy where the original is deflated.
    `header` holds no pixel data and, once `read_file` returned it, no private element.
    """

    path: Path
    header: FileDataset
    transfer_syntax: UID
    original_syntax: UID
    pixels: PixelElement | None
    is_little_endian: bool
    private_elements: int


@contextmanager
def opened_file(path: Path, *, limits: Limits = DEFAULT) -> Iterator[ParsedFile]:
    """Parse one DICOM file; a deflated one is unpacked to a temporary copy for the duration.

    Raises:
        UnreadableFile: with the reason in plain words, whatever is wrong with the file.
    """
    with TemporaryDirectory(prefix="semblance-dicom-") as scratch:
        yield _guarded_parse(path, Path(scratch), limits)


def _guarded_parse(path: Path, scratch: Path, limits: Limits) -> ParsedFile:
    """Parse, turning whatever goes wrong into one sentence."""
    try:
        check_file_size(path.stat().st_size, limits=limits)
        syntax, start = _transfer_syntax(path)
        plain = path
        if syntax == DeflatedExplicitVRLittleEndian:
            plain = scratch / "inflated.dcm"
            _inflate(path, start, plain, limits)
        with disable_value_validation():
            return _parse(plain, syntax, limits)
    except UnreadableFile:
        raise
    except RecursionError as error:
        raise UnreadableFile(_TOO_DEEP.format(limits.sequence_depth)) from error
    except zlib.error as error:
        raise UnreadableFile("The deflated file is damaged and cannot be unpacked.") from error
    except OSError as error:
        raise UnreadableFile(f"The file cannot be read: {error.strerror or 'input error'}.") from error
    except _BROKEN as error:
        raise UnreadableFile(f"The DICOM header is damaged ({type(error).__name__}).") from error


# What pydicom raises from deep inside for files that break the encoding rules.
_BROKEN = (
    *(ValueError, TypeError, AttributeError, LookupError, NotImplementedError, ArithmeticError, EOFError),
    *(struct.error, BytesLengthException, InvalidDicomError),
)
_TOO_DEEP = "The header nests sequences more than {} deep, which no real image does; it was not read."


def _transfer_syntax(path: Path) -> tuple[UID, int]:
    """The transfer syntax named by the file meta group, and where the data set begins."""
    with path.open("rb") as source:
        try:
            read_preamble(source, force=True)
        except EOFError as error:
            raise UnreadableFile("The file ends before its header does.") from error
        return _scan_meta(source, source.tell())


def _scan_meta(source: BinaryIO, start: int) -> tuple[UID, int]:
    """Walk group 0002 (always explicit little endian) element by element, without its group length."""
    source.seek(start)
    syntax = ""
    while True:
        here = source.tell()
        head = source.read(8)
        if len(head) < 8 or head[:2] != b"\x02\x00":
            source.seek(here)
            break
        length = struct.unpack("<H", head[6:8])[0]
        if head[4:6] in _LONG_VRS:
            length = struct.unpack("<L", source.read(4).ljust(4, b"\0"))[0]
        if length > MIB:
            raise UnreadableFile("The file meta information is damaged: an element claims more than 1 MiB.")
        value = source.read(length)
        if head[:4] == b"\x02\x00\x10\x00":
            syntax = value.rstrip(b"\0 ").decode("ascii", "replace")
    begin = source.tell()
    return UID(syntax) if syntax else _guess_syntax(source, begin), begin


def _guess_syntax(source: BinaryIO, begin: int) -> UID:
    """The plain syntax of a file that names none, by looking at its first element."""
    source.seek(begin)
    head = source.read(6)
    if len(head) == 6 and head[4:6].isalpha() and head[4:6].isupper():
        return ExplicitVRBigEndian if head[0] == 0 and head[1] else ExplicitVRLittleEndian
    return ImplicitVRLittleEndian


def _inflate(path: Path, start: int, target: Path, limits: Limits) -> None:
    """Write the file with its data set inflated, its meta group saying so; bounded while it streams."""
    most = min(limits.file_bytes, 4 * GIB)
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    with path.open("rb") as source, target.open("wb") as out:
        meta = source.read(start)
        plain_name = ExplicitVRLittleEndian.ljust(len(DeflatedExplicitVRLittleEndian), "\0")
        out.write(meta.replace(DeflatedExplicitVRLittleEndian.encode(), plain_name.encode()))
        written = 0
        for block in read_bounded(source, limits.file_bytes):
            data = block
            while data:
                piece = machine.decompress(data, MIB)
                data = machine.unconsumed_tail
                written += len(piece)
                if written > most:
                    raise UnreadableFile(f"The deflated file unpacks to more than {most / GIB:.0f} GiB.")
                out.write(piece)
            if machine.eof:
                break
        out.write(machine.flush())
        if not machine.eof:
            raise UnreadableFile("The deflated file ends early.")


def _parse(path: Path, syntax: UID, limits: Limits) -> ParsedFile:
    with path.open("rb") as source:
        header = _header(source, limits)
        pixels_at = source.tell()
        little = bool(header.original_encoding[1]) if header.original_encoding[1] is not None else True
        implicit = bool(header.original_encoding[0])
        private = _remove_private(header)
        _check_depth(header, limits)
        size = os.fstat(source.fileno()).st_size
        pixels = _pixel_element(source, pixels_at, size, implicit=implicit, little=little)
    actual = ExplicitVRLittleEndian if syntax == DeflatedExplicitVRLittleEndian else syntax
    return ParsedFile(
        path=path,
        header=header,
        transfer_syntax=actual,
        original_syntax=syntax,
        pixels=pixels,
        is_little_endian=little,
        private_elements=private,
    )


def _header(source: BinaryIO, limits: Limits) -> FileDataset:
    """Every element before the pixels; giant private ones are skipped, giant public ones refused."""
    end = os.fstat(source.fileno()).st_size

    def stop(tag: BaseTag, vr: str | None, length: int) -> bool:
        if int(tag) in PIXEL_TAGS or tag > 0x7FE00010:
            return True
        if length != _UNDEFINED:
            if source.tell() + length > end:
                raise UnreadableFile("The file ends in the middle of its header: it is truncated.")
            if length > limits.element_bytes and not tag.is_private:
                raise UnreadableFile(
                    f"The header's element {tag} has {length / MIB:.0f} MiB, far more than any real one."
                )
        return False

    return read_partial(source, stop_when=stop, defer_size=MIB, force=True)


def _remove_private(header: Dataset) -> int:
    """Drop private elements of the top level unread; nested ones fall with de-identification."""
    private = [tag for tag in list(header.keys()) if tag.is_private]
    for tag in private:
        del header[tag]
    return len(private)


def _check_depth(header: Dataset, limits: Limits) -> None:
    """Walk every sequence with a stack of our own, so that depth is bounded and not recursive.

    Raises:
        UnreadableFile: beyond `limits.sequence_depth` or `limits.sequence_elements`.
    """
    waiting: list[tuple[Dataset, int]] = [(header, 0)]
    seen = 0
    while waiting:
        dataset, depth = waiting.pop()
        if depth > limits.sequence_depth:
            raise UnreadableFile(_TOO_DEEP.format(limits.sequence_depth))
        for tag in list(dataset.keys()):
            seen += 1
            if seen > limits.sequence_elements:
                raise UnreadableFile("The header has more elements than any real one.")
            if tag.is_private:
                del dataset[tag]
                continue
            try:
                element = dataset[tag]
            except _BROKEN:  # one unreadable value; if the image needs it, its absence is reported
                del dataset[tag]
                continue
            if element.VR == "SQ":
                waiting.extend((item, depth + 1) for item in element.value)


def _pixel_element(
    source: BinaryIO, at: int, size: int, *, implicit: bool, little: bool
) -> PixelElement | None:
    """Where the pixel data lie, or None where the file has none.

    Raises:
        UnreadableFile: when they run beyond the end of the file.
    """
    source.seek(at)
    head = source.read(12)
    if len(head) < 8:
        return None
    order = "<" if little else ">"
    group, element = struct.unpack(order + "HH", head[:4])
    keyword = PIXEL_TAGS.get(group << 16 | element)
    if keyword is None:
        return None
    if implicit:
        vr, length, begin = "OW", struct.unpack(order + "L", head[4:8])[0], at + 8
    else:
        vr = head[4:6].decode("ascii", "replace")
        if len(head) < 12:
            raise UnreadableFile("The file ends before its pixels: it is truncated.")
        length, begin = struct.unpack(order + "L", head[8:12])[0], at + 12
    if length != _UNDEFINED:
        if begin + length > size:
            raise UnreadableFile(
                f"The file ends early: {size - begin:,} of {length:,} bytes of pixels are there (truncated)."
            )
        return PixelElement(keyword=keyword, vr=vr, is_encapsulated=False, fragments=((begin, length),))
    return _encapsulated(source, begin, size, keyword, vr)


def _encapsulated(source: BinaryIO, begin: int, size: int, keyword: str, vr: str) -> PixelElement:
    """Walk the items of encapsulated pixel data (PS3.5 A.4): offset table, fragments, delimiter."""
    source.seek(begin)
    fragments: list[Range] = []
    table: tuple[int, ...] | None = None
    while True:
        head = source.read(8)
        if len(head) < 8:
            raise UnreadableFile("The file ends in the middle of its compressed pixels: it is truncated.")
        group, element, length = struct.unpack("<HHL", head)
        here = source.tell()
        if (group, element) == (0xFFFE, 0xE0DD):
            break
        if (group, element) != (0xFFFE, 0xE000) or length == _UNDEFINED:
            raise UnreadableFile("The compressed pixels are damaged: an item is missing its mark.")
        if here + length > size:
            raise UnreadableFile("The file ends in the middle of its compressed pixels: it is truncated.")
        if table is None:
            table = struct.unpack(f"<{length // 4}L", source.read(length // 4 * 4))
        else:
            fragments.append((here, length))
        source.seek(here + length)
    if not fragments:
        raise UnreadableFile("The file holds no compressed pixels, though its header announces some.")
    return PixelElement(
        keyword=keyword, vr=vr, is_encapsulated=True, fragments=tuple(fragments), table=table or ()
    )


def frame_ranges(parsed: ParsedFile, frames: int, frame_bytes: int) -> list[list[Range]]:
    """The byte ranges of each frame in `parsed.path`.

    Args:
        frames: how many frames the header announces.
        frame_bytes: bytes of one native frame (unused for encapsulated pixels).

    Raises:
        UnreadableFile: when the file holds fewer pixels than the header says, or fragments cannot
            be told apart into frames.
    """
    pixels = parsed.pixels
    if pixels is None:
        raise UnreadableFile("The file has no pixels.")
    if not pixels.is_encapsulated:
        offset, length = pixels.fragments[0]
        if length < frame_bytes * frames:
            raise UnreadableFile(
                f"The file ends early: its header announces {frame_bytes * frames:,} bytes of pixels, "
                f"{length:,} are there (truncated)."
            )
        return [[(offset + k * frame_bytes, frame_bytes)] for k in range(frames)]
    fragments = list(pixels.fragments)
    if frames == 1:
        return [fragments]
    if len(fragments) == frames:
        return [[fragment] for fragment in fragments]
    if len(pixels.table) == frames:
        return _by_table(fragments, pixels.table)
    return _by_start_marks(parsed.path, fragments, frames)


def _by_table(fragments: list[Range], table: tuple[int, ...]) -> list[list[Range]]:
    first = fragments[0][0] - 8
    bounds = [*table, _UNDEFINED]
    frames = [
        [f for f in fragments if low <= f[0] - 8 - first < high] for low, high in itertools.pairwise(bounds)
    ]
    if any(not frame for frame in frames) or sum(map(len, frames)) != len(fragments):
        raise UnreadableFile(
            "The compressed pixels are damaged: the offset table does not match the fragments."
        )
    return frames


def _by_start_marks(path: Path, fragments: list[Range], frames: int) -> list[list[Range]]:
    """Without an offset table a frame begins where a fragment begins with a JPEG or J2K start mark."""
    groups: list[list[Range]] = []
    with path.open("rb") as source:
        for offset, length in fragments:
            source.seek(offset)
            if source.read(8).startswith(_FRAME_STARTS) or not groups:
                groups.append([])
            groups[-1].append((offset, length))
    if len(groups) != frames:
        raise UnreadableFile(
            f"The compressed pixels are damaged: {len(fragments)} fragments do not make "
            f"the announced {frames} frames."
        )
    return groups
