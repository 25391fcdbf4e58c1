"""NIfTI volumes and label maps: read within bounds, laid out as slices the way radiologists look.

A volume's axes are permuted and turned round, never resampled: voxels stay exactly as they are.
Axial slices wherever the volume is not clearly thicker in another direction; rows run from front to
back, columns from the patient's right to left.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Literal, cast

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.geometry import LPS_TO_RAS, Float, Geometry
from synthesis.imaging.limits import DEFAULT, MIB, Limits, check_dimensions, check_file_size, read_bounded

_DAMAGED = (ImageFileError, HeaderDataError, ValueError, TypeError, KeyError, OverflowError)
_THICKER = 1.2
"""How many times thicker the slices must be for their axis to be kept as the slice axis."""
SAME_GRID_MM = 0.1
"""How far corners of two grids may lie apart (in mm, or in tenths of a voxel) and still be one grid."""
_LABEL = re.compile(r'<Label\s+Key="(\d+)"([^>]*)>\s*(?:<!\[CDATA\[(.*?)\]\]>|([^<]*))', re.DOTALL)
_SHADE = re.compile(r'(Red|Green|Blue)="([0-9.]+)"')


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which stored axis becomes slices, rows and columns, and which of them are turned round."""

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view of a stored [i, j, k] array as [slices, rows, columns]."""
        turned = array.transpose(self.axes)
        return turned[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)]

    def undo(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view of [slices, rows, columns] as the stored [i, j, k]: the inverse of `apply`."""
        turned = array[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)]
        return turned.transpose(np.argsort(self.axes))


@dataclass(frozen=True, kw_only=True, eq=False)
class NiftiFile:
    """An opened volume: its voxels as stored (a memory map, unscaled), and what they mean.

    `voxels` is [slices, rows, columns]; real value = voxel * slope + intercept. `label_names`
    holds the values, names and colours of a label table in the header, if there is one.
    """

    voxels: npt.NDArray[Any]
    slope: float
    intercept: float
    geometry: Geometry
    layout: Layout
    label_names: tuple[dict[str, Any], ...]

    @property
    def is_whole(self) -> bool:
        """Whether the stored voxels are whole numbers without a scale: what a label map must be."""
        return self.slope == 1.0 and self.intercept == 0.0 and self.voxels.dtype.kind in "iu"


@contextmanager
def opened_nifti(path: Path, *, limits: Limits = DEFAULT) -> Iterator[NiftiFile]:
    """Open one volume; a gzipped one is unpacked to a temporary file for the duration.

    Raises:
        UnreadableFile: with the reason, whatever is wrong with the file.
    """
    with TemporaryDirectory(prefix="semblance-nifti-") as scratch:
        yield _guarded_open(path, Path(scratch), limits)


