"""Each sampler on every catalog line, and against the closed forms of math.md sections 2 and 3."""

from itertools import pairwise
from math import exp

import pytest
import torch

from synthesis.catalog import SAMPLERS
from synthesis.errors import Cancelled
from synthesis.samplers import rft as rft_module
from synthesis.samplers import shortcut as shortcut_module
from synthesis.samplers.euler import euler
from synthesis.samplers.heun import Options as HeunOptions
from synthesis.samplers.heun import heun
from synthesis.samplers.rft import rft
from synthesis.samplers.shortcut import cool, shortcut
from synthesis.samplers.victr_literal import Options as LiteralOptions
from synthesis.samplers.victr_literal import victr_literal
from synthesis.stepping import SpanVelocity, intervals, noise_like, uniform_times
from tests.unit.synthesis.oracles import gaussian, printed_mixture, random_mixture, sliced_w2

EXACT = [name for name in SAMPLERS if not name.endswith("literal")]
SINGLE_PRECISION = ("dpmpp", "unipc")  # diffusers keeps its coefficients in float32


def ones(x, t):
    return torch.ones_like(x)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def grid(name, steps):
    """`steps` even steps, or the one number of steps that the sampler takes."""
    return uniform_times(SAMPLERS[name].steps or steps)


# The shelf: what every sampler owes its callers.


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_keeps_shape_and_dtype(name, dtype):
    x_0 = torch.randn(2, 1, 4, 6).to(dtype)
    x_1 = SAMPLERS[name].load()(lambda x, t: -0.5 * x, x_0, torch.tensor(grid(name, 4)))
    assert x_1.shape == x_0.shape
    assert x_1.dtype == dtype
    assert torch.isfinite(x_1).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_leaves_its_input_alone(name):
    x_0 = torch.randn(2, 3)
    before = x_0.clone()
    SAMPLERS[name].load()(ones, x_0, grid(name, 2))
    assert torch.equal(x_0, before)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("steps", [1, 4, 30])
def test_is_exact_on_a_constant_velocity_where_data_are_one_point(name, steps):
    """Data at x_0 + 1: the velocity is 1 along the path, and all displacements sum to 1."""
    options = SAMPLERS[name].load_options()
    chosen = options(kappa=0.0) if name == "rft" else options()
    x_0 = torch.randn((3, 2), dtype=torch.float64, generator=seeded(0))
    x_1 = SAMPLERS[name].load()(ones, x_0, grid(name, steps), options=chosen)
    tolerance = 5e-6 if name in SINGLE_PRECISION else 1e-12
    torch.testing.assert_close(x_1, x_0 + 1, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", SAMPLERS)
def test_reports_once_per_step(name):
    seen = []
    times = grid(name, 5)
    x_1 = SAMPLERS[name].load()(ones, torch.zeros(2, 3), times, on_step=seen.append)
    assert [(s.step, s.steps) for s in seen] == [(k, len(times) - 1) for k in range(1, len(times))]
    assert [s.t for s in seen] == pytest.approx(times[1:])
    assert torch.equal(seen[-1].x, x_1)
    torch.testing.assert_close(seen[0].estimate, torch.ones(2, 3))


@pytest.mark.parametrize("name", SAMPLERS)
def test_stops_within_one_step_when_cancelled(name):
    calls = []

    def velocity(x, t):
        calls.append(float(t))
        return torch.ones_like(x)

    def cancel(step):
        if step.step == min(2, step.steps):
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        SAMPLERS[name].load()(velocity, torch.zeros(1, 2), grid(name, 10), on_step=cancel)
    assert max(calls) < 0.21


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_generator_gives_the_same_pixels(name):
    law = printed_mixture()
    x_0 = torch.randn((4, 2), dtype=torch.float64, generator=seeded(1))
    first, again, other = (
        SAMPLERS[name].load()(law.velocity, x_0, grid(name, 4), generator=seeded(s)) for s in (7, 7, 8)
    )
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name != "rft")


