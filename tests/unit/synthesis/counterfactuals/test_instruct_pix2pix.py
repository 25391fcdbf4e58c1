"""InstructPix2Pix against the unmodified pipeline of diffusers, and against Gaussians in closed form."""

from __future__ import annotations

from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch

from synthesis.control.prompts import prompt_of
from synthesis.counterfactuals.instruct_pix2pix import Options, instruct_pix2pix
from synthesis.drift import Drift
from synthesis.edit import edit, prepare
from synthesis.edit_request import CounterfactualRequest, EditOptions
from synthesis.editing import Edit, Instructions
from synthesis.errors import SynthesisError
from synthesis.phantoms import labels as L
from synthesis.request import Condition
from tests.unit.synthesis.tiny_backbones import SIDE, network_of, stir, tiny_latent_model, tiny_pipeline
from tests.unit.synthesis.tiny_model import tiny_model

STEPS = 4  # divides the 1000 training steps, as DDIM of diffusers wants it
NOW = Condition(modality="CT", severity="severe", sex="F", age=None)
THEN = Condition(modality="CT", severity="none", sex="F", age=None)


def picture():
    """One image in HU and its mask, a liver within fat."""
    labels = np.full((SIDE, SIDE), L.FAT, np.uint8)
    labels[8:24, 6:20] = L.LIVER
    image = np.random.default_rng(3).normal(60, 50, (SIDE, SIDE)).clip(-45, 145)  # within -1..1 when scaled
    return image.astype(np.float32), labels


@pytest.fixture(scope="module")
def shown():
    """A pipeline of InstructPix2Pix and our model around its components."""
    plain = tiny_pipeline("stable_diffusion")
    widened = network_of("stable_diffusion", plain).with_image()
    stir(widened.unet.conv_in)
    with torch.no_grad():
        widened.unet.conv_in.weight[:, 4:] = 0.3 * torch.randn(
            widened.unet.conv_in.weight[:, 4:].shape, generator=torch.Generator().manual_seed(7)
        )
    parts = {
        name: part
        for name, part in plain.components.items()
        if name in ("vae", "text_encoder", "tokenizer", "safety_checker", "feature_extractor")
    }
    pipe = diffusers.StableDiffusionInstructPix2PixPipeline(
        **parts,
        unet=widened.unet,
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            timestep_spacing="trailing",
            set_alpha_to_one=True,
        ),
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    network = network_of("stable_diffusion", pipe, takes_image=True)
    return pipe, tiny_latent_model("stable_diffusion", network)


def prepared(model, seed=5):
    image, labels = picture()
    work = prepare(model, [image], [labels], [labels], [NOW], [THEN], seeds=[seed])
    grid = model.network.schedule.grid(STEPS, "trailing")
    return replace(work, instructions=replace(work.instructions, times=lambda steps, sampler: grid))


@pytest.mark.parametrize("sampler", ["ddim", "euler"])
@pytest.mark.parametrize(("guidance", "image_guidance"), [(2.5, 1.5), (7.5, 1.0), (1.5, 2.0)])
def test_the_pipeline_of_diffusers_makes_the_same_latents(shown, sampler, guidance, image_guidance):
    pipe, model = shown
    scaled = model.normalise(picture()[0], "CT")
    expected = pipe(
        prompt=prompt_of(THEN),
        image=torch.from_numpy((scaled + 1) / 2)[None, None].expand(1, 3, -1, -1),
        guidance_scale=guidance,
        image_guidance_scale=image_guidance,
        num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(5),
        output_type="latent",
    ).images

    def ours(s_t, s_i):
        chosen = Options(guidance=s_t, image_guidance=s_i, sampler=sampler, steps=STEPS, confined=False)
        return instruct_pix2pix(prepared(model), options=chosen)

    found = ours(guidance, image_guidance)
    torch.testing.assert_close(found, expected, rtol=5e-4, atol=5e-4)
    assert (found - ours(guidance, image_guidance + 0.3)).abs().max() > 5e-3
    assert (found - ours(guidance + 0.3, image_guidance)).abs().max() > 5e-3


