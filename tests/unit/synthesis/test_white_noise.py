"""The two terms of white noise against closed forms, and against the authors' published code in diffusers."""

from __future__ import annotations

import math

import pytest
import torch

from synthesis.white_noise import FLOOR, normal_loss, pair_loss, white_loss, whitened


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_white_noise_has_the_pair_loss_of_chance():
    """E r^2 = 1 / pixels, twice that at half a side, where each pair is counted twice."""
    sides, channels = (32, 16, 8), 3
    expected = channels * sum(2 * (1 + 1 / (side // 2)) / side**2 for side in sides)
    found = pair_loss(draws(400, channels, 32, 32))
    assert float(found.mean()) == pytest.approx(expected, rel=0.02)


def test_a_constant_has_the_pair_loss_of_its_scales():
    """Means over 2 x 2 pixels times 2 double a constant, so that r = 4^k c^2 at scale k."""
    found = pair_loss(torch.full((2, 3, 32, 32), 0.7, dtype=torch.float64))
    expected = 3 * 2 * 0.7**4 * (1 + 16 + 256)
    torch.testing.assert_close(found, torch.full_like(found, expected))
    assert expected > 1e3 * float(pair_loss(draws(1, 3, 32, 32)))


def test_a_wave_is_correlated_as_its_cosine():
    """n = sqrt(2) cos(2 pi k x / S): r(d) = cos(2 pi k d / S) along it, and 1 across it."""
    side, k = 8, 3
    wave = math.sqrt(2) * torch.cos(2 * math.pi * k * torch.arange(side, dtype=torch.float64) / side)
    along = sum(math.cos(2 * math.pi * k * d / side) ** 2 for d in range(1, side // 2 + 1)) / (side // 2)
    for image in (wave.expand(side, side), wave[:, None].expand(side, side)):
        assert float(pair_loss(image[None, None])) == pytest.approx(along + 1)


def test_sides_that_differ_and_odd_ones_are_taken_too():
    assert torch.isfinite(pair_loss(draws(1, 2, 17, 24))).all()
    stripes = torch.ones(1, 1, 4, 6, dtype=torch.float64)
    assert float(pair_loss(stripes)) == pytest.approx(2)


def test_the_normal_loss_is_twice_the_divergence_from_a_standard_normal():
    noise = 0.3 + 0.5 * draws(3, 2, 8, 8)
    mean, variance = noise.flatten(1).mean(1), noise.flatten(1).var(1)
    law = torch.distributions.Normal(mean, variance.sqrt())
    twice = 2 * torch.distributions.kl_divergence(law, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(normal_loss(noise), twice, rtol=1e-6, atol=1e-6)
    assert float(normal_loss(draws(1, 4, 64, 64))) < 1e-3
    assert float(normal_loss(torch.zeros(1, 4, 8, 8))) == pytest.approx(-1 - math.log(FLOOR))


def test_their_gradients_are_the_closed_forms():
    noise = (0.4 * draws(2, 2, 8, 8)).requires_grad_(True)
    (found,) = torch.autograd.grad(normal_loss(noise).sum(), noise)
    flat = noise.detach().flatten(1)
    mean, variance, n = flat.mean(1), flat.var(1), flat.shape[1]
    spread = 2 * (flat - mean[:, None]) / (n - 1) * (1 - 1 / (variance + FLOOR))[:, None]
    torch.testing.assert_close(found.flatten(1), spread + 2 * mean[:, None] / n)
    assert torch.autograd.gradcheck(pair_loss, draws(1, 2, 16, 8, seed=2).requires_grad_(True))


def test_descent_lowers_their_sum_however_long_its_steps_are():
    pattern = torch.sin(torch.arange(16.0)).expand(2, 3, 16, 16)
    noise = 0.2 * draws(2, 3, 16, 16).float() + pattern
    before = white_loss(noise)
    losses = [white_loss(whitened(noise, weight, rounds=5)) for weight in (0.1, 20.0, 1e6)]
    assert bool((losses[0] < before).all())
    assert bool((losses[1] < 0.7 * before).all())
    torch.testing.assert_close(losses[2], before)  # too long even after every halving: left out
    alone = whitened(noise[:1], 20.0, rounds=5)
    torch.testing.assert_close(alone, whitened(noise, 20.0, rounds=5)[:1])


def test_no_weight_returns_the_noise_itself():
    noise = draws(1, 2, 8, 8)
    assert whitened(noise, 0.0, rounds=5) is noise


def test_both_terms_are_those_of_the_published_code(monkeypatch):
    """Its `auto_corr_loss` draws one shift d per scale, and halves at each scale what white noise keeps."""
    from diffusers.pipelines.deprecated.stable_diffusion_variants import (
        pipeline_stable_diffusion_pix2pix_zero as published,
    )

    pipe = published.StableDiffusionPix2PixZeroPipeline
    noise = draws(1, 3, 16, 16)
    torch.testing.assert_close(normal_loss(noise)[0], pipe.kl_divergence(None, noise))

    def theirs(image, shift):
        monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor([shift]))
        return float(pipe.auto_corr_loss(None, image))

    # One scale alone is the mean over its shifts; of two, theirs halves the coarse one, to the 4th power.
    coarse = noise.reshape(1, 3, 8, 2, 8, 2).mean((3, 5))
    below = {shift: theirs(coarse, shift) for shift in range(1, 9)}
    assert float(pair_loss(coarse)) == pytest.approx(sum(below[shift] for shift in range(1, 5)) / 4)
    fine = [theirs(noise, shift) - below[shift] for shift in range(1, 9)]
    expected = sum(fine) / 8 + 2**4 * sum(below[shift] for shift in range(1, 5)) / 4
    assert float(pair_loss(noise)) == pytest.approx(expected)