@pytest.mark.parametrize("name", SAMPLERS)
def test_with_one_generator_per_item_the_batch_does_not_matter(name):
    law = printed_mixture()
    x_0 = torch.randn((3, 2), dtype=torch.float64, generator=seeded(1))
    sampler, times = SAMPLERS[name].load(), grid(name, 4)
    together = sampler(law.velocity, x_0, times, generator=[seeded(s) for s in (1, 2, 3)])
    for i in range(3):
        alone = sampler(law.velocity, x_0[i : i + 1], times, generator=[seeded(i + 1)])
        torch.testing.assert_close(alone, together[i : i + 1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(
    "times", [[0.0], [0.0, 0.5], [0.0, 0.7, 0.5, 1.0], [-0.1, 1.0], [0.0, 0.5, 0.5, 1.0]]
)
def test_refuses_times_that_do_not_rise_to_one(name, times):
    with pytest.raises(ValueError, match="times"):
        SAMPLERS[name].load()(ones, torch.zeros(1), times)


@pytest.mark.parametrize("name", SAMPLERS)
def test_refuses_a_velocity_of_another_shape(name):
    with pytest.raises(ValueError, match="velocity"):
        SAMPLERS[name].load()(lambda x, t: x[:1], torch.zeros(2, 3), [0.0, 1.0])


# The grid and the noise.


def test_a_last_time_that_rounding_left_below_one_is_one():
    assert intervals(torch.tensor([0.0, 0.5, 1 - 6e-8]))[-1] == (0.5, 1.0)


def test_noise_needs_one_generator_per_item():
    with pytest.raises(ValueError, match="one per item"):
        noise_like(torch.zeros(3, 2), [seeded(0)])


def test_noise_is_standard_normal():
    z = noise_like(torch.zeros(4, 50_000), [seeded(s) for s in range(4)])
    assert z.std().item() == pytest.approx(1, abs=0.01)
    assert z.mean().item() == pytest.approx(0, abs=0.01)


# Closed forms.


@pytest.mark.parametrize(
    ("std", "expected"),
    [
        (0.5, {1: 0.0, 2: 0.2, 3: 0.29412, 4: 0.34054, 8: 0.41478, 30: 0.47589}),
        (1.0, {1: 0.0, 2: 0.5, 3: 0.64, 4: 0.72, 8: 0.85082, 30: 0.95804}),
    ],
)
def test_euler_output_std_of_a_gaussian(std, expected):
    """The map is linear in x_0, so the spread of its output is its slope (math.md 2)."""
    law = gaussian(0.7, std)
    x_0 = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    for steps, spread in expected.items():
        low, high = euler(law.velocity, x_0, uniform_times(steps))
        assert (high - low).item() == pytest.approx(spread, abs=6e-6)


def test_heun_is_of_second_order():
    law = gaussian(0.7, 0.5)
    x_0 = torch.ones((1, 1), dtype=torch.float64)
    for options in (HeunOptions(), HeunOptions(euler_last=False)):
        errors = [
            abs(heun(law.velocity, x_0, uniform_times(n), options=options).item() - 1.2) for n in (40, 80)
        ]
        assert errors[0] / errors[1] > 3.5


def test_rft_without_noise_and_score_is_of_second_order():
    law = gaussian(0.7, 0.5)
    x_0 = torch.ones((1, 1), dtype=torch.float64)
    options = rft_module.Options(kappa=0.0)
    errors = [abs(rft(law.velocity, x_0, uniform_times(n), options=options).item() - 1.2) for n in (40, 80)]
    assert errors[0] / errors[1] > 3.5


def test_rft_step_written_out_by_hand():
    """Two intervals of unequal width, with drift, against the formula of math.md 3."""
    law = printed_mixture(drift=0.1)
    x = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    z = torch.randn((1, 2), dtype=torch.float64, generator=seeded(4))
    kappa, a, b = 0.7, 0.2, 0.5
    time = torch.tensor(a, dtype=torch.float64)
    v = law.velocity(x, time)
    weight = kappa * ((1 - a) ** 3 - (1 - b) ** 3) / 3
    middle = x + (b - a) * v + weight * law.score(x, time) + (2 * weight) ** 0.5 * z
    v_middle = law.velocity(middle, torch.tensor(b, dtype=torch.float64))
    end = middle + (1 - b) * (v_middle + (1 - b) / (2 * (b - a)) * (v_middle - v))
    options = rft_module.Options(kappa=kappa, drift=0.1)
    result = rft(law.velocity, x, [a, b, 1.0], options=options, generator=seeded(4))
    torch.testing.assert_close(result, end, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 4, 30])
def test_rft_with_kappa_zero_and_order_one_is_euler(steps):
    law = printed_mixture()
    x_0 = torch.randn((64, 2), generator=seeded(0))
    velocity = lambda x, t: law.velocity(x.double(), t.double()).float()  # noqa: E731
    options = rft_module.Options(kappa=0.0, order=1)
    ours = rft(velocity, x_0, uniform_times(steps), options=options)
    assert torch.equal(ours, euler(velocity, x_0, uniform_times(steps)))


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("steps", [1, 4, 30])
def test_rft_with_kappa_zero_and_order_one_is_the_flow_match_euler_of_diffusers(steps, shift):
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=[1 - k / steps for k in range(steps)])
    law = printed_mixture()
    velocity = lambda x, t: law.velocity(x.double(), t.double()).float()  # noqa: E731
    x_0 = torch.randn((64, 2), generator=seeded(0))
    times = [1.0 - float(sigma) for sigma in scheduler.sigmas]
    theirs = x_0
    for index, timestep in enumerate(scheduler.timesteps):
        v = velocity(theirs, torch.tensor(times[index]))
        theirs = scheduler.step(-v, timestep, theirs, return_dict=False)[0]
    ours = rft(velocity, x_0, times, options=rft_module.Options(kappa=0.0, order=1))
    assert torch.equal(ours, theirs)


