"""Distances and partial volume against geometry known in closed form."""

import numpy as np
import pytest

from synthesis.phantoms.shapes import (
    Frame,
    Waves,
    ellipsoid,
    meet,
    smooth_union,
    soft_mask,
    superellipse,
    tube,
)


def straight(x, y, z, pixel=1.0):
    """A frame without bending."""
    x, y, z = (np.asarray(a, dtype=np.float32) for a in (x, y, z))
    shape = (len(z), len(y), len(x))
    return Frame(
        x, y, z,
        np.broadcast_to(x[None, None, :], shape), np.broadcast_to(y[None, :, None], shape),
        z[:, None, None], pixel, 0.0,
    )  # fmt: skip


AXIS = np.arange(-40.0, 41.0)


def test_sphere_distance_is_exact():
    frame = straight(AXIS, AXIS, [0.0, 7.0])
    got = ellipsoid(frame, frame.whole, (3.0, -2.0, 1.0), (20.0, 20.0, 20.0))
    x, y, z = AXIS[None, None, :] - 3, AXIS[None, :, None] + 2, frame.tall - 1
    np.testing.assert_allclose(got, np.sqrt(x**2 + y**2 + z**2) - 20, atol=0.01)


def test_ellipsoid_is_zero_on_its_surface_and_first_order_right_near_it():
    angle = 0.7
    radii = np.array([30.0, 18.0, 12.0])
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(50, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    surface = radii * normal
    out = normal / radii
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    for step in (0.0, -0.5, 0.5):
        for p in (surface + step * out) @ turn.T:
            frame = straight([p[0]], [p[1]], [p[2]])
            got = float(ellipsoid(frame, frame.whole, (0, 0, 0), tuple(radii), angle)[0, 0, 0])
            assert got == pytest.approx(step, abs=0.06)


def test_tube_is_a_capsule_with_a_taper():
    frame = straight([0.0, 5.0, 14.0], [0.0, 9.0], [0.0])
    got = tube(frame, frame.whole, [(0.0, 0.0, 0.0), (10.0, 0.0, 0.0)], [3.0, 5.0])[0]
    np.testing.assert_allclose(got, [[-3, -4, -1], [6, 5, np.hypot(4, 9) - 5]], atol=1e-4)


def test_superellipse_is_zero_on_its_four_poles():
    frame = straight([-50.0, 0.0, 50.0], [-30.0, 0.0, 30.0], [0.0])
    got = superellipse(frame, 50.0, 30.0)[0]
    np.testing.assert_allclose([got[1, 0], got[1, 2], got[0, 1], got[2, 1]], 0.0, atol=0.02)


def test_soft_mask_gives_each_pixel_its_share_of_a_half_plane():
    shares = soft_mask(np.array([-1.0, -0.25, 0.0, 0.25, 1.0], dtype=np.float32) * 2.0, 2.0)
    np.testing.assert_allclose(shares, [1.0, 0.75, 0.5, 0.25, 0.0])


def test_partial_volume_keeps_the_area():
    """The sum of the shares of a disc is its area, far closer than the count of whole pixels."""
    spacing = 2.8
    axis = (np.arange(64) - 31.3) * spacing
    frame = straight(axis, axis, [0.0], spacing)
    errors = []
    for radius in np.linspace(9, 40, 12):
        d = ellipsoid(frame, frame.whole, (1.1, -0.4, 0.0), (radius, radius, 1e5))
        area = float(soft_mask(d, spacing).sum()) * spacing**2
        errors.append(area / (np.pi * radius**2) - 1)
    assert np.abs(errors).max() < 0.01


def test_smooth_union_leaves_far_points_alone_and_never_shrinks():
    a, b = np.array([-5.0, 0.0, 30.0], np.float32), np.array([30.0, 0.0, -5.0], np.float32)
    got = smooth_union(a, b, 8.0)
    np.testing.assert_allclose(got, [-5.0, -2.0, -5.0])


def test_waves_have_the_stated_spread_and_agree_with_their_formula():
    rng = np.random.default_rng(3)
    waves = Waves.draw(rng, gain=2.0, shortest=10, longest=30)
    x, y, z = (np.linspace(0, 40, n, dtype=np.float32) for n in (5, 4, 3))
    got = waves.on(x, y, z)
    assert got.shape == (3, 4, 5)
    p = np.stack(np.meshgrid(x, y, z, indexing="ij"), -1).transpose(2, 1, 0, 3)
    want = waves.gain * np.cos(p @ waves.wave.T + waves.phase).sum(-1)
    np.testing.assert_allclose(got, want, atol=1e-4)
    spread = [Waves.draw(rng, gain=2.0, shortest=10, longest=30).on(x, y, z)[0, 0, 0] for _ in range(2000)]
    assert np.std(spread) == pytest.approx(2.0, rel=0.06)


def test_boxes_hold_what_they_should_and_meet_where_they_overlap():
    frame = straight(AXIS, AXIS, [0.0])
    box = frame.box((-5.0, 0.0, -1.0), (5.0, 10.0, 1.0))
    assert box is not None
    assert frame.x[box[2]].min() <= -5
    assert frame.x[box[2]].max() >= 5
    assert frame.box((0.0, 0.0, 50.0), (1.0, 1.0, 60.0)) is None
    part, inner = meet((slice(0, 1), slice(2, 9), slice(0, 4)), (slice(0, 1), slice(4, 20), slice(1, 8)))
    assert part == (slice(0, 1), slice(4, 9), slice(1, 4))
    assert inner == (slice(0, 1), slice(0, 5), slice(0, 3))
    assert meet((slice(0, 1), slice(0, 2), slice(0, 1)), (slice(0, 1), slice(5, 9), slice(0, 1))) is None
