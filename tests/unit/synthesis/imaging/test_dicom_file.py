"""Hostile and damaged DICOM files are refused in a sentence, cheaply, and nothing else is raised."""

import contextlib
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from synthesis.imaging.dicom_file import frame_ranges, opened_file
from synthesis.imaging.dicom_read import image_header, read_series
from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.limits import MIB, Limits
from tests import hostile

REAL = Path(get_testdata_file("CT_small.dcm")).read_bytes()


def refusal(path: Path, **limits: int) -> str:
    """The sentence with which the file is refused."""
    with pytest.raises(UnreadableFile) as caught:
        look(path, Limits(**limits))
    return str(caught.value)


def look(path: Path, limits: Limits | None = None) -> None:
    """Read all of a file but decode nothing."""
    limits = limits or Limits()
    with opened_file(path, limits=limits) as parsed:
        header = image_header(parsed, limits=limits)
        frame_ranges(parsed, len(header.frames), header.format.frame_bytes)


@pytest.mark.parametrize("defined", [True, False], ids=["defined", "undefined"])
@pytest.mark.parametrize("depth", [30, 3000])
def test_deep_sequences_are_refused(tmp_path: Path, depth: int, defined: bool) -> None:
    assert "nests sequences" in refusal(hostile.nested(tmp_path / "deep.dcm", depth, defined=defined))


@pytest.mark.parametrize("defined", [True, False])
def test_usual_depths_are_read(tmp_path: Path, defined: bool) -> None:
    with opened_file(hostile.nested(tmp_path / "ten.dcm", 10, defined=defined)) as parsed:
        assert "ReferencedImageSequence" in parsed.header


@pytest.mark.parametrize("keep", [0.002, 0.01, 0.1, 0.3, 0.9, 0.98])
def test_truncated_files_say_so(tmp_path: Path, keep: float) -> None:
    assert refusal(hostile.truncated(tmp_path / "cut.dcm", keep))


def test_truncated_pixels_are_counted(tmp_path: Path) -> None:
    assert "ends early" in refusal(hostile.truncated(tmp_path / "cut.dcm", 0.9))


def test_absurd_dimensions_allocate_nothing(tmp_path: Path) -> None:
    path = hostile.absurd(tmp_path / "absurd.dcm")
    tracemalloc.start()
    assert "larger than is taken" in refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * MIB


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.dcm"
    path.touch()
    assert "empty" in refusal(path)


def test_a_huge_private_element_is_skipped_not_read(tmp_path: Path) -> None:
    path = hostile.huge_private(tmp_path / "blob.dcm", 64 * MIB)
    tracemalloc.start()
    with opened_file(path) as parsed:
        assert parsed.private_elements == 2
        assert not any(tag.is_private for tag in parsed.header.keys())  # noqa: SIM118
        assert parsed.pixels is not None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MIB


def test_a_huge_public_element_is_refused(tmp_path: Path) -> None:
    path = hostile.ct(tmp_path / "big.dcm", ImageComments="x" * (2 * MIB))
    assert "far more than any real one" in refusal(path, element_bytes=MIB)


def test_a_deflate_bomb_stops_while_it_streams(tmp_path: Path) -> None:
    path = tmp_path / "bomb.dcm"
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(machine.compress(bytes(MIB)) for _ in range(256)) + machine.flush()
    meta = hostile.META.replace(b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.1.99")
    path.write_bytes(meta + packed)
    assert len(packed) < MIB
    assert "unpacks to more than" in refusal(path, file_bytes=32 * MIB)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"PixelSpacing": ["nan", "1"]}, "finite"),
        ({"PixelSpacing": ["0", "1"]}, "not positive"),
        ({"ImagePositionPatient": ["0", "inf", "0"]}, "finite"),
        ({"RescaleSlope": 0}, "zero"),
        ({"BitsAllocated": 13}, "13 bits"),
        ({"NumberOfFrames": 0}, "holds nothing"),
        ({"SamplesPerPixel": 7}, "makes no sense"),
        ({"Rows": None}, "does not say how"),
        ({"PixelData": None}, "no pixels"),
    ],
    ids=str,
)
def test_impossible_headers_are_refused(tmp_path: Path, values: dict, words: str) -> None:
    assert words in refusal(hostile.ct(tmp_path / "odd.dcm", **values))


@pytest.mark.parametrize("orientation", [[0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0]])
def test_orientations_that_are_none_are_refused(tmp_path: Path, orientation: list[int]) -> None:
    path = hostile.ct(tmp_path / "odd.dcm", ImageOrientationPatient=orientation)
    with pytest.raises(UnreadableFile):
        read_series([path])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=12))
def test_corrupted_headers_raise_nothing_but_a_sentence(tmp_path: Path, wounds: list) -> None:
    data = bytearray(REAL)
    for place, value in wounds:
        data[128 + place] = value
    path = tmp_path / "wounded.dcm"
    path.write_bytes(data)
    with contextlib.suppress(UnreadableFile):
        look(path)


def test_fragments_without_a_table_are_told_apart_by_their_start_marks(tmp_path: Path) -> None:
    frames = [b"\xff\xd8\xff\xe0" + bytes([n]) * 10 for n in range(3)]
    items = b"".join(
        b"\xfe\xff\x00\xe0" + struct.pack("<L", len(part)) + part
        for frame in frames
        for part in (frame[:8], frame[8:])
    )
    pixels = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\0\0\0\0" + items
    path = tmp_path / "fragments.dcm"
    path.write_bytes(
        hostile.META + b"\x08\x00\x18\x00UI\x08\x001.2.3.4\0" + pixels + b"\xfe\xff\xdd\xe0\0\0\0\0"
    )
    with opened_file(path) as parsed:
        ranges = frame_ranges(parsed, 3, 0)
        data = path.read_bytes()
        joined = [b"".join(data[o : o + n] for o, n in frame) for frame in ranges]
        assert joined == frames
        with pytest.raises(UnreadableFile, match="do not make"):
            frame_ranges(parsed, 4, 0)


def test_a_file_without_preamble_or_transfer_syntax_is_read(tmp_path: Path) -> None:
    whole = hostile.ct(tmp_path / "whole.dcm").read_bytes()
    start = whole.index(b"\x08\x00\x16\x00UI")
    path = tmp_path / "bare.dcm"
    path.write_bytes(whole[start:])
    assert np.array_equal(read_series([path]).stored[0], np.arange(64).reshape(8, 8))
