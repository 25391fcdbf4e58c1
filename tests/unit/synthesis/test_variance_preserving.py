"""Networks that predict noise, run as flows: the map of math.md section 0, against closed forms."""

import itertools

import diffusers
import numpy as np
import pytest
import torch

from synthesis.samplers.euler import euler
from synthesis.samplers.heun import heun
from synthesis.variance_preserving import NoiseSchedule, alpha_bar, scale, velocity_from_prediction
from tests.unit.synthesis.oracles import gaussian, printed_mixture

DOUBLE = torch.float64
SD = NoiseSchedule.of()


def test_stable_diffusion_starts_at_the_printed_time():
    assert np.sqrt(SD.alpha_bars[-1]) == pytest.approx(0.06826, abs=5e-6)
    assert SD.alpha_bars[-1] == pytest.approx(0.0046601, abs=5e-8)
    assert SD.start == pytest.approx(0.0640, abs=5e-5)


@pytest.mark.parametrize("kind", ["linear", "scaled_linear"])
def test_the_schedules_are_those_of_diffusers(kind):
    config = diffusers.DDIMScheduler(beta_start=0.0015, beta_end=0.0195, beta_schedule=kind).config
    theirs = diffusers.DDIMScheduler.from_config(config).alphas_cumprod
    np.testing.assert_allclose(NoiseSchedule.from_config(config).alpha_bars, theirs, rtol=1e-4)


def test_trained_betas_are_taken_as_they_are():
    betas = np.linspace(0.001, 0.02, 20)
    config = diffusers.DDIMScheduler(num_train_timesteps=20, trained_betas=betas.tolist()).config
    np.testing.assert_allclose(NoiseSchedule.from_config(config).alpha_bars, np.cumprod(1 - betas))


@pytest.mark.parametrize(
    "changes", [{"beta_schedule": "squaredcos_cap_v2"}, {"rescale_betas_zero_snr": True}]
)
def test_schedules_that_are_not_known_are_refused(changes):
    with pytest.raises(ValueError, match=r"kind|terminal SNR"):
        NoiseSchedule.from_config(diffusers.DDIMScheduler(**changes).config)


def test_times_and_training_steps_are_inverse():
    for step in (0, 1, 499, 998, 999):
        t = float(SD.times[step])
        assert alpha_bar(t) == pytest.approx(SD.alpha_bars[step], rel=1e-12)
        assert SD.index(t) == step
    assert SD.index(0.0) == 999
    assert SD.index(1.0) == 0
    assert 499 < SD.index(float(SD.times[499:501].mean())) < 500


@pytest.mark.parametrize("spacing", ["uniform", "trailing", "leading"])
@pytest.mark.parametrize("steps", [1, 2, 4, 30, 50, 1000])
def test_grids_rise_from_the_start_to_one(spacing, steps):
    grid = SD.grid(steps, spacing)
    assert len(grid) == steps + 1
    assert grid[-1] == 1.0
    assert all(a < b for a, b in itertools.pairwise(grid))
    assert grid[0] >= SD.start
    if spacing != "leading":
        assert grid[0] == SD.start


@pytest.mark.parametrize(
    ("spacing", "steps"), [("trailing", 7), ("trailing", 30), ("leading", 30), ("leading", 50)]
)
def test_spaced_training_steps_are_those_of_diffusers(spacing, steps):
    theirs = diffusers.DDIMScheduler(timestep_spacing=spacing, steps_offset=1)
    theirs.set_timesteps(steps)
    assert [SD.index(t) for t in SD.grid(steps, spacing)[:-1]] == theirs.timesteps.tolist()


def test_bad_grids_are_named():
    with pytest.raises(ValueError, match="steps"):
        SD.grid(0)
    with pytest.raises(ValueError, match="spacing"):
        SD.grid(4, "karras")


