"""Any plane, any pixels: what is written as DICOM comes back as it was."""

from datetime import datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from synthesis.imaging.dicom_read import read_series
from synthesis.imaging.dicom_write import (
    Making,
    _decimal,
    invented_subject,
    synthetic_slices,
    to_bytes,
)
from tests.property.test_plane_properties import planes

MAKING = Making(
    job="j",
    made_at=datetime(2026, 1, 2),
    model_name="m",
    model_version="1",
    method="flow",
    weights_sha256="00",
    description="d",
)


@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_decimal_strings_are_short_and_nearly_exact(value):
    text = _decimal(value)
    assert len(text) <= 16
    assert abs(float(text) - value) <= 1e-8 * max(abs(value), 1e-3)


@settings(deadline=None, max_examples=40)
@given(st.data(), planes(), st.sampled_from(["CT", "T1"]))
def test_a_written_image_comes_back(tmp_path_factory, data, plane, modality):
    low, high = (-1024, 3071) if modality == "CT" else (0, 32767)
    stored = data.draw(arrays(np.int16, (1, *plane.shape), elements=st.integers(low, high)))
    (dataset,) = synthetic_slices(
        stored, [plane], modality=modality, making=MAKING, subject=invented_subject("j")
    )
    path = tmp_path_factory.mktemp("written") / "a.dcm"
    path.write_bytes(to_bytes(dataset))
    volume = read_series([path])
    assert np.array_equal(volume.stored, stored)
    np.testing.assert_allclose(volume.geometry.position_of(0), plane.position_mm, atol=1e-6)
    np.testing.assert_allclose(volume.geometry.orientation, plane.orientation, atol=1e-6)
    np.testing.assert_allclose(volume.geometry.spacing_mm[:2], plane.spacing_mm, rtol=1e-6)
