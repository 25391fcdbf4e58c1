"""The samplers that are there to be compared with: DDIM, DPM-Solver++, UniPC, and one step."""

import itertools
from math import exp, expm1, log

import diffusers
import pytest
import torch

from synthesis.catalog import SAMPLERS
from synthesis.samplers.ddim import Options as DdimOptions
from synthesis.samplers.ddim import ddim
from synthesis.samplers.dpmpp import Options as DpmppOptions
from synthesis.samplers.dpmpp import dpmpp
from synthesis.samplers.euler import euler
from synthesis.samplers.one_step import one_step, one_step_literal
from synthesis.samplers.unipc import Options as UnipcOptions
from synthesis.samplers.unipc import unipc
from synthesis.samplers.victr_literal import WEIGHTS, victr_literal
from synthesis.samplers.victr_literal import Options as LiteralOptions
from synthesis.stepping import uniform_times
from synthesis.variance_preserving import NoiseSchedule, alpha_bar, scale
from tests.unit.synthesis.oracles import gaussian, printed_mixture, random_mixture, sliced_w2

DOUBLE = torch.float64


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def starts(count, width=2, seed=2):
    return torch.randn((count, width), dtype=DOUBLE, generator=seeded(seed))


# DDIM.


@pytest.mark.parametrize("steps", [1, 4, 30])
def test_ddim_without_noise_is_euler(steps):
    law, x_0 = printed_mixture(), starts(64)
    ours, straight = (s(law.velocity, x_0, uniform_times(steps)) for s in (ddim, euler))
    torch.testing.assert_close(ours, straight, rtol=0, atol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [2, 10, 50])
def test_ddim_is_the_ddim_of_diffusers_on_the_same_training_steps(steps, eta):
    """Their states y, ours x = y sqrt(t^2 + (1-t)^2): same network, same noise, same end."""
    law, schedule = printed_mixture(), NoiseSchedule.of()
    theirs = diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
    )
    theirs.set_timesteps(steps)
    assert [schedule.index(t) for t in schedule.grid(steps, "trailing")[:-1]] == theirs.timesteps.tolist()

    def predict(y, step):
        t = torch.tensor(schedule.times[int(step)], dtype=DOUBLE)
        x = y * scale(float(t))
        return x - t * law.velocity(x, t)

    y = starts(16)
    x_1 = ddim(
        schedule.velocity(predict),
        schedule.first_state(y),
        schedule.grid(steps, "trailing"),
        options=DdimOptions(eta=eta),
        generator=seeded(5),
    )
    noise = seeded(5)
    for step in theirs.timesteps:
        z = torch.randn(y.shape, dtype=DOUBLE, generator=noise)
        y = theirs.step(predict(y, step), step, y, eta=eta, variance_noise=z, return_dict=False)[0]
    torch.testing.assert_close(x_1, y, rtol=0, atol=3e-5)  # their alpha_bar is in float32


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_ddim_with_noise_keeps_the_spread_of_a_gaussian(eta):
    law = gaussian(0.7, 0.5)
    end = ddim(
        law.velocity,
        starts(40_000, 1),
        uniform_times(200),
        options=DdimOptions(eta=eta),
        generator=seeded(3),
    )
    assert end.mean().item() == pytest.approx(0.7, abs=0.02)
    assert end.std().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan")])
def test_ddim_refuses_an_eta_that_is_no_share(eta):
    with pytest.raises(ValueError, match="eta"):
        DdimOptions(eta=eta)


# DPM-Solver++ and UniPC.


@pytest.mark.parametrize("steps", [1, 3, 4, 30])
def test_dpmpp_of_first_order_is_euler(steps):
    """x' = (1-b)/(1-a) x + (b-a)/(1-a) x1_hat is x + (b-a) v written with x1_hat."""
    law, x_0 = printed_mixture(), starts(64)
    first = dpmpp(law.velocity, x_0, uniform_times(steps), options=DpmppOptions(order=1))
    torch.testing.assert_close(first, euler(law.velocity, x_0, uniform_times(steps)), rtol=0, atol=2e-5)


