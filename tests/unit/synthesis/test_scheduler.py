"""Our samplers inside unmodified pipelines of diffusers, and the scheduler by itself."""

import diffusers
import numpy as np
import pytest
import torch

from synthesis.catalog import SAMPLERS
from synthesis.replay import noise_seeds
from synthesis.scheduler import SemblanceFlowScheduler
from synthesis.variance_preserving import scale
from tests.unit.synthesis.oracles import printed_mixture
from tests.unit.synthesis.tiny_pipelines import (
    FLOWS,
    NAMES,
    SIDE,
    STABLE_DIFFUSION,
    draw,
    pipeline,
    prompt,
)

DOUBLE = torch.float64
NOISY = ("epsilon", "v_prediction", "sample")


def steps_of(sampler, steps=3):
    return SAMPLERS[sampler].steps or steps


def even(steps):
    return np.linspace(1.0, 1 / steps, steps).tolist()


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def pipe(request):
    """The pipeline of a family; its own scheduler comes back afterwards."""
    made = pipeline(request.param)
    own = made.scheduler
    yield made, request.param
    made.scheduler = own


# Inside the five pipelines.


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("pipe", NAMES, indirect=True)
def test_every_sampler_runs_in_every_pipeline_and_the_generator_decides_the_image(pipe, sampler):
    made, family = pipe
    made.scheduler = SemblanceFlowScheduler.like(made.scheduler, sampler)
    first, again, other = (draw(made, family, steps_of(sampler), seed) for seed in (5, 5, 6))
    assert torch.isfinite(first).all()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("pipe", NAMES, indirect=True)
def test_a_saved_pipeline_comes_back_with_its_scheduler_and_makes_the_same_pixels(pipe, tmp_path):
    made, family = pipe
    made.scheduler = SemblanceFlowScheduler.like(made.scheduler, "rft", {"kappa": 0.3, "order": 1})
    before = draw(made, family, output_type="np")
    made.save_pretrained(tmp_path)
    absent = {name: None for name, part in made.components.items() if part is None}
    back = type(made).from_pretrained(tmp_path, **absent)
    back.set_progress_bar_config(disable=True)
    for part in (back.vae, getattr(back, "unet", None) or back.transformer):
        for weight in part.parameters():  # mapped from the file they lie otherwise: Flux moves by 4e-7
            weight.data = weight.data.clone()
    assert type(back.scheduler) is SemblanceFlowScheduler
    assert back.scheduler.config["options"] == {"kappa": 0.3, "order": 1}
    assert np.array_equal(before, draw(back, family, output_type="np"))


@pytest.mark.parametrize("steps", [1, 4, 7])
@pytest.mark.parametrize("pipe", FLOWS, indirect=True)
def test_without_correction_it_is_flow_match_euler_to_the_bit(pipe, steps):
    """Same sigmas, kappa = 0 and order 1 (math.md 3, iii): static shift in SD3, dynamic in Flux."""
    made, family = pipe
    theirs = draw(made, family, steps, sigmas=even(steps))
    made.scheduler = SemblanceFlowScheduler.like(made.scheduler, "rft", {"kappa": 0.0, "order": 1})
    assert torch.equal(draw(made, family, steps, sigmas=even(steps)), theirs)
    assert torch.equal(draw(made, family, steps), theirs)


