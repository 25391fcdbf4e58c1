"""Files that a careless or hostile person may bring, made here byte by byte."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

META = b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI\x14\x00" + ExplicitVRLittleEndian.encode() + b"\0"


def ct(path: Path, *, pixels: np.ndarray | None = None, **values: Any) -> Path:
    """A small CT image with an identity in its header; `values` replace or add elements (None removes)."""
    image = Dataset()
    pixels = np.arange(64, dtype=np.int16).reshape(8, 8) if pixels is None else pixels
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    image.Modality, image.InstanceNumber = "CT", 1
    image.PatientName, image.PatientID = "Mustermann^Erika", "4711-0815"
    image.PatientBirthDate, image.StudyDate = "19641231", "20240102"
    image.InstitutionName, image.ReferringPhysicianName = "St. Elsewhere", "House^Gregory"
    image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness = [2.0, 1.0], 5.0
    image.RescaleSlope, image.RescaleIntercept = 1, -1024
    image.Rows, image.Columns = pixels.shape[:2]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = pixels.dtype.itemsize * 8
    image.HighBit, image.PixelRepresentation = image.BitsStored - 1, int(pixels.dtype.kind == "i")
    image.PixelData = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<")).tobytes()
    for keyword, value in values.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = CTImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, image, enforce_file_format=True)
    return path


def series(folder: Path, slices: int = 3, *, spacing: float = 5.0, **values: Any) -> list[Path]:
    """A CT series with different pixels on each slice, its files named in no order of place."""
    study, uid, frame = generate_uid(), generate_uid(), generate_uid()
    rng = np.random.default_rng(0)
    paths = []
    for number in range(slices):
        pixels = rng.integers(-1000, 3000, (8, 10), dtype=np.int16)
        place = {"ImagePositionPatient": [0, 0, spacing * number], "InstanceNumber": slices - number}
        names = {"StudyInstanceUID": study, "SeriesInstanceUID": uid, "FrameOfReferenceUID": frame}
        name = f"{(number * 7 + 3) % slices}-{number}.dcm"
        paths.append(ct(folder / name, pixels=pixels, **(place | names | values)))
    return paths


def nested(path: Path, depth: int, *, defined: bool) -> Path:
    """Sequences inside sequences, `depth` deep, with defined or undefined lengths."""
    tag = b"\x08\x00\x40\x11SQ\0\0"  # Referenced Image Sequence
    body = b""
    if defined:
        for _ in range(depth):
            item = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(body)) + body
            body = tag + struct.pack("<L", len(item)) + item
    else:
        body = (tag + b"\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * depth
        body += (b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0") * depth
    uid = b"\x08\x00\x18\x00UI\x08\x001.2.3.4\0"
    path.write_bytes(META + uid + body)
    return path


def truncated(path: Path, keep: float = 0.6) -> Path:
    """The first part of a real image."""
    data = Path(get_testdata_file("CT_small.dcm")).read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def absurd(path: Path) -> Path:
    """A header that claims 65535 x 65535 x 99999 pixels and holds a few."""
    image = dcmread(ct(path))
    image.Rows = image.Columns = 65_535
    image.NumberOfFrames = 99_999
    dcmwrite(path, image)
    return path


def huge_private(path: Path, size: int) -> Path:
    """A private element of `size` bytes before the pixels."""
    image = dcmread(ct(path))
    block = image.private_block(0x0009, "BLOB MAKER", create=True)
    block.add_new(0x01, "OB", b"Mustermann" * (size // 10))
    dcmwrite(path, image)
    return path


def zip_of(members: dict[str, bytes], *, flags: int = 0) -> bytes:
    """An archive with these members under exactly these names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in members.items():
            bundle.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    data = bytearray(buffer.getvalue())
    if flags:
        for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            place = data.find(mark)
            while place >= 0:
                data[place + at] |= flags
                place = data.find(mark, place + 1)
    return bytes(data)


def enhanced(path: Path, pixels: np.ndarray, order: list[int]) -> Path:
    """An enhanced multi-frame CT: frame k lies at place `order[k]` and has a slope of k + 1."""
    shared, groups = Dataset(), []
    measures, plane = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.75], 2.0
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    for number, place in enumerate(order):
        group, position, meaning = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, 2.0 * place]
        meaning.RescaleSlope, meaning.RescaleIntercept, meaning.RescaleType = number + 1, -100, "HU"
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [position], [meaning]
        groups.append(group)
    removed = dict.fromkeys(
        [
            *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
            *("RescaleSlope", "RescaleIntercept"),
        ]
    )
    return ct(
        path,
        pixels=pixels[0],
        PixelData=np.ascontiguousarray(pixels, dtype="<i2").tobytes(),
        NumberOfFrames=len(pixels),
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=groups,
        **removed,
    )
