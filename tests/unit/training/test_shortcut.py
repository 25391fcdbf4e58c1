"""Shortcut distillation against the Gaussian flow map and a mixture (math.md sections 2 and 7)."""

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from synthesis.checkpoints import learned_grid, load_model, shifted_grid
from synthesis.errors import SynthesisError
from synthesis.paths import interpolate, time_like
from synthesis.samplers.shortcut import shortcut as sample
from synthesis.stepping import SpanVelocity
from tests.factories_models import TINY, tiny_model
from training.data import Batch
from training.ema import PowerEma
from training.export import export
from training.objectives.shortcut import (
    Steps,
    balance,
    coarse_error,
    draw_steps,
    halves_target,
    midpoint_target,
    shortcut,
)
from training.recipe import ShortcutSettings, load_recipe, recipe_from
from training.run_state import RunState
from training.train import CHECKPOINT, begin_from, train

MEAN, STD = 0.7, 0.15
SETTINGS = ShortcutSettings(segments=8, shift=0.35, flow_share=0.25, time_start=0.15, region_weights={})


class NoCondition(NamedTuple):
    planes: Tensor
    attributes: Tensor


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian_average(x: Tensor, t: Tensor, *rest: Tensor) -> Tensor:
    """u of N(MEAN, STD^2) in closed form: x_b = b m + sqrt(S_b / S_a) (x_a - a m); the velocity at span 0."""
    a, span = time_like(t, x), time_like(rest[-1], x)
    b = a + span
    variance_a, variance_b = ((1 - s) ** 2 + s**2 * STD**2 for s in (a, b))
    x_b = b * MEAN + (variance_b / variance_a).sqrt() * (x - a * MEAN)
    v = MEAN + ((a * STD**2 - (1 - a)) / variance_a) * (x - a * MEAN)
    return torch.where(span == 0, v, (x_b - x) / span.clamp(min=1e-12))


def gaussian_batch(count, generator):
    images = MEAN + STD * torch.randn(count, 1, 4, 4, dtype=torch.float64, generator=generator)
    return batch_of(images)


def batch_of(images):
    count = images.shape[0]
    condition = NoCondition(torch.zeros(count, 1), torch.zeros(count, 1))
    return Batch(images, condition, torch.zeros(count, *images.shape[2:], dtype=torch.long))


def long_steps(count=400):
    steps = draw_steps(count, SETTINGS, seeded())
    keep = ~steps.finest
    return Steps(*(part[keep].double() if part.is_floating_point() else part[keep] for part in steps))


# The target.


def test_the_exact_average_velocity_is_its_own_target():
    steps = long_steps()
    x = torch.randn(len(steps.start), 1, 3, 3, dtype=torch.float64, generator=seeded())
    expected = gaussian_average(x, steps.start, steps.end - steps.start)
    torch.testing.assert_close(halves_target(gaussian_average, x, steps), expected, rtol=0, atol=1e-9)


def test_a_wrong_average_velocity_is_not():
    """The test above can fail: Euler's average, the velocity, breaks the identity."""
    steps = long_steps()
    x = torch.randn(len(steps.start), 1, 3, 3, dtype=torch.float64, generator=seeded())

    def velocity(x, t, span):
        return gaussian_average(x, t, torch.zeros_like(span))

    assert (halves_target(velocity, x, steps) - velocity(x, steps.start, steps.end)).abs().max() > 0.1


def test_finest_targets_are_the_midpoint_rule():
    """Midpoint steps over the whole grid keep the spread of a Gaussian to 1 %, for stds .05 to 1."""
    grid = shifted_grid(SETTINGS.segments, SETTINGS.shift)
    for std in (0.05, 0.15, 0.5, 1.0):
        x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)

        def velocity(x, t, std=std):
            t = time_like(t, x)
            variance = (1 - t) ** 2 + t**2 * std**2
            return MEAN + ((t * std**2 - (1 - t)) / variance) * (x - t * MEAN)

        for a, b in pairwise(grid):
            part = [torch.full((2,), s, dtype=torch.float64) for s in (a, (a + b) / 2, b)]
            x = x + (b - a) * midpoint_target(velocity, x, Steps(*part, torch.ones(2, dtype=torch.bool)))
        assert float(x[1] - x[0]) == pytest.approx(std, rel=0.015)


def test_steps_start_at_multiples_of_their_length_and_every_length_comes_equally_often():
    steps = draw_steps(8000, SETTINGS, seeded())
    grid = torch.tensor(shifted_grid(SETTINGS.segments, SETTINGS.shift))
    start, end = (torch.cdist(part[:, None], grid[:, None]).argmin(1) for part in (steps.start, steps.end))
    length = end - start
    assert set(length.tolist()) == {1, 2, 4, 8}
    assert (start % length == 0).all()
    assert torch.equal(steps.finest, length == 1)
    for value in (1, 2, 4, 8):
        assert float((length == value).float().mean()) == pytest.approx(0.25, abs=0.02)
    halves = (start + end) // 2
    assert torch.equal(steps.middle[~steps.finest], grid[halves[~steps.finest]])
    assert (steps.start < steps.middle).all()
    assert (steps.middle < steps.end).all()


