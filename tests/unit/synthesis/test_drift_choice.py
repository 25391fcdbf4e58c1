"""Choosing delta, and inversion: closed forms of the Gaussian flow."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from synthesis.drift_choice import PAPER_GRID, grid_search, inversion, pixel_distance, terminal_snr
from synthesis.errors import SynthesisError
from synthesis.inversion import heun_step, invert
from synthesis.samplers.heun import heun
from synthesis.stepping import uniform_times


def gaussian(mean, std):
    """The exact velocity of a flow from N(0, 1) to N(mean, std^2)."""

    def velocity(x, t):
        s = (1 - t) ** 2 + (t * std) ** 2
        return mean + (t * std**2 - (1 - t)) / s * (x - t * mean)

    return velocity


def test_there_and_back_is_exact_and_not_merely_close() -> None:
    velocity, times = gaussian(0.7, 0.5), uniform_times(16)
    x_1 = 0.7 + 0.5 * torch.randn(6, 2, 8, 8, dtype=torch.float64)
    x_0 = invert(velocity, x_1, times, tolerance=1e-12, iterations=100)
    torch.testing.assert_close(heun(velocity, x_0, times), x_1, rtol=0, atol=1e-10)
    # the exact flow map: x_0 = (x_1 - m) / c
    fine = invert(velocity, x_1, uniform_times(400), tolerance=1e-12)
    torch.testing.assert_close(fine, (x_1 - 0.7) / 0.5, rtol=0, atol=5e-3)


def test_a_step_too_large_is_refused_in_words() -> None:
    with pytest.raises(SynthesisError, match="More steps make each of them smaller"):
        invert(gaussian(0.0, 0.02), torch.randn(2, 1), uniform_times(2), iterations=3)


def test_inversion_reports_every_step() -> None:
    seen = []
    invert(
        gaussian(0.0, 1.0), torch.randn(2, 1), uniform_times(5), on_step=lambda s: seen.append((s.step, s.t))
    )
    assert [step for step, _ in seen] == [1, 2, 3, 4, 5]
    assert seen[-1][1] == 0.0


def test_the_inverted_mean_is_the_shift_of_the_start_that_reaches_the_target() -> None:
    generator = torch.Generator().manual_seed(3)
    target = torch.randn(4, 2, 16, 16, generator=generator, dtype=torch.float64)
    target = target - target.mean((0, 2, 3), keepdim=True) + torch.tensor([1.2, 0.1]).reshape(1, 2, 1, 1)
    found = inversion(gaussian(0.7, 0.5), target, uniform_times(800))
    torch.testing.assert_close(found, torch.tensor([1.0, -1.2], dtype=torch.float64), rtol=0, atol=5e-3)


def test_the_terminal_signal_is_the_mean_that_the_start_forgets() -> None:
    latents = torch.stack([torch.full((3, 3), 2.0), torch.full((3, 3), -1.0)])[None]
    torch.testing.assert_close(
        terminal_snr(latents, 0.0046601), torch.tensor([0.13653, -0.06826]), atol=2e-5, rtol=0
    )


def test_the_grid_search_finds_the_shift_it_is_asked_for() -> None:
    base = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    found = grid_search(lambda delta: base + delta, base + 0.1)
    assert found.best == 0.1
    assert found.distances[0.1] == 0.0
    assert PAPER_GRID == (-0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2)


def test_the_distance_runs_from_equal_to_disjoint() -> None:
    real = torch.linspace(0, 1, 1000)
    assert pixel_distance(real, real) == 0.0
    assert pixel_distance(torch.full((7,), 5.0), real) == pytest.approx(2.0, abs=0.05)
    with pytest.raises(ValueError, match="expected values that differ"):
        pixel_distance(real, torch.ones(4))


def test_an_item_of_the_batch_is_inverted_as_it_is_alone() -> None:
    velocity, times = gaussian(0.7, 0.5), uniform_times(10)
    x_1 = torch.stack(
        [torch.full((4, 4), 0.7), torch.randn(4, 4, generator=torch.Generator().manual_seed(1))]
    )
    together = invert(velocity, x_1, times, tolerance=1e-4)
    for item in range(2):
        alone = invert(velocity, x_1[item : item + 1], times, tolerance=1e-4)
        torch.testing.assert_close(together[item : item + 1], alone, rtol=0, atol=1e-6)


def test_a_stiff_flow_is_followed_in_fewer_rounds_than_the_plain_fixed_point() -> None:
    calls = []
    inner = gaussian(0.0, 0.05)

    def velocity(x, t):
        calls.append(1)
        return inner(x, t)

    x_1 = 0.05 * torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    times = [0.0, 0.5, 0.8, 0.9, 0.95, 1.0]
    x_0 = invert(velocity, x_1, times, tolerance=1e-9)
    used = len(calls)
    assert float((heun(inner, x_0, times) - x_1).abs().max()) < 1e-8

    plain = 0
    x = x_1
    for a, b in list(pairwise(times))[::-1]:
        guess = x - (b - a) * inner(x, torch.tensor(a))
        for _ in range(1000):
            missing = x - heun_step(inner, guess, a, b)
            plain += 2
            if float(missing.square().mean((1, 2, 3)).sqrt().max()) <= 1e-9:
                break
            guess = guess + missing
        x = guess
    assert used < 0.7 * plain
