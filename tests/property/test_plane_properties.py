"""Grids in the patient: points, indices and masks come back where they were."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synthesis.imaging.plane import Plane, resample_image, resample_labels, upright

spacing = st.floats(0.3, 5.0)
position = st.floats(-300.0, 300.0)


@st.composite
def planes(draw, tilt=30.0, lean=0.0):
    """An axial plane, tilted by up to `tilt` degrees, turned by any angle, mirrored or not.

    With `lean`, its axes are off the right angle by as much as headers are taken with.
    """
    turn = np.deg2rad(draw(st.floats(0, 360)))
    nod = np.deg2rad(draw(st.floats(-tilt, tilt)))
    mirror = draw(st.sampled_from([1.0, -1.0]))
    columns = np.array([np.cos(turn), np.sin(turn), 0.0])
    rows = mirror * np.array([-np.sin(turn), np.cos(turn), 0.0])
    if lean:
        rows = rows + draw(st.floats(-lean, lean)) * columns
        rows /= np.linalg.norm(rows)
    lift = np.array([[1, 0, 0], [0, np.cos(nod), -np.sin(nod)], [0, np.sin(nod), np.cos(nod)]])
    return Plane(
        position_mm=(draw(position), draw(position), draw(position)),
        orientation=(*(lift @ columns), *(lift @ rows)),
        spacing_mm=(draw(spacing), draw(spacing)),
        shape=(draw(st.integers(4, 40)), draw(st.integers(4, 40))),
    )


@given(planes(lean=0.01), st.floats(-500, 500), st.floats(-500, 500))
def test_indices_undo_points(plane, row, column):
    r, c = plane.indices(plane.points(row, column))
    np.testing.assert_allclose([r, c], [row, column], atol=1e-6)


@given(planes())
def test_json_keeps_a_plane(plane):
    assert Plane.from_json(plane.to_json()) == plane


@given(planes())
def test_upright_directions_are_the_planes_own_at_right_angles(plane):
    left, back = upright(plane)
    assert left @ back == np.float64(0) or abs(left @ back) < 1e-9
    assert left[0] >= 0
    assert back[1] >= 0
    own = [plane.along_columns, plane.along_rows]
    for direction in (left, back):
        assert max(abs(direction @ one) for one in own) > 1 - 1e-9


@settings(deadline=None, max_examples=40)
@given(planes(), st.integers(0, 2**31))
def test_a_mask_stays_itself_on_its_own_grid(plane, seed):
    labels = np.random.default_rng(seed).integers(0, 20, plane.shape).astype(np.uint8)
    assert np.array_equal(resample_labels(labels, plane, plane, outside=0), labels)


@settings(deadline=None, max_examples=40)
@given(planes(), st.integers(2, 4), st.integers(0, 2**31))
def test_a_mask_survives_a_finer_grid_and_back(plane, factor, seed):
    """Each pixel split into factor x factor, and merged again: nothing may change."""
    step = tuple(s / factor for s in plane.spacing_mm)
    corner = plane.points(-0.5 + 0.5 / factor, -0.5 + 0.5 / factor)
    fine = Plane(
        position_mm=tuple(corner),
        orientation=plane.orientation,
        spacing_mm=step,
        shape=(plane.shape[0] * factor, plane.shape[1] * factor),
    )
    labels = np.random.default_rng(seed).integers(0, 20, plane.shape).astype(np.uint8)
    there = resample_labels(labels, plane, fine, outside=0)
    assert np.array_equal(there, labels.repeat(factor, 0).repeat(factor, 1))
    assert np.array_equal(resample_labels(there, fine, plane, outside=0), labels)


@settings(deadline=None, max_examples=60)
@given(planes(), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31))
def test_a_coarser_grid_favours_no_side(plane, down, across, seed):
    """Of blocks of whole source pixels: the mirrored mask gives the mirrored result, and two thirds win."""
    coarse = Plane(
        position_mm=tuple(plane.points((down - 1) / 2, (across - 1) / 2)),
        orientation=plane.orientation,
        spacing_mm=(plane.spacing_mm[0] * down, plane.spacing_mm[1] * across),
        shape=(max(1, plane.shape[0] // down), max(1, plane.shape[1] // across)),
    )
    rows, columns = coarse.shape
    labels = np.random.default_rng(seed).integers(0, 3, (rows * down, columns * across)).astype(np.uint8)
    plane = replace(plane, shape=labels.shape)
    found = resample_labels(labels, plane, coarse, outside=0)
    for turn in (np.flipud, np.fliplr):
        turned = resample_labels(np.ascontiguousarray(turn(labels)), plane, coarse, outside=0)
        assert np.array_equal(turned, turn(found))
    blocks = labels.reshape(rows, down, columns, across)
    for value in range(3):
        most = (blocks == value).mean((1, 3)) > 2 / 3
        assert (found[most] == value).all()


@settings(deadline=None, max_examples=40)
@given(planes(), st.floats(-900, 900), st.floats(-2, 2), st.floats(-2, 2))
def test_a_linear_image_is_resampled_exactly_inside(plane, level, down, across):
    row, column = np.indices(plane.shape)
    image = level + down * row + across * column
    shifted = Plane(
        position_mm=tuple(plane.points(0.9, 0.7)),
        orientation=plane.orientation,
        spacing_mm=plane.spacing_mm,
        shape=(plane.shape[0] - 2, plane.shape[1] - 2),
    )
    expected = level + down * (row + 0.9) + across * (column + 0.7)
    result = resample_image(image, plane, shifted, outside=0.0)
    np.testing.assert_allclose(result, expected[:-2, :-2], atol=1e-3)


@settings(deadline=None, max_examples=30)
@given(planes(), st.integers(0, 2**31))
def test_outside_of_the_source_is_what_was_asked_for(plane, seed):
    labels = np.random.default_rng(seed).integers(1, 20, plane.shape).astype(np.uint8)
    away = Plane(
        position_mm=tuple(plane.points(1000, 1000)),
        orientation=plane.orientation,
        spacing_mm=plane.spacing_mm,
        shape=(5, 5),
    )
    assert (resample_labels(labels, plane, away, outside=0) == 0).all()
    assert (resample_image(labels.astype(float), plane, away, outside=-7.0) == -7).all()
