"""How much of a file is believed: sizes, dimensions and depths beyond which it is refused unread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from synthesis.imaging.errors import UnreadableFile

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on what one file may claim or hold.

    `file_bytes`: size of one file on disk or unpacked. `element_bytes`: one public element of a
    DICOM header. `side`: rows or columns. `frame_pixels`: rows x columns. `frames`: slices of one
    file. `voxels`: frames x rows x columns x samples. `sequence_depth`: nested DICOM sequences.
    `sequence_elements`: elements of a whole header. `archive_members`, `archive_bytes` and
    `archive_ratio`: a zip's files, their unpacked sum, and unpacked over packed size (the ratio
    counts only beyond `archive_ratio_from` bytes: an empty mask packs very well).
    """

    file_bytes: int = 8 * GIB
    element_bytes: int = 64 * MIB
    side: int = 65_535
    frame_pixels: int = 1 << 28
    frames: int = 50_000
    voxels: int = 1 << 30
    sequence_depth: int = 24
    sequence_elements: int = 4_000_000
    archive_members: int = 100_000
    archive_bytes: int = 64 * GIB
    archive_ratio: int = 300
    archive_ratio_from: int = 256 * MIB


DEFAULT = Limits()


def check_dimensions(
    rows: int, columns: int, frames: int = 1, samples: int = 1, *, limits: Limits = DEFAULT
) -> None:
    """Refuse empty and absurd image sizes before anything is allocated for them.

    Raises:
        UnreadableFile: naming the claimed size.
    """
    size = f"{frames} x {rows} x {columns}" if frames != 1 else f"{rows} x {columns}"
    if rows < 1 or columns < 1 or frames < 1 or samples < 1:
        raise UnreadableFile(f"The header claims an image of {size} pixels, which holds nothing.")
    if (
        max(rows, columns) > limits.side
        or rows * columns > limits.frame_pixels
        or frames > limits.frames
        or rows * columns * frames * samples > limits.voxels
    ):
        raise UnreadableFile(
            f"The header claims an image of {size} pixels, which is larger than is taken here."
        )


def check_file_size(size: int, *, limits: Limits = DEFAULT) -> None:
    """Refuse empty files and files beyond `limits.file_bytes`.

    Raises:
        UnreadableFile: in either case.
    """
    if size == 0:
        raise UnreadableFile("The file is empty.")
    if size > limits.file_bytes:
        raise UnreadableFile(
            f"The file has {size / GIB:.1f} GiB; files of more than "
            f"{limits.file_bytes / GIB:.0f} GiB are not taken."
        )


def read_bounded(source: BinaryIO, most: int, *, chunk: int = MIB) -> Iterator[bytes]:
    """The source's bytes in chunks, stopping with an error as soon as there are more than `most`.

    Raises:
        UnreadableFile: once more than `most` bytes came out.
    """
    seen = 0
    while block := source.read(chunk):
        seen += len(block)
        if seen > most:
            raise UnreadableFile(
                f"The file unpacks to more than {most / MIB:.0f} MiB, far more than it claims to hold."
            )
        yield block
