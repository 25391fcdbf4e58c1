"""One grid for all slices of a series: around every body, moving with the slices."""

from __future__ import annotations

import numpy as np
import pytest

from synthesis.errors import SynthesisError
from synthesis.imaging.fitting import fit, grid_around
from synthesis.imaging.plane import plane_of, resample_image
from synthesis.imaging.series_fitting import as_it_is, grid_at, rising, series_grid
from synthesis.imaging.volume import Slice
from synthesis.phantoms import labels as L
from tests.unit.synthesis.imaging.test_fitting import OWN, RECIPE

STANDARD = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SIDE = 200


def body(columns: slice, z: float, *, x: float = -200.0) -> tuple[np.ndarray, Slice]:
    """A slice with a square body of soft tissue, and its mask: liver in all of it."""
    mask = np.zeros((SIDE, SIDE), np.uint16)
    mask[60:140, columns] = L.LIVER
    image = np.where(mask > 0, 50.0, -1000.0).astype(np.float32)
    source = Slice(
        array=image, spacing_mm=(2.0, 2.0), units="HU", position_mm=(x, -200.0, z), orientation=STANDARD
    )
    return mask, source


def test_the_grid_lies_around_every_body():
    left, right = body(slice(40, 120), 0.0), body(slice(80, 160), 5.0)
    grid, first = series_grid([left, right], names=OWN, recipe=RECIPE, modality="CT")
    assert first == plane_of(left[1])
    both = np.zeros((SIDE, SIDE), bool)
    both[60:140, 40:160] = True
    wanted = grid_around(both, first, RECIPE)
    assert grid.spacing_mm == pytest.approx(wanted.spacing_mm, rel=0.05)
    assert grid.position_mm == pytest.approx(wanted.position_mm, abs=8.0)
    row, column = grid.indices(first.points([60, 139], [40, 159]))
    for place in (row, column):
        assert place.min() > 0
        assert place.max() < 127


def test_it_moves_with_the_slice_and_equal_slices_fit_alike():
    here, there = body(slice(40, 120), 0.0), body(slice(40, 120), 5.0, x=-197.0)
    grid, first = series_grid([here, there], names=OWN, recipe=RECIPE, modality="CT")
    moved = grid_at(grid, first, plane_of(there[1]))
    assert np.subtract(moved.position_mm, grid.position_mm) == pytest.approx((3.0, 0.0, 5.0))
    fitted = [
        fit(mask=mask, names=OWN, recipe=RECIPE, source=source, onto=onto)
        for (mask, source), onto in ((here, grid), (there, moved))
    ]
    assert np.array_equal(fitted[0].labels, fitted[1].labels)
    assert np.array_equal(fitted[0].image, fitted[1].image)
    assert fitted[1].plane == moved
    kept = as_it_is(there[1], moved, "CT")
    assert np.array_equal(kept, resample_image(there[1].array, plane_of(there[1]), moved, outside=-1000.0))


def test_a_source_on_the_models_own_grid_keeps_it():
    mask, source = body(slice(40, 120), 0.0)
    own = Slice(
        array=source.array[36:164, 36:164],
        spacing_mm=(3.0, 3.0),
        units="HU",
        position_mm=(0.0, 0.0, 7.0),
        orientation=STANDARD,
    )
    grid, first = series_grid([(mask[36:164, 36:164], own)], names=OWN, recipe=RECIPE, modality="CT")
    assert grid == first == plane_of(own)


def test_slices_without_a_body_are_passed_over_until_none_is_left():
    empty = body(slice(0, 0), 0.0)
    grid, _ = series_grid([empty, body(slice(40, 120), 5.0)], names=OWN, recipe=RECIPE, modality="CT")
    assert grid.position_mm[2] == 5.0
    with pytest.raises(SynthesisError, match="No body"):
        series_grid([empty], names=OWN, recipe=RECIPE, modality="CT")


def test_the_order_of_a_stack_is_that_of_its_normal():
    planes = [plane_of(body(slice(40, 120), z)[1]) for z in (0.0, 5.0, 10.0)]
    assert rising(planes)
    assert not rising(planes[::-1])