@pytest.mark.parametrize("t", [0.064, 0.3, 0.9])
def test_every_prediction_gives_the_same_velocity(t):
    """Optimal outputs of the printed mixture: noise mean, data mean, and their rotation."""
    law = printed_mixture()
    x = torch.randn((9, 2), dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    time = torch.tensor(t, dtype=DOUBLE)
    v = law.velocity(x, time)
    data = law.posterior_mean(x, time)
    noise = (x - t * data) / (1 - t)
    root, rest = alpha_bar(t) ** 0.5, (1 - alpha_bar(t)) ** 0.5
    outputs = {"epsilon": noise, "sample": data, "v_prediction": root * noise - rest * data}
    for prediction, output in outputs.items():
        found = velocity_from_prediction(x, output, t, prediction)
        torch.testing.assert_close(found, v, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_a_batch_may_have_a_time_each(prediction):
    drawn = torch.Generator().manual_seed(0)
    x, output = (torch.randn((3, 2, 4), dtype=DOUBLE, generator=drawn) for _ in range(2))
    times = torch.tensor([0.064, 0.3, 0.9], dtype=DOUBLE)
    found = velocity_from_prediction(x, output, times, prediction)
    for i, t in enumerate(times.tolist()):
        alone = velocity_from_prediction(x[i], output[i], t, prediction)
        torch.testing.assert_close(found[i], alone, rtol=1e-12, atol=1e-12)
    assert SD.steps_at(times).tolist() == pytest.approx([SD.index(t) for t in times.tolist()], abs=1e-3)
    with pytest.raises(ValueError, match="prediction"):
        velocity_from_prediction(x, output, torch.tensor([0.0, 0.5, 1.0], dtype=DOUBLE), "epsilon")


def test_outputs_that_say_nothing_of_the_velocity_are_refused():
    x = torch.zeros(1, 1)
    for t, prediction in ((0.0, "epsilon"), (1.0, "sample"), (0.5, "score")):
        with pytest.raises(ValueError, match="prediction"):
            velocity_from_prediction(x, x, t, prediction)


def noise_predictor(law):
    """The optimal noise prediction for the VP state y at a (fractional) training step."""

    def predict(y, step):
        low = int(np.floor(float(step)))
        share = float(step) - low
        high = min(low + 1, len(SD.times) - 1)
        t = (1 - share) * SD.times[low] + share * SD.times[high]
        x = y * scale(t)
        return x - t * law.velocity(x, torch.tensor(t, dtype=DOUBLE))

    return predict


def test_a_noise_predictor_is_the_velocity_of_its_law():
    law = printed_mixture()
    velocity = SD.velocity(noise_predictor(law))
    x = torch.randn((9, 2), dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    for t in (SD.start, 0.1, 0.37, 0.9):
        time = torch.tensor(t, dtype=DOUBLE)
        torch.testing.assert_close(velocity(x, time), law.velocity(x, time), rtol=0, atol=2e-5)


def test_a_noise_predictor_run_as_a_flow_follows_the_flow_map():
    """From x at t = .0640 to 1: x_1 = m + (x - a m) c / sqrt(S_a) (math.md 2).

    After t = .9717, its least noise, the network answers for that noise: an error of about 1e-3.
    """
    mean, std, a = 0.7, 0.5, SD.start
    velocity = SD.velocity(noise_predictor(gaussian(mean, std)))
    x = SD.first_state(torch.tensor([[-1.0], [0.0], [1.5]], dtype=DOUBLE))
    expected = mean + (x - a * mean) * std / ((1 - a) ** 2 + a**2 * std**2) ** 0.5
    torch.testing.assert_close(heun(velocity, x, SD.grid(200)), expected, rtol=0, atol=2e-3)
    assert (euler(velocity, x, SD.grid(200)) - expected).abs().max() < 0.02


def test_the_first_state_has_the_spread_that_the_network_was_used_with():
    y = torch.ones(2, 3)
    torch.testing.assert_close(SD.first_state(y), y * scale(SD.start))
    torch.testing.assert_close(SD.first_state(y, 0.5), y * 0.5**0.5)


def test_alpha_bars_must_fall():
    with pytest.raises(ValueError, match="alpha_bars"):
        NoiseSchedule(np.array([0.5, 0.9]))
