"""An uncertainty map as a DICOM Parametric Map: its values, its unit, its place, and its being synthetic."""

from datetime import UTC, datetime
from io import BytesIO

import highdicom
import numpy as np
import pytest
from pydicom import dcmread

from synthesis.imaging.dicom_write import Making, invented_subject, synthetic_slices, to_bytes
from synthesis.imaging.parametric_map_write import uncertainty_series
from synthesis.imaging.plane import flat_plane
from tests.dciodvfy import dicom_errors, needs_dciodvfy

MAKING = Making(
    job="7f", made_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), model_name="tiny", model_version="1",
    method="flow", weights_sha256="a" * 64, description="Synthetic CT.", software_version="1",
)  # fmt: skip
STD = np.linspace(0, 60, 24 * 32, dtype=np.float32).reshape(24, 32)


def image(modality="CT"):
    pixels = np.arange(24 * 32, dtype=np.int16).reshape(1, 24, 32)
    (dataset,) = synthetic_slices(
        pixels, [flat_plane((24, 32), (2.5, 2.5))], modality=modality, making=MAKING,
        subject=invented_subject("7f", sex="F", age=60.0), image=1, description="CT",
    )  # fmt: skip
    return dcmread(BytesIO(to_bytes(dataset)))


def written(source, std=STD):
    made = uncertainty_series(
        source, std, identity="7f/0", made_at=MAKING.made_at, making=MAKING, words="SYNTHETIC. As told."
    )
    return to_bytes(made)


def test_the_values_come_back_in_hounsfield_units_on_the_images_place():
    source = image()
    found = dcmread(BytesIO(written(source)))
    assert np.array_equal(found.pixel_array, STD)
    volume = highdicom.imread(BytesIO(written(source))).get_volume()
    np.testing.assert_allclose(volume.array[0], STD)
    assert volume.spacing[1:] == (2.5, 2.5)
    assert found.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert found.StudyInstanceUID == source.StudyInstanceUID
    shared = found.SharedFunctionalGroupsSequence[0]
    (mapping,) = shared.RealWorldValueMappingSequence
    assert mapping.MeasurementUnitsCodeSequence[0].CodeMeaning == "Hounsfield unit"
    assert found.SyntheticData == "YES"
    assert found.DerivationDescription == "SYNTHETIC. As told."


def test_signal_has_no_unit_and_the_same_map_makes_the_same_file():
    source = image("T1")
    found = dcmread(BytesIO(written(source)))
    (mapping,) = found.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    assert written(source) == written(source)


def test_another_grid_is_refused():
    with pytest.raises(ValueError, match="expected 24 x 32"):
        written(image(), STD[:-1])


@needs_dciodvfy
@pytest.mark.parametrize("modality", ["CT", "T2"])
def test_the_validator_finds_no_error(modality, tmp_path):
    path = tmp_path / "map.dcm"
    path.write_bytes(written(image(modality)))
    assert dicom_errors(path) == []
