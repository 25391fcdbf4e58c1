"""Slices written for NIfTI and pictures are valid DICOM by an independent checker."""

import shutil
import subprocess

import numpy as np
import pytest

from synthesis.imaging.dicom_stack import StackIdentity, encoding_of, write_stack
from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.geometry import flat_geometry, geometry_of_slices

PLACED = geometry_of_slices([[0, 0, 0], [0, 0, 5]], [1, 0, 0, 0, 1, 0], (1.0, 1.5), (8, 9))[0]
FLAT = flat_geometry((2, 8, 9), (1.0, 1.0))


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="Debian's dicom3tools is not installed")
@pytest.mark.parametrize(
    ("modality", "geometry", "dtype"),
    [("CT", PLACED, np.int16), ("MR", PLACED, np.float32), ("DX", FLAT, np.uint8), ("OT", PLACED, np.uint16)],
)
def test_written_slices_pass_dciodvfy(tmp_path, modality, geometry, dtype) -> None:
    voxels = np.random.default_rng(0).uniform(0, 200, (2, 8, 9)).astype(dtype)
    identity = StackIdentity(
        study_uid="1.2.3",
        series_uid="1.2.4",
        frame_of_reference_uid="1.2.5",
        sop_uids=("1.2.6.1", "1.2.6.2"),
        patient="P-TEST",
        modality=modality,
        description="test",
    )
    encoding = encoding_of(voxels, 1.0, 0.0)
    for path in write_stack(
        tmp_path, voxels, geometry=geometry, identity=identity, encoding=encoding, window=(40.0, 400.0)
    ):
        checked = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert not [line for line in checked.stderr.splitlines() if line.startswith("Error")]


def test_a_volume_without_numbers_is_refused() -> None:
    with pytest.raises(UnreadableFile, match="finite"):
        encoding_of(np.full((2, 3, 4), np.nan, np.float32), 1.0, 0.0)
