"""Latent drifting against closed forms: Gaussians under DDPM, DDIM and a flow (math.md section 4)."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch

from synthesis.drift import (
    SCHEMES,
    Drift,
    ddim_step,
    ddpm_step,
    drift_dc_sigma,
    drifted,
    drifted_velocity,
    first_state,
    noised,
    spread,
    start_of_flow,
)
from synthesis.samplers.euler import euler
from synthesis.samplers.heun import heun
from synthesis.stepping import uniform_times
from synthesis.variance_preserving import NoiseSchedule

A = NoiseSchedule.of().alpha_bars  # Stable Diffusion's, falling
M, C = -0.4, 0.6


def exact_noise(x, now, drift):
    """E[noise | x] where the data are N(M, C^2) and q is drifted."""
    y = x - drift.mean(now)
    variance = now * C**2 + 1 - now
    return (y - sqrt(now) * M) * sqrt(1 - now) / variance


def grid(steps):
    """alpha_bar before and after each of `steps` steps down to the data."""
    chosen = [A[i] for i in np.linspace(999, 0, steps).round().astype(int)]
    return list(zip(chosen, [*chosen[1:], 1.0], strict=True))


def run(step, x, drift, pairs, network_drift=None):
    for now, following in pairs:
        x = step(x, exact_noise(x, now, network_drift or drift), now, following, torch.zeros_like(x))
    return x


def test_the_reverse_shift_of_the_noise_scheme_is_the_tabulated_one() -> None:
    drift = Drift(delta=1.0)
    shifts = [drift.reverse_shift(A[i], A[i - 1]) for i in range(1, 1000)]
    at = {i: shifts[i - 1] for i in (1, 99, 499, 999)}
    assert at == pytest.approx({1: 0.00857208, 99: 0.00212538, 499: 0.00282818, 999: 0.00603209}, rel=1e-5)
    assert sum(shifts) == pytest.approx(3.3263, abs=5e-5)


@pytest.mark.parametrize("scheme", ["noise", "prior"])
@pytest.mark.parametrize("step", [ddim_step, ddpm_step])
def test_the_drifted_step_is_the_posterior_mean_with_its_shift(scheme, step) -> None:
    drift = Drift(delta=torch.tensor([0.3, -0.2], dtype=torch.float64), scheme=scheme)
    x, noise, zero = (torch.randn(3, 2, 4, dtype=torch.float64) for _ in range(3))
    now, following = A[700], A[650]
    got = drifted(step, drift, steps=20)(x, noise, now, following, zero * 0)
    estimate = (x - spread(drift.mean(now), x) - sqrt(1 - now) * noise) / sqrt(now)
    if step is ddpm_step:
        ratio = now / following
        gamma = sqrt(ratio) * (1 - following) / (1 - now)
        eta = sqrt(following) * (1 - ratio) / (1 - now)
        want = gamma * x + eta * estimate + spread(drift.reverse_shift(now, following), x)
    else:
        want = sqrt(following) * estimate + sqrt(1 - following) * noise + spread(drift.mean(following), x)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


def test_ddim_with_drifted_noise_as_target_needs_no_term_of_its_own() -> None:
    x, noise = torch.randn(5, 1, dtype=torch.float64), torch.randn(5, 1, dtype=torch.float64)
    drift = Drift(delta=0.2)
    with_drift = drifted(ddim_step, drift, steps=9)(x, noise, A[800], A[700], noise)
    torch.testing.assert_close(with_drift, ddim_step(x, noise + 0.2, A[800], A[700], noise))


@pytest.mark.parametrize("scheme", ["noise", "prior"])
@pytest.mark.parametrize("steps", [20, 50])
def test_the_mean_is_exact_at_20_and_50_ddim_steps(scheme, steps) -> None:
    drift = Drift(delta=0.15, scheme=scheme)
    data = torch.full((1, 1), M, dtype=torch.float64)
    start = noised(data, torch.zeros_like(data), A[999], drift)
    end = run(drifted(ddim_step, drift, steps=steps), start, drift, grid(steps))
    assert float(end) == pytest.approx(M, abs=1e-12)


def test_forgetting_the_step_back_is_seen() -> None:
    drift, plain = Drift(delta=0.15), Drift()
    data = torch.full((1, 1), M, dtype=torch.float64)
    start = noised(data, torch.zeros_like(data), A[999], drift)
    end = run(drifted(ddim_step, plain, steps=20), start, plain, grid(20))
    assert abs(float(end) - M) > 0.05


@pytest.mark.parametrize(
    ("step", "steps", "gain"), [(ddpm_step, 1000, 329), (ddim_step, 50, 34.9), (ddim_step, 20, 13.6)]
)
def test_the_raw_literal_form_multiplies_delta(step, steps, gain) -> None:
    with pytest.warns(UserWarning, match="grows with the number of steps"):
        raw = Drift(delta=0.01, scheme="literal", raw=True)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    undrifted = run(step, zero, Drift(), grid(steps))
    moved = run(drifted(step, raw, steps=steps), zero, raw, grid(steps), Drift())
    assert float(moved - undrifted) / 0.01 == pytest.approx(gain, rel=0.005)
    bounded = Drift(delta=0.01, scheme="literal")
    moved = run(drifted(step, bounded, steps=steps), zero, bounded, grid(steps), Drift())
    assert float(moved - undrifted) / 0.01 == pytest.approx(gain / steps, rel=0.005)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_drift_is_bit_for_bit_the_plain_scheme(scheme) -> None:
    drift = Drift(delta=0.0, scheme=scheme)
    x, noise, fresh = (torch.randn(2, 3, 4, 4) for _ in range(3))
    for step in (ddim_step, ddpm_step):
        plain = step(x, noise, A[500], A[480], fresh)
        assert torch.equal(drifted(step, drift, steps=10)(x, noise, A[500], A[480], fresh), plain)
    assert torch.equal(first_state(x, A[999], drift), x)
    assert torch.equal(noised(x, noise, A[300], drift), noised(x, noise, A[300], Drift()))
    assert torch.equal(start_of_flow(x, drift), x)
    velocity = gaussian_velocity(M, C)
    for trained in (True, False):
        moved = drifted_velocity(velocity, drift, is_trained_with_drift=trained)
        assert torch.equal(euler(moved, x, uniform_times(5)), euler(velocity, x, uniform_times(5)))


def gaussian_velocity(mean, std, delta=0.0):
    """The exact velocity of a flow from N(delta, 1) to N(mean, std^2) (math.md section 2)."""

    def velocity(x, t):
        s = (1 - t) ** 2 + (t * std) ** 2
        return mean - delta + (t * std**2 - (1 - t)) / s * (x - t * mean - (1 - t) * delta)

    return velocity


def test_the_wrapper_leaves_the_law_of_what_comes_out() -> None:
    delta = torch.tensor([0.5, -1.0, 0.0])
    velocity = gaussian_velocity(M, C)
    noise = torch.randn(4, 3, 5, 5, dtype=torch.float64)
    drift = Drift(delta=delta)
    moved = drifted_velocity(velocity, drift, is_trained_with_drift=False)
    end = heun(moved, start_of_flow(noise, drift), uniform_times(8))
    torch.testing.assert_close(end, heun(velocity, noise, uniform_times(8)), rtol=0, atol=1e-12)
    # and it is the exact velocity of the drifted start law
    x, t = torch.randn(6, 3, 2, 2, dtype=torch.float64), torch.tensor(0.37, dtype=torch.float64)
    torch.testing.assert_close(moved(x, t), gaussian_velocity(M, C, spread(delta, x))(x, t))


def test_init_only_moves_a_gaussian_by_its_standard_deviation_times_delta() -> None:
    velocity = gaussian_velocity(M, C)
    drift = Drift(delta=0.3, scheme="init_only")
    noise = torch.zeros(1, 1, dtype=torch.float64)
    used = drifted_velocity(velocity, drift, is_trained_with_drift=False)
    end = heun(used, start_of_flow(noise, drift), uniform_times(2000))
    assert float(end) == pytest.approx(M + C * 0.3, abs=1e-3)  # math.md: m + Sigma^(1/2) delta


def test_the_literal_form_of_a_flow_moves_each_step_by_its_share() -> None:
    still = lambda x, t: torch.zeros_like(x)  # noqa: E731
    drift = Drift(delta=0.25, scheme="literal")
    x = torch.zeros(1, 1, dtype=torch.float64)
    end = euler(
        drifted_velocity(still, drift, is_trained_with_drift=True), start_of_flow(x, drift), uniform_times(7)
    )
    assert float(end) == pytest.approx(0.25)
    with pytest.warns(UserWarning, match="grows"):
        raw = Drift(delta=0.25, scheme="literal", raw=True)
    end = euler(drifted_velocity(still, raw, is_trained_with_drift=True, steps=7), x, uniform_times(7))
    assert float(end) == pytest.approx(7 * 0.25)


def test_the_move_in_standard_deviations() -> None:
    assert drift_dc_sigma(0.1, torch.zeros(1, 1, 64, 64)) == pytest.approx(6.4)
    assert drift_dc_sigma(torch.tensor([0.3, 0.4]), torch.zeros(1, 2, 5, 5)) == pytest.approx(2.5)
    assert drift_dc_sigma(torch.full((1, 4, 4), 0.1), torch.zeros(2, 3, 4, 4)) == pytest.approx(
        0.1 * sqrt(48)
    )


@pytest.mark.parametrize("delta", [torch.zeros(3), torch.zeros(2, 4, 4), torch.zeros(1, 2, 1, 1, 1)])
def test_a_drift_that_does_not_fit_is_refused(delta) -> None:
    with pytest.raises(ValueError, match="delta: expected a number"):
        spread(delta, torch.zeros(5, 2, 3, 3))


def test_unknown_schemes_and_raw_elsewhere_are_refused() -> None:
    with pytest.raises(ValueError, match="scheme: expected one of"):
        Drift(scheme="sideways")
    with pytest.raises(ValueError, match="raw: expected only"):
        Drift(raw=True)
