"""Pixels stay bit-exact; spacing, orientation, rescale and units survive to array and back."""

import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from synthesis.imaging.dicom_read import read_series
from synthesis.imaging.dicom_stack import StackIdentity, encode, encoding_of, write_stack
from synthesis.imaging.geometry import Geometry, geometry_of_slices, orientation_letters
from synthesis.imaging.nifti import aligned, opened_nifti, ras_affine_of, same_grid
from synthesis.imaging.volume import real_values

FEW = settings(max_examples=25, deadline=None)
SPACINGS = st.floats(0.1, 12.0).map(lambda value: round(value, 4))


@st.composite
def rotations(draw: st.DrawFn) -> np.ndarray:
    """A right-handed set of three directions."""
    quaternion = np.array(draw(st.lists(st.floats(-1, 1), min_size=4, max_size=4)))
    length = np.linalg.norm(quaternion)
    w, x, y, z = (1.0, 0.0, 0.0, 0.0) if length < 0.1 else quaternion / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@st.composite
def geometries(draw: st.DrawFn, shape: tuple[int, int, int] = (3, 4, 5)) -> Geometry:
    """A stack of any orientation, spacing and origin."""
    turn = draw(rotations())
    rows, columns, between = draw(SPACINGS), draw(SPACINGS), draw(SPACINGS)
    origin = np.array(draw(st.lists(st.floats(-500, 500), min_size=3, max_size=3)))
    normal = np.cross(turn[:, 0], turn[:, 1])
    positions = [origin + k * between * normal for k in range(shape[0])]
    orientation = (*turn[:, 0], *turn[:, 1])
    return geometry_of_slices(positions, orientation, (rows, columns), shape[1:])[0]


def identity(slices: int, modality: str = "CT") -> StackIdentity:
    """Names for a series of a test."""
    return StackIdentity(
        study_uid="1.2.3",
        series_uid="1.2.4",
        frame_of_reference_uid="1.2.5",
        sop_uids=tuple(f"1.2.6.{k + 1}" for k in range(slices)),
        patient="P-TEST",
        modality=modality,
        description="test",
    )


@FEW
@given(
    voxels=arrays.arrays(np.int16, (3, 4, 5)),
    geometry=geometries(),
    slope=st.floats(0.001, 100).map(lambda v: round(v, 6)),
    intercept=st.integers(-4096, 4096),
    modality=st.sampled_from(["CT", "MR", "DX"]),
    order=st.permutations(range(3)),
)
def test_a_series_survives_to_dicom_and_back(voxels, geometry, slope, intercept, modality, order) -> None:
    with tempfile.TemporaryDirectory() as folder:
        encoding = encoding_of(voxels, slope, intercept)
        names = identity(3, modality)
        paths = list(
            write_stack(
                Path(folder),
                voxels,
                geometry=geometry,
                identity=names,
                encoding=encoding,
                slope=slope,
                intercept=intercept,
            )
        )
        back = read_series([paths[i] for i in order])
    assert np.array_equal(back.stored, voxels)
    assert back.stored.dtype.itemsize == 2
    assert np.allclose(back.slope, slope)
    assert np.allclose(back.intercept, intercept)
    assert back.units == {"CT": "HU", "MR": "signal", "DX": "value"}[modality]
    assert np.allclose(back.geometry.affine, geometry.affine, atol=1e-4)
    assert np.allclose(back.geometry.spacing_mm, geometry.spacing_mm, rtol=1e-5)
    expected = (voxels.astype(np.float64) * slope + intercept).astype(np.float32)
    assert np.allclose(back.real(), expected, rtol=1e-6, atol=1e-6)


@FEW
@given(
    stored=arrays.arrays(np.int16, (6, 7)),
    slope=st.floats(0.01, 50),
    intercept=st.floats(-3000, 3000),
)
def test_real_values_lead_back_to_the_stored_ones(stored, slope, intercept) -> None:
    real = stored.astype(np.float64) * slope + intercept
    assert np.array_equal(np.rint((real - intercept) / slope), stored)
    assert np.allclose(real_values(stored, slope, intercept), real, rtol=1e-6, atol=1e-3)


@FEW
@given(voxels=arrays.arrays(np.float32, (2, 3, 4), elements=st.floats(-1e6, 1e6, width=32, allow_nan=False)))
def test_scaled_voxels_are_off_by_half_a_step_at_most(voxels) -> None:
    encoding = encoding_of(voxels, 1.0, 0.0)
    stored = np.stack([encode(plane, encoding, 1.0, 0.0) for plane in voxels])
    back = stored.astype(np.float64) * encoding.slope + encoding.intercept
    allowed = 0.0 if encoding.is_exact else encoding.slope * 0.51 + 1e-6
    assert np.max(np.abs(back - voxels)) <= allowed
    if np.all(voxels == np.rint(voxels)) and np.abs(voxels).max() <= 32_767:
        assert encoding.is_exact


@FEW
@given(
    voxels=arrays.arrays(np.int16, (3, 4, 5)),
    turn=rotations(),
    sizes=st.tuples(SPACINGS, SPACINGS, SPACINGS),
    mirrored=st.booleans(),
)
def test_nifti_voxels_and_affine_survive_the_layout(voxels, turn, sizes, mirrored) -> None:
    affine = np.eye(4)
    affine[:3, :3] = turn * np.array(sizes) * ([-1, 1, 1] if mirrored else [1, 1, 1])
    affine[:3, 3] = (10, -20, 30)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.nii.gz"
        nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
        with opened_nifti(path) as file:
            assert np.array_equal(file.layout.undo(file.voxels), voxels)
            assert np.allclose(ras_affine_of(file.geometry, file.layout), affine, atol=1e-3)
            for corner in np.ndindex(2, 2, 2):
                index = np.array(corner) * (np.array(file.geometry.shape) - 1)
                value = file.voxels[tuple(index)]
                place = file.geometry.ras_affine() @ [*index, 1]
                there = np.rint(np.linalg.inv(affine) @ place)[:3].astype(int)
                assert voxels[tuple(there)] == value
            steps = np.diff(file.geometry.positions_mm)
            assert np.all(steps > 0)