def dispersion(sampler, law, steps, x_0, **kwargs):
    return sampler(law.velocity, x_0, uniform_times(steps), **kwargs)


@pytest.mark.parametrize(
    ("weight", "std", "factor"),
    [
        ("rectified", 1.0, 0.6065),
        ("sqrt_alpha", 1.0, 0.3427),
        ("variance_preserving", 1.0, 0.4559),
        ("rectified", 0.5, 0.5248),
        ("sqrt_alpha", 0.5, 0.1789),
        ("variance_preserving", 0.5, 0.3509),
    ],
)
def test_the_literal_form_shrinks_a_gaussian_as_printed(weight, std, factor):
    law = gaussian(0.7, std)
    x_0 = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    options = LiteralOptions(weight=weight)
    low, high = victr_literal(law.velocity, x_0, uniform_times(4000), options=options)
    assert (high - low).item() == pytest.approx(std * factor, abs=2e-3)
    if (weight, std) == ("rectified", 1.0):
        assert factor == pytest.approx(exp(-0.5), abs=1e-4)


def test_the_literal_form_at_one_step_is_the_mean_less_the_noise():
    law = printed_mixture()
    x_0 = torch.randn((5, 2), dtype=torch.float64, generator=seeded(0))
    mean = (law.weights[:, None] * law.means).sum(0)
    end = victr_literal(law.velocity, x_0, [0.0, 1.0])
    torch.testing.assert_close(end, mean - x_0, rtol=0, atol=1e-12)


@pytest.mark.parametrize("law", [printed_mixture(), random_mixture(16), random_mixture(64)])
@pytest.mark.parametrize("steps", [3, 4])
def test_the_ranking_on_mixtures_at_few_steps(law, steps):
    """Sliced W2: RFT is nearest, then its flow without noise, then Euler, then the literal form."""
    count, dimensions = 8000, law.means.shape[1]
    data = law.draw(count, seeded(1))
    x_0 = torch.randn((count, dimensions), dtype=torch.float64, generator=seeded(2))
    times = uniform_times(steps)
    flow = rft_module.Options(kappa=0.0)
    distances = [
        sliced_w2(rft(law.velocity, x_0, times, generator=seeded(3)), data),
        sliced_w2(rft(law.velocity, x_0, times, options=flow), data),
        sliced_w2(euler(law.velocity, x_0, times), data),
        sliced_w2(victr_literal(law.velocity, x_0, times), data),
    ]
    assert all(nearer < 0.95 * farther for nearer, farther in pairwise(distances))


def test_many_steps_reach_the_law_with_and_without_noise_and_the_literal_form_does_not():
    """N = 200: ODE and SDE within .06 in sliced W2, the literal form beyond .15 (math.md 3)."""
    law, count, times = printed_mixture(), 10_000, uniform_times(200)
    data = law.draw(count, seeded(1))
    x_0 = torch.randn((count, 2), dtype=torch.float64, generator=seeded(2))
    flow = rft_module.Options(kappa=0.0)
    assert sliced_w2(rft(law.velocity, x_0, times, options=flow), data) < 0.06
    assert sliced_w2(rft(law.velocity, x_0, times, generator=seeded(3)), data) < 0.06
    assert sliced_w2(victr_literal(law.velocity, x_0, times), data) > 0.15


