"""The identities of math.md sections 0 to 2, against closed forms."""

import pytest
import torch

from synthesis.guidance import guided
from synthesis.paths import (
    interpolate,
    noise_mean,
    posterior_mean,
    scaled_score,
    score,
    velocity_from_posterior_mean,
)
from synthesis.samplers.euler import euler
from synthesis.stepping import AverageVelocity, SpanVelocity, uniform_times
from tests.unit.synthesis.oracles import Mixture, gaussian, printed_mixture

X = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
T = torch.tensor(0.45, dtype=torch.float64)


def close(value, expected, tolerance=5e-9):
    torch.testing.assert_close(value, torch.as_tensor(expected, dtype=torch.float64), rtol=0, atol=tolerance)


def test_the_printed_mixture():
    law = printed_mixture()
    v = law.velocity(X, T)
    close(v[0], [0.71094571, 0.28668832])
    close(posterior_mean(X, v, T)[0], [0.69102014, -0.04232142])
    close(score(X, v, T)[0], [0.0362283, 0.59819954])
    close(law.log_density(X, T)[0], -1.85777983)


def test_the_printed_mixture_with_drift():
    law = printed_mixture(drift=0.1)
    v = law.velocity(X, T)
    close(v[0], [0.43264313, -0.04179416])
    close(score(X, v, T, drift=0.1)[0], [-0.00965562, 0.51125932])
    close(posterior_mean(X, v, T), law.posterior_mean(X, T))


def test_the_printed_posterior_covariance_is_the_jacobian_of_the_posterior_mean():
    law = printed_mixture()
    jacobian = torch.autograd.functional.jacobian(
        lambda x: posterior_mean(x[None], law.velocity(x[None], T), T)[0], X[0]
    )
    covariance = (1 - T) ** 2 / T * jacobian
    close(covariance, [[1.19236879, 0.64128829], [0.64128829, 1.5150839]], 5e-8)


@pytest.mark.parametrize("drift", [0.0, -0.3])
@pytest.mark.parametrize("t", [0.05, 0.5, 0.95])
def test_score_is_the_gradient_of_the_log_density(t, drift):
    law = printed_mixture(drift)
    t = torch.tensor(t, dtype=torch.float64)
    x = torch.randn((7, 2), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(law.log_density(x, t).sum(), x)
    v = law.velocity(x, t)
    close(score(x, v, t, drift), gradient.detach(), 1e-9)
    close(scaled_score(x, v, t, drift), ((1 - t) ** 2 * gradient).detach(), 1e-9)


def test_the_identities_hold_together():
    law, t = printed_mixture(), torch.rand(6, dtype=torch.float64)
    x = torch.randn((6, 2), dtype=torch.float64)
    v = torch.cat([law.velocity(x[i : i + 1], t[i]) for i in range(6)])
    x_1, n = posterior_mean(x, v, t), noise_mean(x, v, t)
    close(interpolate(n, x_1, t), x, 1e-12)
    close(x_1 - n, v, 1e-12)
    close(velocity_from_posterior_mean(x, x_1, t), v, 1e-9)
    # Tweedie in score form: E[t x_1 | x_t] = x + (1-t)^2 s.
    close(t[:, None] * x_1, x + scaled_score(x, v, t), 1e-12)


def test_times_may_be_numbers_scalars_or_one_per_item():
    x, v = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    per_item = torch.tensor([0.1, 0.5, 0.9])
    by_item = posterior_mean(x, v, per_item)
    for i, t in enumerate(per_item):
        torch.testing.assert_close(by_item[i], posterior_mean(x, v, t)[i])
        torch.testing.assert_close(by_item[i], posterior_mean(x, v, float(t))[i])


def test_the_score_is_refused_at_the_end_and_its_product_is_not():
    x, v = torch.ones(2), torch.ones(2)
    with pytest.raises(ValueError, match="scaled_score"):
        score(x, v, 1.0)
    assert torch.equal(scaled_score(x, v, 1.0), torch.zeros(2))


def test_the_gaussian_flow_map():
    """x_b = b m + sqrt(S_b / S_a) (x_a - a m); m = .7, c = .5 takes 1 to 1.2."""
    law = gaussian(0.7, 0.5)
    x_0 = torch.ones((1, 1), dtype=torch.float64)
    end = euler(law.velocity, x_0, uniform_times(4000))
    close(end, [[1.2]], 5e-4)


def test_guidance_moves_the_mean_and_keeps_the_spread():
    """Equal covariances: mean m_u + w (m_c - m_u), spread unchanged."""
    conditional, unconditional = gaussian(1.0, 0.5), gaussian(0.2, 0.5)
    velocity = guided(conditional.velocity, unconditional.velocity, 3.0)
    x_0 = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
    end = euler(velocity, x_0, uniform_times(4000))
    close(end, (0.2 + 3.0 * 0.8) + 0.5 * x_0, 2e-3)


def test_guidance_combines_averages_as_it_combines_velocities():
    conditional, unconditional = (SpanVelocity(lambda x, t, s=0.0, k=k: k * (x + t + s)) for k in (1.0, 0.2))
    velocity = guided(conditional, unconditional, 3.0)
    x, a, b = torch.randn(4, 2, dtype=torch.float64), torch.tensor(0.25), torch.tensor(0.75)
    assert isinstance(velocity, AverageVelocity)
    close(velocity(x, a), (0.2 + 3.0 * 0.8) * (x + 0.25), 1e-12)
    close(velocity.average(x, a, b), (0.2 + 3.0 * 0.8) * (x + 0.75), 1e-12)
    assert not isinstance(guided(conditional, lambda x, t: x, 3.0), AverageVelocity)


def test_guidance_of_weight_one_is_the_conditional_velocity_at_one_call():
    def never(x, t):
        raise AssertionError("the unconditional velocity was called")

    law = gaussian(1.0, 0.5)
    assert guided(law.velocity, never, 1.0) == law.velocity


def test_the_oracle_draws_what_it_says():
    law = Mixture(
        torch.tensor([0.25, 0.75], dtype=torch.float64),
        torch.tensor([[0.0], [4.0]], dtype=torch.float64),
        torch.tensor([0.1, 0.1], dtype=torch.float64),
    )
    x = law.draw(4000, torch.Generator().manual_seed(0))
    assert x.mean().item() == pytest.approx(3.0, abs=0.02)