def test_dpmpp_of_second_order_written_out_by_hand():
    """2M on an uneven grid from a later start, from the formulas of Lu et al. 2022, algorithm 2."""
    law, x = printed_mixture(), starts(8)
    times = [0.1, 0.35, 0.6, 0.8, 1.0]
    half_log_snr = [log(t / (1 - t)) for t in times[:-1]]
    before = None
    y = x
    for i, (a, b) in enumerate(itertools.pairwise(times)):
        t = torch.tensor(a, dtype=DOUBLE)
        estimate = y + (1 - a) * law.velocity(y, t)
        if b == 1:
            y = estimate
            break
        h = half_log_snr[i + 1] - half_log_snr[i]
        mixed = estimate
        if before is not None:
            r = (half_log_snr[i] - half_log_snr[i - 1]) / h
            mixed = (1 + 1 / (2 * r)) * estimate - 1 / (2 * r) * before
        y = (1 - b) / (1 - a) * y - b * expm1(-h) * mixed
        before = estimate
    torch.testing.assert_close(dpmpp(law.velocity, x, times), y, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("sampler", "options"), [(dpmpp, DpmppOptions()), (unipc, UnipcOptions())])
def test_higher_orders_reach_the_flow_map_as_the_square_of_the_step(sampler, options):
    """On a Gaussian the flow map takes 1 to 1.2 (math.md 2)."""
    law = gaussian(0.7, 0.5)
    x_0 = torch.ones((1, 1), dtype=DOUBLE)
    errors = [
        abs(sampler(law.velocity, x_0, uniform_times(n), options=options).item() - 1.2) for n in (40, 160)
    ]
    straight = abs(euler(law.velocity, x_0, uniform_times(40)).item() - 1.2)
    assert errors[0] < straight / 5
    assert errors[0] / errors[1] > 8


@pytest.mark.parametrize("steps", [3, 8])
def test_unipc_without_its_corrector_is_dpmpp(monkeypatch, steps):
    """UniP-2 with B(h) = exp(h) - 1 is the multistep formula of DPM-Solver++ (Zhao et al. 2023)."""
    law, x_0 = printed_mixture(), starts(16)
    corrected = unipc(law.velocity, x_0, uniform_times(steps))
    monkeypatch.setattr(
        diffusers.UniPCMultistepScheduler,
        "multistep_uni_c_bh_update",
        lambda self, this_model_output, last_sample, this_sample, order: this_sample,
    )
    plain = unipc(law.velocity, x_0, uniform_times(steps))
    torch.testing.assert_close(plain, dpmpp(law.velocity, x_0, uniform_times(steps)), rtol=0, atol=2e-5)
    assert (corrected - plain).abs().max() > 1e-3


@pytest.mark.parametrize("sampler", [dpmpp, unipc])
def test_the_network_sees_the_grid_that_was_asked_for(sampler):
    """Also at few steps, where diffusers' own grid starts late and rounds to whole timesteps."""
    seen = []

    def velocity(x, t):
        seen.append(float(t))
        return -x

    times = [0.0, 0.1234, 0.6, 1.0]
    sampler(velocity, starts(3).float(), times)
    assert seen == pytest.approx(times[:-1], abs=1e-7)


@pytest.mark.parametrize("sampler", [ddim, dpmpp, unipc])
def test_many_steps_reach_the_law(sampler):
    law, count = printed_mixture(), 10_000
    data = law.draw(count, seeded(1))
    assert sliced_w2(sampler(law.velocity, starts(count), uniform_times(200)), data) < 0.06


@pytest.mark.parametrize("options", [DpmppOptions, UnipcOptions])
def test_orders_that_do_not_exist_are_refused(options):
    with pytest.raises(ValueError, match="order"):
        options(order=4)


# One step.


def test_one_step_gives_the_mean_whatever_the_noise():
    law = printed_mixture()
    mean = (law.weights[:, None] * law.means).sum(0)
    end = one_step(law.velocity, starts(5), [0.0, 1.0])
    torch.testing.assert_close(end, mean.expand(5, 2), rtol=0, atol=1e-12)