@pytest.mark.parametrize("values", [{"segments": 6}, {"segments": 0}, {"flow_share": 1.0}])
def test_settings_that_mean_nothing_are_refused(values):
    with pytest.raises(ValueError, match="expected"):
        ShortcutSettings(**values)


def test_a_recipe_chooses_its_settings_by_the_name_of_its_objective():
    recipe = load_recipe("abdomen-2d-fast")
    assert isinstance(recipe.objective, ShortcutSettings)
    assert not isinstance(load_recipe("abdomen-2d").objective, ShortcutSettings)
    with pytest.raises(ValueError, match="magic"):
        recipe_from({"objective": {"name": "magic"}})


# The loss.


class Exact(nn.Module):
    def __init__(self, shift=0.0):
        super().__init__()
        self.shift = shift

    def forward(self, x, t, planes, attributes, span=None):
        span = torch.zeros_like(t) if span is None else span.to(x.dtype)
        return gaussian_average(x, t, span) + self.shift


def shortcut_part(network, count=400):
    """The loss on long steps alone: of a batch whose flow items answer with exactly their own target."""
    settings = replace(SETTINGS, flow_share=1e-9)
    return shortcut(network, gaussian_batch(count, seeded()), settings, seeded(1), RunState(average=Exact()))


def test_the_loss_is_nothing_for_the_exact_average_velocity():
    """But for the finest steps, where the midpoint rule is off by its own small error."""
    assert float(shortcut_part(Exact())) < 2e-4
    assert float(shortcut_part(Exact(0.1))) == pytest.approx(0.01, rel=0.2)


def test_no_gradient_reaches_the_teacher():
    teacher = Pixelwise()
    student = Pixelwise()
    loss = shortcut(student, batch_of(torch.randn(8, 1, 4, 4)), SETTINGS, seeded(), RunState(average=teacher))
    loss.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in student.parameters())


def test_plain_items_learn_the_flow():
    """With a batch of plain items only, the loss is the flow's: exact u leaves the posterior's variance."""
    settings = replace(SETTINGS, flow_share=0.999, time_uniform=1.0, time_start=0.0)
    batch = gaussian_batch(400, seeded())
    loss = float(shortcut(Exact(), batch, settings, seeded(1), RunState(average=Exact())))
    t = torch.linspace(0, 1, 2001, dtype=torch.float64)
    expected = (STD**2 / ((1 - t) ** 2 + t**2 * STD**2)).mean()  # Var[x_1 - n | x_t] of a Gaussian
    assert loss == pytest.approx(float(expected), rel=0.1)


def test_the_coarse_error_sees_long_waves_alone():
    """Errors that cancel within each cell count nothing, a constant one counts whole."""
    ones = torch.ones(1, 1, 8, 8)
    waves = ones * torch.tensor([1.0, -1.0]).repeat(4)
    assert float(coarse_error(waves, ones)) == pytest.approx(0, abs=1e-12)
    assert float(coarse_error(0.5 * ones, 1 + torch.rand(1, 1, 8, 8))) == pytest.approx(0.25)
    half = torch.cat([ones[..., :4], 0 * ones[..., 4:]], -1)  # an error in the left cells, which weigh 3
    assert float(coarse_error(half, 1 + 2 * half)) == pytest.approx(0.75)


def test_balanced_items_pull_alike_however_far_off_they_are():
    errors = torch.tensor([0.01, 1.0], requires_grad=True)
    balance(errors, floor=0.0).backward()
    torch.testing.assert_close(errors.grad * errors.detach(), torch.tensor([0.5, 0.5]))
    assert float(balance(torch.zeros(2))) == 0
    with pytest.raises(ValueError, match="from_origin"):
        replace(SETTINGS, balanced=True)


def test_balanced_or_not_the_exact_answer_costs_nothing():
    settings = replace(SETTINGS, from_origin=True, balanced=True, coarse=5.0)
    state = RunState(average=Exact(), origin=Exact())
    found = [
        float(shortcut(Exact(shift), gaussian_batch(64, seeded()), settings, seeded(1), state))
        for shift in (0.0, 0.1)
    ]
    assert found[0] < 0.2
    assert found[1] == pytest.approx(1, abs=0.1)  # every item counts 1, but for the floor