def _guarded_open(path: Path, scratch: Path, limits: Limits) -> NiftiFile:
    try:
        check_file_size(path.stat().st_size, limits=limits)
        plain = _unpacked(path, scratch / "volume.nii", limits)
        image: Any = nibabel.load(plain, mmap=True)
        return _opened(image, plain.stat().st_size, limits)
    except UnreadableFile:
        raise
    except (zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise UnreadableFile("The gzip file is damaged or ends early (truncated).") from error
    except OSError as error:
        raise UnreadableFile(f"The file cannot be read: {error.strerror or 'it ends early'}.") from error
    except _DAMAGED as error:
        raise UnreadableFile(f"The NIfTI header is damaged ({type(error).__name__}).") from error


def _unpacked(path: Path, target: Path, limits: Limits) -> Path:
    """The file itself, or its unpacked copy, no larger than its own header announces."""
    with path.open("rb") as source:
        if source.read(2) != b"\x1f\x8b":
            if path.suffix == ".nii":
                return path
            target.symlink_to(path.resolve())  # nibabel goes by the name
            return target
    with gzip.open(path, "rb") as packed:
        head = packed.read(544)
    announced = _announced_bytes(head, limits)
    with gzip.open(path, "rb") as packed, target.open("wb") as out:
        for block in read_bounded(cast(BinaryIO, packed), announced + MIB):
            out.write(block)
    return target


def _announced_bytes(head: bytes, limits: Limits) -> int:
    """How long the header says the file is; sizes are checked before anything is unpacked."""
    kind: Any = nibabel.Nifti2Header if head[4:8] == b"n+2\0" else nibabel.Nifti1Header
    header = kind(head[: 540 if kind is nibabel.Nifti2Header else 348], check=False)
    shape = tuple(int(n) for n in header.get_data_shape())
    _check_shape(shape, limits)
    return int(np.prod(shape)) * header.get_data_dtype().itemsize + max(int(header["vox_offset"]), 352)


def _check_shape(shape: tuple[int, ...], limits: Limits) -> None:
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        raise UnreadableFile(
            f"The volume has {len(shape)} dimensions ({' x '.join(map(str, shape))}); "
            "time series and vector fields are not taken."
        )
    if len(shape) < 2:
        raise UnreadableFile("The volume has fewer than two dimensions.")
    rows, columns, frames = (*shape, 1)[:3]
    check_dimensions(rows, columns, frames, limits=limits)
    check_dimensions(columns, frames, rows, limits=limits)


def _opened(image: Any, size: int, limits: Limits) -> NiftiFile:
    header = image.header
    _check_shape(tuple(int(n) for n in image.shape), limits)
    kind = header.get_data_dtype()
    if kind.kind not in "iuf" or kind.itemsize > 8:
        raise UnreadableFile(f"The voxels are of the type {kind}; whole and real numbers are taken.")
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise UnreadableFile("The orientation or spacing in the header is not made of usable numbers.")
    needed = int(np.prod(image.shape)) * kind.itemsize + int(image.dataobj.offset)
    if size < needed:
        raise UnreadableFile(f"The file ends early: {size:,} of {needed:,} bytes are there (truncated).")
    stored = np.asanyarray(image.dataobj.get_unscaled())
    shape = (*stored.shape, 1)[:3]
    stored = stored.reshape(shape, order="F") if stored.ndim != 3 else stored
    slope, intercept = header.get_slope_inter()
    layout = layout_of(affine)
    voxels = layout.apply(stored)
    return NiftiFile(
        voxels=voxels,
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        geometry=_geometry(affine, layout, stored.shape),
        layout=layout,
        label_names=_label_table(header),
    )


def layout_of(ras_affine: Float) -> Layout:
    """How a stored array is to be laid out, from its RAS affine."""
    lps = (LPS_TO_RAS @ ras_affine)[:3, :3]
    spacing = np.linalg.norm(lps, axis=0)
    directions = lps / spacing  # column n: where stored axis n points
    home = _axis_of_patient(directions)  # home[p]: the stored axis that runs along patient axis p
    thickest = int(np.argmax(spacing))
    others = np.delete(spacing, thickest)
    slices = thickest if spacing[thickest] > _THICKER * others.max() else home[2]
    plane = [axis for axis in range(3) if axis != slices]
    along = {axis: patient for patient, axis in enumerate(home)}
    columns = min(plane, key=lambda axis: along[axis])  # x before y before z
    rows = next(axis for axis in plane if axis != columns)
    wanted_rows = -1.0 if along[rows] == 2 else 1.0  # towards the feet, or towards the back
    flip_columns = bool(directions[along[columns], columns] < 0)
    flip_rows = bool(directions[along[rows], rows] * wanted_rows < 0)
    right = directions[:, columns] * (-1 if flip_columns else 1)
    down = directions[:, rows] * (-1 if flip_rows else 1)
    flip_slices = bool(directions[:, slices] @ np.cross(right, down) < 0)
    return Layout(axes=(slices, rows, columns), flips=(flip_slices, flip_rows, flip_columns))


def _axis_of_patient(directions: Float) -> tuple[int, int, int]:
    """For x, y and z the stored axis nearest to it, each used once, the clearest first."""
    weights = np.abs(directions).copy()
    home = [0, 0, 0]
    for _ in range(3):
        patient, axis = np.unravel_index(int(np.argmax(weights)), weights.shape)
        home[int(patient)] = int(axis)
        weights[patient, :] = -1
        weights[:, axis] = -1
    return home[0], home[1], home[2]


def _geometry(ras_affine: Float, layout: Layout, shape: tuple[int, ...]) -> Geometry:
    lps = LPS_TO_RAS @ ras_affine
    affine = np.eye(4)
    origin = lps[:3, 3].copy()
    for place, (axis, flip) in enumerate(zip(layout.axes, layout.flips)):
        step = lps[:3, axis]
        if flip:
            origin += step * (shape[axis] - 1)
            step = -step
        affine[:3, place] = step
    affine[:3, 3] = origin
    normal = np.cross(affine[:3, 2], affine[:3, 1])
    normal /= np.linalg.norm(normal)
    across = float(affine[:3, 0] @ normal)
    slices, rows, columns = (int(shape[axis]) for axis in layout.axes)
    start = float(origin @ normal)
    return Geometry(
        affine=affine,
        shape=(slices, rows, columns),
        positions_mm=tuple(start + k * across for k in range(slices)),
        slice_spacing_mm=abs(across),
    )


def ras_affine_of(geometry: Geometry, layout: Layout) -> Float:
    """The RAS affine of the stored [i, j, k] array: the inverse of the layout."""
    affine = np.eye(4)
    origin = geometry.affine[:3, 3].copy()
    for place, (axis, flip) in enumerate(zip(layout.axes, layout.flips)):
        step = geometry.affine[:3, place]
        if flip:
            origin += step * (geometry.shape[place] - 1)
            step = -step
        affine[:3, axis] = step
    affine[:3, 3] = origin
    return LPS_TO_RAS @ affine


def same_grid(one: Geometry, other: Geometry) -> bool:
    """Whether two stacks have the same voxels in the same places, within a tenth of a voxel."""
    if one.shape != other.shape:
        return False
    corners = np.array([(s, r, c, 1) for s in (0, 1) for r in (0, 1) for c in (0, 1)], dtype=np.float64)
    corners[:, :3] *= np.array(one.shape) - 1
    apart = np.linalg.norm((corners @ one.affine.T - corners @ other.affine.T)[:, :3], axis=1)
    finest = min(float(np.linalg.norm(one.affine[:3, axis])) for axis in range(3))
    return bool(np.all(apart <= max(SAME_GRID_MM, 0.1 * finest)))


def _label_table(header: Any) -> tuple[dict[str, Any], ...]:
    """The label table of a Caret extension (TotalSegmentator writes one): values, names, colours."""
    found: list[dict[str, Any]] = []
    for extension in header.extensions:
        content = extension.get_content()
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
        for key, shades, quoted, plain in _LABEL.findall(text[: 4 * MIB]):
            name = (quoted or plain).strip()
            shade = {c: min(max(float(v), 0.0), 1.0) for c, v in _SHADE.findall(shades) if v.count(".") <= 1}
            if not name or int(key) > 65_535:
                continue
            label: dict[str, Any] = {"value": int(key), "name": name[:80]}
            if len(shade) == 3:
                label["color"] = "#" + "".join(
                    f"{round(shade[c] * 255):02x}" for c in ("Red", "Green", "Blue")
                )
            found.append(label)
    return tuple({label["value"]: label for label in found}.values())


def anonymous_copy(path: Path, target: Path) -> list[str]:
    """Copy a NIfTI file with its free texts and header extensions blanked, every voxel byte as it is.

    Returns:
        What was taken out, in words; empty where there was nothing.

    Raises:
        UnreadableFile: when the header cannot be understood.
    """
    gzipped = path.open("rb").read(2) == b"\x1f\x8b"
    opener: Any = gzip.open if gzipped else open
    removed: list[str] = []
    with opener(path, "rb") as source:
        head = bytearray(source.read(544))
        two = bytes(head[4:8]) == b"n+2\0"
        order = "<" if int.from_bytes(head[:4], "little") in (348, 540) else ">"
        big: Literal["big", "little"] = "big" if order == ">" else "little"
        for name, start, length in _TEXT_FIELDS[two]:
            if head[start : start + length].strip(b"\0 "):
                head[start : start + length] = bytes(length)
                removed.append(name)
        if two:
            offset = int.from_bytes(head[168:176], big)
        else:
            offset = int(np.frombuffer(bytes(head[108:112]), order + "f4")[0])
        end = 540 if two else 348
        if offset < end + 4 or offset > 256 * MIB:
            raise UnreadableFile("The NIfTI header says that the voxels begin in an impossible place.")
        rest = source.read(offset - 544) if offset > 544 else b""
        whole = bytes(head[:end]) + bytes(head[end:]) + rest
        tail = whole[offset:]  # voxels already read with the header
        if whole[end : end + 1] != b"\0" and any(whole[end + 4 : offset]):
            removed.append("header extensions")
        writer: Any = gzip.GzipFile(target, "wb", compresslevel=6, mtime=0) if gzipped else target.open("wb")
        with writer as out:
            out.write(whole[:end] + bytes(offset - end) + tail)
            while block := source.read(MIB):
                out.write(block)
    return removed


_TEXT_FIELDS = {
    False: (
        ("data type name", 4, 10),
        ("database name", 14, 18),
        ("description", 148, 80),
        ("auxiliary file", 228, 24),
        ("intent name", 328, 16),
    ),
    True: (("description", 240, 80), ("auxiliary file", 320, 24), ("intent name", 508, 16)),
}
"""NIfTI-1 and NIfTI-2 header fields that hold free text: name, first byte, length."""


def aligned(file: NiftiFile, target: Geometry) -> npt.NDArray[Any] | None:
    """The voxels laid out like another stack, [slices, rows, columns], or None where the grids differ.

    Axes are permuted and turned round as needed; nothing is resampled.
    """
    if same_grid(file.geometry, target):
        return file.voxels
    stored = file.layout.undo(file.voxels)
    ras = ras_affine_of(file.geometry, file.layout)
    own = (LPS_TO_RAS @ ras)[:3, :3]
    own = own / np.linalg.norm(own, axis=0)
    wanted = target.affine[:3, :3] / np.linalg.norm(target.affine[:3, :3], axis=0)
    cosines = wanted.T @ own  # [target axis, stored axis]
    axes = tuple(int(a) for a in np.argmax(np.abs(cosines), axis=1))
    if len(set(axes)) != 3:
        return None
    flips = tuple(bool(cosines[place, axis] < 0) for place, axis in enumerate(axes))
    layout = Layout(axes=(axes[0], axes[1], axes[2]), flips=(flips[0], flips[1], flips[2]))
    if not same_grid(_geometry(ras, layout, stored.shape), target):
        return None
    return layout.apply(stored)