def test_the_image_is_shown_as_the_autoencoders_mode_without_its_scale(shown):
    pipe, model = shown
    x = prepared(model).x
    scaled = torch.from_numpy(model.normalise(picture()[0], "CT"))[None, None].expand(1, 3, -1, -1)
    with torch.no_grad():
        mode = pipe.vae.encode(scaled).latent_dist.mode()
    torch.testing.assert_close(model.network.shown(x), mode, rtol=1e-5, atol=1e-5)
    assert pipe.vae.config.scaling_factor != 1


def to_normal(mean, std):
    """The exact velocity from N(0, 1) to N(mean, std^2)."""

    def velocity(x, t):
        s = (1 - t) ** 2 + (t * std) ** 2
        return mean + (t * std**2 - (1 - t)) / s * (x - t * mean)

    return velocity


def gaussian(steps=1, calls=None, std=0.5):
    """An edit whose three laws have the means -1 (nothing), 2 (the image), 3 (image and condition)."""

    def under(with_image):
        def velocity(x, t, image):
            if calls is not None:
                calls.append((with_image, image is not None))
            return to_normal(-1.0 if image is None else with_image, std)(x, t)

        return velocity

    x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    return Edit(
        x=x,
        before=to_normal(0.0, std),
        after=to_normal(1.0, std),
        region=torch.ones(2, 1, 4, 4),
        generator=[torch.Generator().manual_seed(seed) for seed in (1, 2)],
        instructions=Instructions(
            before=under(2.5),
            after=under(3.0),
            untold=under(2.0),
            times=lambda steps, sampler: [k / steps for k in range(steps + 1)],
            kappa=lambda steps: 0.0,
        ),
    )


def noise(count=2):
    return torch.stack([torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(s)) for s in (1, 2)])


@pytest.mark.parametrize(("s_t", "s_i"), [(1, 1), (2, 1), (1, 2), (3, 1.5), (0, 0), (0, 1), (1.5, 1.5)])
def test_laws_of_one_spread_are_moved_by_both_weights_and_keep_their_spread(s_t, s_i):
    found = instruct_pix2pix(
        gaussian(), options=Options(guidance=s_t, image_guidance=s_i, steps=400, sampler="heun")
    )
    mean = -1 + s_i * (2 - -1) + s_t * (3 - 2)
    torch.testing.assert_close(found, mean + 0.5 * noise(), rtol=0, atol=2e-3)


@pytest.mark.parametrize(("s_t", "s_i", "count"), [(1, 1, 1), (2, 1, 2), (3, 3, 2), (2, 1.5, 3)])
def test_what_the_weights_cancel_is_not_asked_for(s_t, s_i, count):
    calls = []
    instruct_pix2pix(
        gaussian(calls=calls), options=Options(guidance=s_t, image_guidance=s_i, steps=1, sampler="euler")
    )
    assert len(calls) == count


def test_one_step_answers_the_mean_and_many_a_draw():
    one = instruct_pix2pix(gaussian(), options=Options(steps=1))
    torch.testing.assert_close(one, torch.full_like(one, 3.0))
    many = instruct_pix2pix(gaussian(), options=Options(steps=400))
    torch.testing.assert_close(many, 3 + 0.5 * noise(), rtol=0, atol=1e-2)


@pytest.mark.parametrize("sampler", ["euler", "rft"])
def test_a_drifted_start_leaves_the_law_and_init_only_moves_it(sampler):
    """The wrapper is exact: the same noise ends in the same image. math.md 4: init_only, mean + std delta."""
    plain = instruct_pix2pix(gaussian(), options=Options(steps=200, sampler=sampler))
    drifted = instruct_pix2pix(
        gaussian(), options=Options(steps=200, sampler=sampler, drift=Drift(delta=0.4))
    )
    torch.testing.assert_close(drifted, plain, rtol=0, atol=1e-4)
    moved = instruct_pix2pix(
        gaussian(),
        options=Options(steps=200, sampler=sampler, drift=Drift(delta=0.4, scheme="init_only")),
    )
    torch.testing.assert_close(moved - plain, torch.full_like(plain, 0.2), rtol=0, atol=2e-3)


