"""Cached latents: the floor under a velocity that learns from draws; shards that carry mean and spread."""

from math import asinh, pi, sqrt

import pytest
import torch

from training.latents import Spread, noise_floor


@pytest.mark.parametrize(("shift", "expected"), [(1.0, 0.7056), (2.0, 0.6415), (4.0, 0.5797)])
def test_the_floor_is_the_printed_one(shift, expected):
    """q = 0.275 (math.md section 6; NV-Generate issue 45)."""
    assert noise_floor(0.275, shift) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("share", [0.01, 0.275, 0.9])
def test_unshifted_the_floor_has_a_closed_form(share):
    """The integral of 1 / sqrt((1 + q) t^2 - 2 t + 1) over 0..1."""
    closed = sqrt(2 * share / pi) * (asinh(sqrt(share)) + asinh(1 / sqrt(share))) / sqrt(1 + share)
    assert noise_floor(share) == pytest.approx(closed, rel=1e-6)


def test_the_best_velocity_that_knows_the_mean_still_errs_by_the_floor():
    """x_1 = mu + sqrt(q) e: even given mu, E[x_1 - n | x_t] is off by sqrt(2 / pi Var) on average."""
    q, generator = 0.275, torch.Generator().manual_seed(0)
    e, n, t = (draw(400_000, generator=generator) for draw in (torch.randn, torch.randn, torch.rand))
    rest = t * sqrt(q) * e + (1 - t) * n  # x_t - t mu
    gain = (t * q - (1 - t)) / (t**2 * q + (1 - t) ** 2)
    error = sqrt(q) * e - n - gain * rest
    assert error.abs().mean().item() == pytest.approx(noise_floor(q), rel=5e-3)


def test_latents_without_noise_have_no_floor_and_nonsense_is_refused():
    assert noise_floor(0.0) == 0.0
    assert Spread(of_means=3.0, inside=1.0).noise_share == 0.25
    for share, shift in ((-0.1, 1.0), (1.1, 1.0), (0.5, 0.0)):
        with pytest.raises(ValueError, match="share"):
            noise_floor(share, shift)