@FEW
@given(
    voxels=arrays.arrays(np.uint8, (3, 4, 5), unique=False),
    axes=st.permutations(range(3)),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_a_label_map_stored_the_other_way_round_still_fits(voxels, axes, flips) -> None:
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    turned_affine = np.eye(4)
    turned = voxels.transpose(axes)
    for place, axis in enumerate(axes):
        turned_affine[:3, place] = affine[:3, axis]
    for place, flip in enumerate(flips):
        if flip:
            turned = np.flip(turned, place)
            turned_affine[:3, 3] += turned_affine[:3, place] * (turned.shape[place] - 1)
            turned_affine[:3, place] *= -1
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "one.nii", Path(folder) / "other.nii"
        nibabel.save(nibabel.Nifti1Image(voxels, affine), one)
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(turned), turned_affine), other)
        with opened_nifti(one) as image, opened_nifti(other) as mask:
            found = aligned(mask, image.geometry)
            assert found is not None
            assert np.array_equal(found, image.voxels)


@FEW
@given(geometry=geometries(), shift=st.floats(1.0, 30.0))
def test_grids_apart_are_told_apart(geometry: Geometry, shift: float) -> None:
    affine = geometry.affine.copy()
    affine[:3, 3] += shift + max(s or 0 for s in geometry.spacing_mm)
    moved = Geometry(affine=affine, shape=geometry.shape, positions_mm=geometry.positions_mm)
    assert same_grid(geometry, geometry)
    assert not same_grid(geometry, moved)
    assert Geometry.from_json(geometry.to_json()).to_json() == geometry.to_json()


@FEW
@given(order=st.permutations(range(6)), geometry=geometries((9, 4, 5)), gap=st.integers(1, 4))
def test_slices_are_sorted_by_place_and_gaps_are_seen(order, geometry: Geometry, gap: int) -> None:
    positions = [geometry.position_of(k + (3 if k > gap else 0)) for k in range(6)]
    found, back = geometry_of_slices(
        [positions[k] for k in order], geometry.orientation, geometry.spacing_mm[:2], (4, 5)
    )
    assert [order[i] for i in back] == list(range(6))
    assert found.gaps == (gap,)
    assert not found.is_uniform
    for index, position in enumerate(positions):
        assert np.allclose(found.position_of(index), position, atol=1e-3)


@FEW
@given(
    geometry=geometries((40, 4, 5)),
    digits=st.integers(1, 2),
    wobble=arrays.arrays(np.float64, (40, 3), elements=st.floats(-0.004, 0.004)),
)
def test_every_slice_lies_where_its_header_says(geometry: Geometry, digits: int, wobble) -> None:
    """However the headers round: steps of 0.70 and 0.71 mm must not add up to the wrong slice."""
    exact = np.array([geometry.position_of(k) for k in range(40)])
    told = np.round(exact + wobble * geometry.spacing_mm[2], digits)
    along = told @ geometry.normal
    assume(np.diff(along).min() > 1e-3)  # slices in one place keep their order by other means
    found, order = geometry_of_slices(told, geometry.orientation, geometry.spacing_mm[:2], (4, 5))
    found = Geometry.from_json(found.to_json())
    assert list(order) == list(range(40))
    for index, position in enumerate(told):
        assert np.abs(found.position_of(index) - position).max() < 1e-3


def test_rounded_steps_do_not_add_up() -> None:
    """300 slices 0.7034 mm apart in headers of two decimals: 210.3 mm from end to end, not 209.3."""
    places = [[0.0, 0.0, round(0.7034 * k, 2)] for k in range(300)]
    geometry, _ = geometry_of_slices(places, (1, 0, 0, 0, 1, 0), (1.0, 1.0), (4, 5))
    assert geometry.is_uniform
    assert geometry.position_of(299) == pytest.approx([0.0, 0.0, 210.32], abs=1e-9)
    assert (geometry.affine @ [299, 0, 0, 1])[2] == pytest.approx(210.32, abs=1e-6)
    assert geometry.origins_mm == ()


@pytest.mark.parametrize("step", [0.625, 1.25, 2.33, 5.0, 7.77])
@pytest.mark.parametrize("count", [2, 3, 40, 300])
def test_rounding_does_not_make_even_slices_uneven(step: float, count: int) -> None:
    """In headers of one decimal 0.625 mm are 0.6 and 0.7; a slice that is missing is no rounding."""
    places = [[0.0, 0.0, round(step * k, 1)] for k in range(count)]
    geometry, _ = geometry_of_slices(places, (1, 0, 0, 0, 1, 0), (1.0, 1.0), (4, 5))
    assert geometry.is_uniform
    assert geometry.spacing_mm[2] == pytest.approx(step, abs=0.1 / (count - 1))
    without = places[:1] + places[2:]
    geometry, _ = geometry_of_slices(without, (1, 0, 0, 0, 1, 0), (1.0, 1.0), (4, 5))
    assert geometry.is_uniform == (count < 4)


def test_letters_of_the_usual_planes() -> None:
    axial = orientation_letters((1, 0, 0, 0, 1, 0))
    assert axial == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    sagittal = orientation_letters((0, 1, 0, 0, 0, -1))
    assert sagittal == {"left": "A", "right": "P", "top": "H", "bottom": "F"}