def test_the_printed_one_step_is_the_mean_less_the_noise():
    law, x_0 = printed_mixture(), starts(5)
    mean = (law.weights[:, None] * law.means).sum(0)
    torch.testing.assert_close(
        one_step_literal(law.velocity, x_0, [0.0, 1.0]), mean - x_0, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("sampler", [one_step, one_step_literal])
def test_one_step_refuses_more(sampler):
    with pytest.raises(ValueError, match="one step, got 2"):
        sampler(printed_mixture().velocity, starts(2), [0.0, 0.5, 1.0])


def test_the_printed_one_step_from_a_later_start_adds_the_scaled_score():
    law, x, t = printed_mixture(), starts(5), torch.tensor(0.3, dtype=DOUBLE)
    expected = law.posterior_mean(x, t) + 0.7**2 * law.score(x, t)
    torch.testing.assert_close(one_step_literal(law.velocity, x, [0.3, 1.0]), expected, rtol=0, atol=1e-12)


def test_alpha_bar_is_the_square_of_the_time_over_the_scale():
    assert alpha_bar(0.0) == 0
    assert alpha_bar(1.0) == 1
    assert alpha_bar(0.3) == pytest.approx(exp(2 * log(0.3 / scale(0.3))))


# The printed formula's strength.


@pytest.mark.parametrize("weight", WEIGHTS)
def test_without_strength_the_printed_formula_is_euler_and_half_of_it_shrinks_half_as_much(weight):
    """std_out = c exp(-strength int lambda / S dt): the logarithm of the factor is linear in strength."""
    law, x_0 = printed_mixture(), starts(8)
    none = LiteralOptions(weight=weight, strength=0.0)
    straight = euler(law.velocity, x_0, uniform_times(5))
    assert torch.equal(victr_literal(law.velocity, x_0, uniform_times(5), options=none), straight)
    law, ends = gaussian(0.7, 1.0), torch.tensor([[0.0], [1.0]], dtype=DOUBLE)
    factors = []
    for strength in (0.5, 1.0):
        options = LiteralOptions(weight=weight, strength=strength)
        low, high = victr_literal(law.velocity, ends, uniform_times(4000), options=options)
        factors.append((high - low).item())
    assert factors[0] == pytest.approx(factors[1] ** 0.5, abs=2e-3)


@pytest.mark.parametrize("values", [{"weight": "cosine"}, {"strength": -1.0}, {"strength": float("nan")}])
def test_the_printed_formula_refuses_options_that_mean_nothing(values):
    with pytest.raises(ValueError, match="expected"):
        LiteralOptions(**values)


# All of them on mixtures, by sliced W2 of 8000 draws (floor about .02).

PRINTED = {  # math.md 3, two dimensions
    3: {"euler": 0.392, "flow": 0.173, "rft": 0.130, "victr_literal": 0.906},
    4: {"euler": 0.299, "flow": 0.106, "rft": 0.082, "victr_literal": 0.676},
}


def distance(law, sampler, steps, **options):
    entry = SAMPLERS[sampler]
    x_0 = torch.randn((8000, law.means.shape[1]), dtype=DOUBLE, generator=seeded(2))
    chosen = entry.load_options()(**options)
    end = entry.load()(law.velocity, x_0, uniform_times(steps), options=chosen, generator=seeded(3))
    return sliced_w2(end, law.draw(8000, seeded(1)))


@pytest.mark.parametrize("steps", [3, 4])
def test_the_printed_distances_on_the_printed_mixture(steps):
    found = {name: distance(printed_mixture(), name, steps) for name in ("euler", "rft", "victr_literal")}
    found["flow"] = distance(printed_mixture(), "rft", steps, kappa=0.0)
    assert found == pytest.approx(PRINTED[steps], abs=0.012)


@pytest.mark.parametrize("law", [printed_mixture(), random_mixture(16), random_mixture(64)])
@pytest.mark.parametrize("steps", [3, 4])
def test_rft_is_nearer_than_the_comparators_at_as_many_calls(law, steps):
    rft = distance(law, "rft", steps)
    for comparator in ("ddim", "dpmpp", "unipc"):
        assert rft < 0.85 * distance(law, comparator, steps)