@pytest.mark.parametrize("kappa", [0.3, 1.0, 3.0])
def test_rft_keeps_the_spread_of_a_gaussian_for_any_kappa(kappa):
    law = gaussian(0.7, 0.5)
    x_0 = torch.randn((40_000, 1), dtype=torch.float64, generator=seeded(2))
    options = rft_module.Options(kappa=kappa)
    end = rft(law.velocity, x_0, uniform_times(100), options=options, generator=seeded(3))
    assert end.mean().item() == pytest.approx(0.7, abs=0.02)
    assert end.std().item() == pytest.approx(0.5, abs=0.02)


def test_rft_without_noise_loses_spread():
    law = gaussian(0.7, 0.5)
    x_0 = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    options = rft_module.Options(noise=False)
    low, high = rft(law.velocity, x_0, uniform_times(1000), options=options)
    assert (high - low).item() == pytest.approx(0.5 * 0.5248, abs=2e-3)


def test_rft_by_heun_beats_euler():
    law = gaussian(0.7, 0.5)
    x_0 = torch.ones((1, 1), dtype=torch.float64)
    options = rft_module.Options(kappa=0.0, heun=True)
    end = rft(law.velocity, x_0, uniform_times(20), options=options)
    straight = euler(law.velocity, x_0, uniform_times(20))
    assert abs(end.item() - 1.2) < 0.1 * abs(straight.item() - 1.2)


@pytest.mark.parametrize("values", [{"kappa": -1.0}, {"kappa": float("nan")}, {"order": 3}])
def test_rft_refuses_options_that_mean_nothing(values):
    with pytest.raises(ValueError, match="expected"):
        rft_module.Options(**values)


@pytest.mark.parametrize("times", [[0.0, 1.0], [0.0, 0.74, 1.0], [0.0, 0.3, 0.5, 1.0]])
def test_shortcut_is_exact_on_the_average_velocity_of_a_gaussian(times):
    """x_b = b m + sqrt(S_b / S_a) (x_a - a m): N(.7, .5^2) sends 1 to 1.2 in any number of steps."""

    def average(x, a, span=0.0):
        b = a + span
        variance_a, variance_b = ((1 - s) ** 2 + s**2 * 0.25 for s in (a, b))
        x_b = b * 0.7 + (variance_b / variance_a).sqrt() * (x - a * 0.7)
        return (x_b - x) / span

    x_0 = torch.ones((1, 1), dtype=torch.float64)
    end = shortcut(SpanVelocity(average), x_0, times)
    assert end.item() == pytest.approx(1.2, abs=1e-12)
    calls = []
    shortcut(SpanVelocity(lambda *given: calls.append(given) or given[0]), x_0, times)
    assert len(calls) == len(times) - 1


def test_shortcut_takes_a_plain_velocity_as_its_own_average():
    law = printed_mixture()
    x_0 = torch.randn((64, 2), dtype=torch.float64, generator=seeded(0))
    assert torch.equal(
        shortcut(law.velocity, x_0, uniform_times(4)), euler(law.velocity, x_0, uniform_times(4))
    )


def test_the_temperature_of_shortcut_scales_long_waves_alone():
    """A wave of 16 pixels comes out weaker by the temperature, one of 3 pixels as it was."""
    places = torch.arange(48, dtype=torch.float64)
    long, short = (torch.cos(2 * torch.pi * places / length).expand(1, 1, 48, 48) for length in (16, 3))
    torch.testing.assert_close(cool(long, 0.7), 0.7 * long, rtol=0, atol=0.01)
    torch.testing.assert_close(cool(short, 0.7), short, rtol=0, atol=0.01)
    options = shortcut_module.Options(temperature=0.7)
    end = shortcut(lambda x, t: 0.7 + (0.5 - 1) * x, long + short, [0.0, 1.0], options=options)
    torch.testing.assert_close(end, 0.7 + 0.5 * (0.7 * long + short), rtol=0, atol=0.01)
    assert cool(long, 1.0) is long
    assert cool(long.to(torch.bfloat16), 0.7).dtype == torch.bfloat16
    assert torch.equal(cool(places, 0.5), 0.5 * places)
    with pytest.raises(ValueError, match="above 0"):
        shortcut_module.Options(temperature=0.0)
