"""Cases and masks as NIfTI, and NIfTI label maps as masks, without moving a single voxel."""

import gzip
import io
import zlib
from typing import BinaryIO

import nibabel as nib
import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _

from synthesis.imaging.geometry import EVEN_MM
from synthesis.imaging.nifti import SAME_GRID_MM
from webapp.cases.models import Case, Mask
from webapp.cases.selectors import case_geometry, case_slice, mask_array
from webapp.core.errors import ApplicationError

LARGEST = 1 << 30
"""Bytes that one label map may unpack to."""
UNREADABLE = (
    *(OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error),
    *(nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, nib.wrapstruct.WrapStructError),
)
UNEVEN = b"slices not evenly spaced, affine is not exact"
TOLERANCE = 0.25
"""How far, in voxels, a corner of the grid may lie off the case's (headers round positions)."""


def mask_to_nifti(mask: Mask) -> bytes:
    """The mask as NIfTI-1 in RAS millimetres, [columns, rows, slices], uint16."""
    array = mask_array(mask).transpose(2, 1, 0)
    return _bytes(nib.Nifti1Image(np.ascontiguousarray(array), _affine(mask.case)), mask.case)


def mask_from_nifti(case: Case, file: BinaryIO) -> npt.NDArray[np.uint16]:
    """A label map [slices, rows, columns] in the case's stack order, from NIfTI on the same voxels.

    The axes of the file may be in any order and direction, as long as each of its voxels is one of
    the case's: nothing is resampled, since a label map that does not fit is the wrong one.

    Raises:
        ApplicationError: in a plain sentence, where the file is no label map of this case.
    """
    image = _read(file)
    values = np.asanyarray(image.dataobj)
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise _refused(_("it has %(axes)d axes instead of three") % {"axes": values.ndim})
    order, flips = _placing(case, np.asarray(image.affine, dtype=np.float64), values.shape)
    array = values.transpose(order)
    array = np.flip(array, tuple(axis for axis, flip in enumerate(flips) if flip))
    if not np.all(np.isfinite(array)) or np.any(array != np.round(array)):
        raise _refused(_("its values are not whole numbers"))
    if array.min() < 0 or array.max() > 65535:
        raise _refused(_("its values do not lie in 0 to 65535"))
    return np.ascontiguousarray(array, dtype=np.uint16)


def _read(file: BinaryIO) -> nib.Nifti1Image:
    data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise _refused(_("it is larger than 1 GB"))
    try:
        if data[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(LARGEST + 1)
            if len(data) > LARGEST:
                raise _refused(_("it unpacks to more than 1 GB"))
        image = nib.Nifti1Image.from_bytes(data)
        np.asanyarray(image.dataobj)
    except UNREADABLE as error:
        raise _refused(_("it is not a NIfTI file, or it is cut off")) from error
    return image


def _placing(
    case: Case, affine: npt.NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """For each axis of the case (slices, rows, columns): the file's axis, and whether it runs backwards.

    The file's voxel indices are taken to the case's by inv(case affine) @ file affine, which must
    be a signed permutation with whole offsets.
    """
    wanted = (case.slice_count, case.rows, case.columns)
    geometry = case_geometry(case)
    if not geometry.is_known:
        if tuple(reversed(shape)) != wanted:
            raise _wrong_grid(case)
        return (2, 1, 0), (False, False, False)
    try:
        steps = np.linalg.inv(geometry.ras_affine()) @ affine
    except np.linalg.LinAlgError as error:
        raise _wrong_grid(case) from error
    if case.slice_count == 1:  # one slice has no thickness that both must agree on
        across = int(np.argmax(np.abs(steps[0, :3])))
        steps[:3, across] /= max(abs(steps[0, across]), 1e-9)
    turn = np.round(steps[:3, :3])
    if not np.all(np.isfinite(steps)) or np.any(np.abs(turn).sum(0) != 1) or np.any(np.abs(turn).sum(1) != 1):
        raise _wrong_grid(case)
    start = np.round(steps[:3, 3])
    last = np.array(shape) - 1.0
    off = [steps[:3, 3] - start, steps[:3, :3] @ last + steps[:3, 3] - (turn @ last + start)]
    if np.max(np.abs(off)) > TOLERANCE:
        raise _wrong_grid(case)
    order = tuple(int(np.argmax(np.abs(turn[axis]))) for axis in range(3))
    flips = tuple(bool(turn[axis, order[axis]] < 0) for axis in range(3))
    expected = [wanted[axis] - 1 if flips[axis] else 0 for axis in range(3)]
    if tuple(shape[axis] for axis in order) != wanted or start.tolist() != expected:
        raise _wrong_grid(case)
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2])


def _refused(why: str) -> ApplicationError:
    return ApplicationError(
        _("This file was not taken as a mask: %(why)s. Nothing was saved.") % {"why": why}, field="file"
    )


def _wrong_grid(case: Case) -> ApplicationError:
    return _refused(
        _("its voxels are not those of the case (%(slices)d slices of %(rows)d × %(columns)d)")
        % {"slices": case.slice_count, "rows": case.rows, "columns": case.columns}
    )


def case_to_nifti(case: Case) -> bytes:
    """The case as NIfTI-1 in RAS millimetres, [columns, rows, slices], float32 in its real units."""
    array = np.stack([case_slice(case, index).array for index in range(case.slice_count)])
    if array.ndim != 3:
        raise ApplicationError(_("A colour image has no NIfTI form. Download it as DICOM."), code="is_colour")
    image = nib.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), _affine(case))
    return _bytes(image, case)


def is_uneven(case: Case) -> bool:
    """Whether NIfTI, which knows one distance between slices, cannot say where the case's slices lie."""
    geometry = case_geometry(case)
    between = geometry.spacing_mm[2] or 0.0
    return geometry.is_known and geometry.astray_mm > max(EVEN_MM, SAME_GRID_MM * between)


def map_to_nifti(case: Case, array: npt.NDArray[np.floating]) -> bytes:
    """Values [slices, rows, columns] of the case's voxels as NIfTI-1, float32, placed as the case is."""
    values = np.ascontiguousarray(array.transpose(2, 1, 0), np.float32)
    return _bytes(nib.Nifti1Image(values, _affine(case)), case)


def _affine(case: Case) -> npt.NDArray[np.float64]:
    """Voxel (column, row, slice) to RAS mm."""
    return case_geometry(case).ras_affine()[:, [2, 1, 0, 3]]


def _bytes(image: nib.Nifti1Image, case: Case) -> bytes:
    image.header.set_xyzt_units("mm")
    said = [b"SYNTHETIC - not for clinical use"] if case.is_synthetic else []
    image.header["descrip"] = b"; ".join([*said, *([UNEVEN] if is_uneven(case) else [])])[:79]
    return bytes(image.to_bytes())