def test_less_strength_changes_less():
    work = gaussian()

    def distance(strength):
        found = instruct_pix2pix(gaussian(), options=Options(steps=50, strength=strength))
        return float((found - work.x).square().mean())

    assert distance(0.0) == 0 < distance(0.3) < distance(0.7) < distance(1.0)


@pytest.mark.parametrize("sampler", ["euler", "rft", "ddim", "heun", "dpmpp", "unipc"])
def test_blended_it_is_the_image_itself_outside(sampler):
    region = torch.zeros(2, 1, 4, 4)
    region[..., :2] = 1
    work = replace(gaussian(), region=region)
    found = instruct_pix2pix(work, options=Options(blend=True, sampler=sampler, steps=6))
    assert torch.equal(found[..., 2:], work.x[..., 2:])
    assert float((found - work.x)[..., :2].abs().max()) > 0.5


def test_confined_the_old_condition_holds_outside():
    region = torch.zeros(2, 1, 4, 4)
    region[..., :2] = 1
    work = replace(gaussian(), region=region)
    found = instruct_pix2pix(work, options=Options(steps=1))
    torch.testing.assert_close(found, torch.where(region > 0, 3.0, 2.5))


def test_a_network_that_sees_no_image_is_refused():
    with pytest.raises(SynthesisError, match="trained to change images"):
        instruct_pix2pix(replace(gaussian(), instructions=None))


def asked(**options):
    image, labels = picture()
    return CounterfactualRequest(
        image=np.rint(image),
        labels=labels,
        spacing_mm=(3.0, 3.0),
        before=NOW,
        after=THEN,
        options=EditOptions(method="instruct_pix2pix", steps=3, **options),
        seed=3,
        count=2,
    )


@pytest.fixture(scope="module", params=["unet", "stable_diffusion"])
def model(request, shown):
    return tiny_model(takes_image=True) if request.param == "unet" else shown[1]


def test_an_edit_draws_another_image_for_every_seed_and_takes_it_back(model):
    seen = []
    result = edit(model, asked(undo=True), on_step=seen.append)
    assert result.images.shape == (2, SIDE, SIDE)
    assert np.abs(result.images[0] - result.images[1]).max() > 1
    assert result.spread is not None
    assert result.undone is not None
    assert [(one.step, one.steps) for one in seen] == [(k, 9) for k in range(1, 10)]  # there, unchanged, back
    assert np.array_equal(edit(model, asked()).images, result.images)
    alone = edit(model, replace(asked(), seed=4, count=1)).images[0]
    assert np.abs(alone - result.images[1]).max() <= 1  # the last bits may depend on the batch
    assert result.recipe["options"]["sampler"] == "euler"


def test_the_model_says_how_firmly_it_wants_to_be_guided(model):
    told = replace(model, recipe=model.recipe | {"edit": {"guidance": 2.0, "sampler": "ddim"}})
    used = edit(told, asked()).recipe["options"]
    assert (used["guidance"], used["image_guidance"], used["sampler"]) == (2.0, 1.0, "ddim")
    assert edit(told, asked(guidance=1.5)).recipe["options"]["guidance"] == 1.5


def test_the_image_decides_and_not_the_mask_alone(model):
    one = asked()
    other = replace(one, image=np.rint(one.image[::-1].copy()))
    assert np.abs(edit(model, one).images - edit(model, other).images).max() > 1


@pytest.mark.parametrize("wrong", [{"guidance": -1.0}, {"image_guidance": 101.0}, {"sampler": "magic"}])
def test_options_out_of_reason_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        asked(**wrong)