@pytest.mark.parametrize("pipe", ["sd", "sdxl", "pixart"], indirect=True)
def test_networks_that_predict_noise_are_sampled_as_by_ddim(pipe):
    made, family = pipe
    made.scheduler = diffusers.DDIMScheduler(
        **STABLE_DIFFUSION, clip_sample=False, timestep_spacing="trailing", set_alpha_to_one=True
    )
    theirs = draw(made, family, 5)
    made.scheduler = SemblanceFlowScheduler(**STABLE_DIFFUSION, sampler="ddim", spacing="trailing")
    torch.testing.assert_close(draw(made, family, 5), theirs, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("sampler", ["euler", "heun", "rft"])
@pytest.mark.parametrize("pipe", ["sd", "sd3"], indirect=True)
def test_image_to_image_starts_part_of_the_way(pipe, sampler):
    made, family = pipe
    kind = {
        "sd": diffusers.StableDiffusionImg2ImgPipeline,
        "sd3": diffusers.StableDiffusion3Img2ImgPipeline,
    }[family]
    scheduler = SemblanceFlowScheduler.like(made.scheduler, sampler)
    absent = {"image_encoder": None} if family == "sd3" else {}
    other = kind(**made.components | {"scheduler": scheduler} | absent)
    other.set_progress_bar_config(disable=True)
    image = torch.rand(1, 3, SIDE, SIDE, generator=seeded(3))
    results = [
        other(
            image=image,
            strength=strength,
            num_inference_steps=4,
            output_type="latent",
            generator=seeded(5),
            **prompt(family),
        ).images
        for strength in (0.25, 0.5, 1.0)
    ]
    assert all(torch.isfinite(latents).all() for latents in results)
    start = made.vae.encode(2 * image - 1).latent_dist.mean
    far = [(latents - start).square().mean().item() for latents in results]
    assert far[0] < far[1] < far[2]


def test_image_to_image_is_that_of_flow_match_euler():
    made = pipeline("sd3")
    image = torch.rand(1, 3, SIDE, SIDE, generator=seeded(3))
    results = []
    for scheduler in (
        made.scheduler,
        SemblanceFlowScheduler.like(made.scheduler, "rft", {"kappa": 0.0, "order": 1}),
    ):
        other = diffusers.StableDiffusion3Img2ImgPipeline(**made.components | {"scheduler": scheduler})
        other.set_progress_bar_config(disable=True)
        results.append(
            other(
                image=image,
                strength=0.5,
                sigmas=even(4),
                output_type="latent",
                generator=seeded(5),
                **prompt("sd3"),
                num_inference_steps=4,
            ).images
        )
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("sampler", ["rft", "heun", "unipc"])
def test_inpainting_keeps_what_lies_outside_the_mask(sampler):
    """The pipeline puts the known part back after every call; the sampler goes on from there."""
    made = pipeline("sd")
    scheduler = SemblanceFlowScheduler.like(made.scheduler, sampler)
    other = diffusers.StableDiffusionInpaintPipeline(**made.components | {"scheduler": scheduler})
    other.set_progress_bar_config(disable=True)
    image = torch.rand(1, 3, SIDE, SIDE, generator=seeded(3))
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., : SIDE // 2] = 1
    wanted = prompt("sd") | {"image": image, "mask_image": mask, "height": SIDE, "width": SIDE}
    first, again = (
        other(**wanted, num_inference_steps=3, output_type="latent", generator=seeded(5)).images
        for _ in range(2)
    )
    assert torch.equal(first, again)
    known = made.vae.encode(2 * image - 1).latent_dist.sample(generator=seeded(9))
    spread = made.vae.encode(2 * image - 1).latent_dist.std[..., SIDE // 4 :]
    assert ((first - known)[..., SIDE // 4 :].abs() <= 8 * spread + 1e-4).all()
    assert torch.isfinite(first).all()


# The scheduler by itself, driven as a pipeline drives it.


def driven(scheduler, outputs, x, **kwargs):
    """A pipeline's loop: `outputs(scaled state, timestep)` is the network."""
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, timestep)
        x = scheduler.step(outputs(scaled, timestep), timestep, x, **kwargs).prev_sample
    return x


@pytest.mark.parametrize("generator", [None, 7])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_driven_from_outside_each_sampler_does_what_it_does_by_itself(sampler, generator):
    law, steps = printed_mixture(), steps_of(sampler, 5)
    x_0 = torch.randn((3, 2), dtype=DOUBLE, generator=seeded(1))
    noise = None if generator is None else seeded(generator)
    scheduler = SemblanceFlowScheduler(sampler=sampler)
    scheduler.set_timesteps(steps)

    def network(x, timestep):
        return -law.velocity(x, 1 - timestep.double() / 1000)

    found = driven(scheduler, network, x_0, generator=noise)
    itself = SAMPLERS[sampler].load()(
        law.velocity,
        x_0,
        [1 - float(s) for s in scheduler.sigmas],
        generator=[seeded(s) for s in noise_seeds(x_0, None if generator is None else seeded(generator))],
    )
    torch.testing.assert_close(found, itself, rtol=0, atol=2e-6)


@pytest.mark.parametrize("prediction", NOISY)
@pytest.mark.parametrize("sampler", ["heun", "rft", "dpmpp"])
def test_every_kind_of_network_on_a_noise_schedule_makes_the_same_image(sampler, prediction):
    law = printed_mixture()
    scheduler = SemblanceFlowScheduler(**STABLE_DIFFUSION, sampler=sampler, prediction_type=prediction)
    scheduler.set_timesteps(6)

    def network(y, timestep):
        times = scheduler._schedule.times
        t = torch.tensor(np.interp(float(timestep), np.arange(1000), times), dtype=DOUBLE)
        x = y * scale(float(t))
        data = law.posterior_mean(x, t)
        noise = (x - t * data) / (1 - t)
        root, rest = float(t) / scale(float(t)), (1 - float(t)) / scale(float(t))
        return {"epsilon": noise, "sample": data, "v_prediction": root * noise - rest * data}[prediction]

    x = torch.randn((3, 2), dtype=DOUBLE, generator=seeded(1)) * scheduler.init_noise_sigma
    itself = SAMPLERS[sampler].load()(
        law.velocity,
        x,
        [1 - float(s) for s in scheduler.sigmas],
        generator=[seeded(s) for s in noise_seeds(x)],
    )
    torch.testing.assert_close(driven(scheduler, network, x), itself, rtol=0, atol=2e-4)


def test_an_image_does_not_depend_on_its_batch():
    law = printed_mixture()
    scheduler = SemblanceFlowScheduler()

    def made(x, generators):
        scheduler.set_timesteps(4)
        return driven(
            scheduler, lambda x, s: -law.velocity(x, 1 - s.double() / 1000), x, generator=generators
        )

    x_0 = torch.randn((2, 2), dtype=DOUBLE, generator=seeded(1))
    for choose in (lambda seeds: [seeded(s) for s in seeds], lambda seeds: None):
        together = made(x_0, choose([3, 4]))
        torch.testing.assert_close(made(x_0[1:], choose([4])), together[1:], rtol=0, atol=1e-12)


def test_the_noise_of_a_pipeline_that_hands_no_generator_on_comes_from_its_latents():
    a, b = torch.randn((2, 4, 8, 8), generator=seeded(1)).split(1)
    assert noise_seeds(a) == noise_seeds(a.clone()) != noise_seeds(b)
    assert noise_seeds(torch.cat([a, b])) == noise_seeds(a) + noise_seeds(b)


def test_a_generator_is_read_and_not_advanced_and_every_step_reads_further():
    generator = seeded(3)
    state = generator.get_state()
    x = torch.zeros(2, 3)
    assert noise_seeds(x, generator) == noise_seeds(x, generator) != noise_seeds(x, generator, 1)
    assert torch.equal(generator.get_state(), state)
    with pytest.raises(ValueError, match="one per image"):
        noise_seeds(x, [generator])


def test_the_state_keeps_the_dtype_of_the_network():
    scheduler = SemblanceFlowScheduler()
    scheduler.set_timesteps(3)
    x = torch.randn(1, 4, 8, 8).bfloat16()
    for timestep in scheduler.timesteps:
        x, estimate = scheduler.step(0.1 * x, timestep, x, return_dict=False)
        assert x.dtype == estimate.dtype == torch.bfloat16


# Its grid.


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_few_steps_do_not_waste_the_last(shift):
    scheduler = SemblanceFlowScheduler(shift=shift)
    scheduler.set_timesteps(4)
    expected = [shift * s / (1 + (shift - 1) * s) for s in (1, 0.75, 0.5, 0.25)]
    assert scheduler.sigmas.tolist() == pytest.approx([*expected, 0.0], abs=1e-7)
    assert scheduler.timesteps.tolist() == pytest.approx([1000 * s for s in expected], abs=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"shift": 3.0},
        {"use_dynamic_shifting": True},
        {"use_dynamic_shifting": True, "time_shift_type": "linear"},
    ],
)
@pytest.mark.parametrize("steps", [1, 4, 30])
def test_sigmas_are_shifted_as_by_flow_match_euler(settings, steps):
    ours, theirs = SemblanceFlowScheduler(**settings), diffusers.FlowMatchEulerDiscreteScheduler(**settings)
    for scheduler in (ours, theirs):
        scheduler.set_timesteps(sigmas=even(steps), mu=0.8)
    torch.testing.assert_close(ours.sigmas, theirs.sigmas, rtol=0, atol=1e-7)
    torch.testing.assert_close(ours.timesteps, theirs.timesteps, rtol=0, atol=1e-4)


def test_a_sampler_of_two_calls_shows_both():
    scheduler = SemblanceFlowScheduler(sampler="heun")
    scheduler.set_timesteps(4)
    assert scheduler.order == 2
    assert scheduler.timesteps.tolist() == pytest.approx([1000, 750, 750, 500, 500, 250, 250])


def test_noise_schedules_start_where_they_end_and_call_training_steps():
    scheduler = SemblanceFlowScheduler(**STABLE_DIFFUSION, spacing="trailing")
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == [999, 749, 499, 249]
    assert 1 - scheduler.sigmas[0].item() == pytest.approx(0.0640, abs=5e-5)
    assert scheduler.init_noise_sigma == pytest.approx((0.064**2 + 0.936**2) ** 0.5, abs=1e-4)
    scheduler.set_timesteps(timesteps=[900, 300])
    assert scheduler.timesteps.tolist() == [900, 300]


def test_timesteps_are_taken_as_they_are():
    scheduler = SemblanceFlowScheduler(shift=3.0)
    scheduler.set_timesteps(timesteps=[1000.0, 400.0])
    assert scheduler.sigmas.tolist() == pytest.approx([1.0, 0.4, 0.0])


@pytest.mark.parametrize("settings", [{}, STABLE_DIFFUSION])
def test_noise_is_added_along_the_path_also_for_training(settings):
    scheduler = SemblanceFlowScheduler(**settings)
    data, noise = (
        torch.randn((2, 3, 4, 4), generator=seeded(1)),
        torch.randn((2, 3, 4, 4), generator=seeded(2)),
    )
    timesteps = torch.tensor([800, 300])
    sigma = torch.tensor([0.8, 0.3])
    if settings:
        sigma = 1 - torch.tensor(scheduler._schedule.times[[800, 300]])
    sigma = sigma.float().reshape(2, 1, 1, 1)
    expected = sigma * noise + (1 - sigma) * data
    torch.testing.assert_close(scheduler.add_noise(data, noise, timesteps), expected)
    torch.testing.assert_close(scheduler.scale_noise(data, timesteps, noise), expected)


def test_other_schedulers_can_be_replaced_by_it():
    unipc = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
    )
    assert SemblanceFlowScheduler.like(unipc).config["shift"] == 5.0
    pndm = diffusers.PNDMScheduler(**STABLE_DIFFUSION, skip_prk_steps=True)
    assert SemblanceFlowScheduler.like(pndm).init_noise_sigma < 1
    euler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    assert SemblanceFlowScheduler.from_config(euler.config).config["shift"] == 3.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sampler": "magic"}, "magic"),
        ({"options": {"kapa": 1.0}}, "rft has no kapa"),
        ({"options": {"kappa": -1.0}}, "kappa"),
        ({"spacing": "karras"}, "karras"),
        ({"time_shift_type": "cubic"}, "cubic"),
        ({"prediction_type": "score", **STABLE_DIFFUSION}, "score"),
        ({"prediction_type": "epsilon"}, "beta_start"),
        ({"shift": 3.0, **STABLE_DIFFUSION}, "shift"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        SemblanceFlowScheduler(**settings)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "either"),
        ({"sigmas": [1.0], "timesteps": [1000.0]}, "either"),
        ({"num_inference_steps": 0}, "0"),
        ({"num_inference_steps": 3, "sigmas": [1.0, 0.5]}, "got 2"),
        ({"sigmas": [0.5, 1.0]}, "rising"),
    ],
)
def test_grids_that_make_no_sense_are_refused(asked, words):
    with pytest.raises(ValueError, match=words):
        SemblanceFlowScheduler().set_timesteps(**asked)
    with pytest.raises(ValueError, match="takes 1 step, not 4"):
        SemblanceFlowScheduler(sampler="one_step").set_timesteps(4)
    with pytest.raises(ValueError, match="mu"):
        SemblanceFlowScheduler(use_dynamic_shifting=True).set_timesteps(4)
