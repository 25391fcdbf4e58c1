"""Images and masks as NIfTI, marked as synthetic where they are."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from synthesis.imaging.dicom_write import spacing_between
from synthesis.imaging.geometry import LPS_TO_RAS
from synthesis.imaging.plane import Plane

DESCRIPTION_BYTES = 79


def nifti_bytes(
    stack: npt.NDArray[np.generic],
    planes: Sequence[Plane],
    *,
    description: str = "",
    is_synthetic: bool = True,
    thickness_mm: float = 5.0,
) -> bytes:
    """[slices, rows, columns] as a gzipped NIfTI-1 file [columns, rows, slices] in RAS millimetres.

    planes: where each slice lies. `descrip` begins with SYNTHETIC where the image is. The same
    input gives the same bytes. Raises ValueError where planes and stack do not match, or the
    slices are not evenly spaced, which NIfTI cannot say.
    """
    if stack.ndim != 3 or len(planes) != len(stack):
        raise ValueError(f"planes: expected {stack.shape[0]}, got {len(planes)}.")
    first = planes[0]
    normal = np.cross(first.along_columns, first.along_rows)
    step = normal * thickness_mm
    if spacing_between(planes) is not None:
        positions = np.array([plane.position_mm for plane in planes])
        step = (positions[-1] - positions[0]) / (len(planes) - 1)
        even = positions[0] + np.arange(len(planes))[:, None] * step
        if not np.allclose(positions, even, atol=0.05):
            raise ValueError("planes: expected evenly spaced slices.")
    affine = np.eye(4)
    affine[:3, 0] = first.along_columns * first.spacing_mm[1]
    affine[:3, 1] = first.along_rows * first.spacing_mm[0]
    affine[:3, 2] = step
    affine[:3, 3] = first.position_mm
    make: Any = nibabel.Nifti1Image  # nibabel has no types
    image = make(np.ascontiguousarray(stack.transpose(2, 1, 0)), LPS_TO_RAS @ affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(1, 0)
    words = f"SYNTHETIC {description}".strip() if is_synthetic else description
    image.header["descrip"] = words.encode("ascii", "replace")[:DESCRIPTION_BYTES]
    image.set_sform(image.affine, code="scanner")
    image.set_qform(image.affine, code="scanner")
    packed: bytes = gzip.compress(image.to_bytes(), mtime=0)
    return packed