def test_the_coarse_error_leaves_the_best_constant_at_the_mean():
    target = torch.randn(64, 1, 8, 8, dtype=torch.float64, generator=seeded())
    constant = torch.zeros(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    error = constant + target.mean(0, keepdim=True) - target
    coarse_error(error, torch.ones_like(error)).backward()
    assert constant.grad.abs().max() < 1e-12


def test_with_an_origin_the_velocity_and_the_finest_steps_learn_from_it_without_noise():
    """Exact teachers: what is left is the midpoint rule's own error, and the data's noise is gone."""
    settings = replace(SETTINGS, flow_share=0.5)
    batch = gaussian_batch(400, seeded())
    exact = [shortcut(Exact(), batch, settings, seeded(1), RunState(average=Exact(), origin=Exact()))]
    noisy = shortcut(Exact(), batch, settings, seeded(1), RunState(average=Exact()))
    assert float(exact[0]) < 2e-4 < 0.01 < float(noisy)
    away = shortcut(Exact(), batch, settings, seeded(1), RunState(average=Exact(), origin=Exact(0.1)))
    assert 0.004 < float(away) < 0.01  # the plain half and the finest quarter of the rest are off by 0.1


# Learning it.


class Pixelwise(nn.Module):
    """u of one pixel from its value, time and span: enough for data whose pixels are independent."""

    def __init__(self, width=64):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(29, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
        )

    def forward(self, x, t, planes, attributes, span=None):
        span = torch.zeros_like(t) if span is None else span
        t, span = (time_like(s.expand(x.shape[0]), x).expand_as(x) for s in (t, span))
        waves = [f(2.0**k * s) for k in range(6) for f in (torch.sin, torch.cos) for s in (t, span)]
        features = torch.stack([x, t, span, x * t, x * span, *waves], -1)
        return self.layers(features)[..., 0]


@pytest.mark.parametrize(("means", "std"), [((0.7, 0.7), 0.15), ((-1.0, 1.0), 0.3)])
def test_one_and_two_steps_learn_the_spread_that_euler_loses(means, std):
    """Pixels of a Gaussian and of a mixture; the first step of Euler would return their mean."""
    torch.manual_seed(0)
    network = Pixelwise()
    ema = PowerEma(network, exponent=10.0)
    optimiser = torch.optim.Adam(network.parameters(), lr=4e-3)
    generator = seeded()
    steps = 1200
    for step in range(steps):
        which = torch.rand(32, 1, 6, 6, generator=generator) < 0.5
        images = torch.where(which, *means) + std * torch.randn(which.shape, generator=generator)
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * (1 - step / steps)
        loss = shortcut(network, batch_of(images), SETTINGS, generator, RunState(average=ema.network))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        ema.update(network, step + 1)
    none = NoCondition(torch.zeros(1), torch.zeros(1))
    velocity = SpanVelocity(lambda x, t, *span: ema.network(x, t.expand(len(x)), *none, *span))
    x_0 = torch.randn(4000, 1, 1, 1, generator=seeded(5))
    true = (torch.tensor(means).var(correction=0) + std**2).sqrt().item()
    with torch.no_grad():
        for calls in (1, 2, 4):
            made = sample(velocity, x_0, learned_grid(calls, segments=8, shift=0.35))
            assert float(made.std()) == pytest.approx(true, rel=0.15), calls
        euler = sample(lambda x, t: velocity(x, t), x_0, [0.0, 1.0])
    assert float(euler.std()) < 0.3 * true


# From recipe to model.


def test_a_shortcut_model_starts_as_the_flow_it_was_and_ships_its_steps(
    small_recipe, phantom_folder, tmp_path
):
    folder = tiny_model(tmp_path / "old")
    recipe = replace(
        small_recipe,
        steps=3,
        init_from=str(folder),
        backbone=replace(TINY, spans=True),
        objective=ShortcutSettings(from_origin=True),
    )
    train(recipe, phantom_folder, tmp_path / "run")
    assert torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["step"] == 3
    export(recipe, tmp_path / "run", phantom_folder, tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.recipe["method"] == "shortcut"
    assert model.network.options.spans
    assert model.times(2, "CT", "shortcut") == learned_grid(2, segments=8, shift=0.35)
    assert model.times(2, "CT") == [0.0, 0.5, 1.0]
    with pytest.raises(SynthesisError, match="1 to 8 steps"):
        model.times(9, "CT", "shortcut")


def test_weights_that_do_not_fit_are_named(tmp_path):
    folder = tiny_model(tmp_path / "old")
    with pytest.raises(ValueError, match="does not fit") as refused:
        begin_from(nn.ModuleDict({"embed_span": nn.Linear(1, 1)}), folder)
    assert "conv_in.weight" in str(refused.value)
    assert "embed_span" not in str(refused.value)


def test_chains_of_any_number_of_steps_consist_of_learned_steps():
    grid = shifted_grid(8, 0.35)
    for calls in range(1, 9):
        times = learned_grid(calls, segments=8, shift=0.35)
        places = [grid.index(t) for t in times]
        assert len(times) == calls + 1
        assert (places[0], places[-1]) == (0, 8)
        for start, end in pairwise(places):
            assert (end - start) in (1, 2, 4, 8)
            assert start % (end - start) == 0


def test_the_path_of_the_oracle_is_the_convention():
    """x_t of Gaussian data has the variance the closed form uses."""
    n, x_1 = (torch.randn(200_000, dtype=torch.float64, generator=seeded(s)) for s in (1, 2))
    x_t = interpolate(n, MEAN + STD * x_1, 0.6)
    assert float(x_t.var()) == pytest.approx(0.16 + 0.36 * STD**2, rel=0.02)
