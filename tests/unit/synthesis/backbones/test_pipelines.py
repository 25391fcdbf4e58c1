"""Every network on latents against the unmodified pipeline of diffusers: same prompt, noise and latents."""

import diffusers
import numpy as np
import pytest
import torch

from synthesis.backbones.flux import packed
from synthesis.checkpoints import shifted_grid
from synthesis.control.prompts import prompt_of
from synthesis.guidance import guided
from synthesis.networks import first_state
from synthesis.phantoms import labels as L
from synthesis.request import Condition
from synthesis.samplers.ddim import ddim
from synthesis.samplers.euler import euler
from tests.unit.synthesis.tiny_backbones import SIDE, network_of, stir, tiny_pipeline
from tests.unit.synthesis.tiny_text import LENGTH

STEPS = 4  # divides the 1000 training steps: DDIM of diffusers steps by whole quotients
CONDITION = Condition(modality="T1", severity="mild", steatosis=2, sex="F", age=None)
LATENT = SIDE // 2
TOLERANCE = {"rtol": 2e-4, "atol": 2e-4}
FLOWS, NOISY = ("sd3", "flux"), ("stable_diffusion", "sdxl", "pixart")


def seeded(seed=5):
    return torch.Generator().manual_seed(seed)


def labels():
    """A mask without a liver or bone: what is painted of severity and age is then nothing, as unstated."""
    mask = np.zeros((1, SIDE, SIDE), np.uint8)
    mask[0, 4:28, 6:26] = L.FAT
    mask[0, 10:20, 10:20] = L.KIDNEYS
    return mask


def theirs(pipe, name, guidance, **more):
    """The pipeline as its user calls it, with words; its scheduler on the grid that ours takes."""
    asked = {
        "prompt": prompt_of(CONDITION),
        "height": SIDE,
        "width": SIDE,
        "num_inference_steps": STEPS,
        "output_type": "latent",
        "generator": seeded(),
    }
    if name in ("sd3", "pixart", "flux"):
        asked["max_sequence_length"] = LENGTH
    if name in FLOWS:
        asked["sigmas"] = np.linspace(1, 1 / STEPS, STEPS).tolist()
    if name == "pixart":
        asked |= {"use_resolution_binning": False, "clean_caption": False}
    if name == "flux":
        asked |= {"guidance_scale": 3.5, "true_cfg_scale": guidance, "negative_prompt": ""}
    else:
        asked["guidance_scale"] = guidance
    found = pipe(**asked | more).images
    return found if name == "flux" else found.float()


def ours(network, guidance):
    """The same through the contract alone: condition, first state, guided velocity, sampler."""
    told = network.condition(labels(), [CONDITION])
    without = network.unconditional(told)
    noise = torch.randn((1, *network.state_shape(SIDE, SIDE)), generator=seeded())

    def under(condition):
        return lambda x, t: network(x, t, *condition)

    with torch.no_grad():
        velocity = guided(under(told), under(without), guidance)
        if network.name in FLOWS:
            times = shifted_grid(STEPS, network.shift(SIDE, SIDE))
            found = euler(velocity, first_state(network, noise), times)
        else:
            times = network.schedule.grid(STEPS, "trailing")
            found = ddim(velocity, first_state(network, noise), times)
    return packed(found) if network.name == "flux" else found


def scheduled(name, pipe):
    """DDIM on trailing steps where noise is predicted; the flows keep FlowMatchEuler."""
    if name in NOISY:
        betas = {"pixart": (0.0001, 0.02, "linear")}.get(name, (0.00085, 0.012, "scaled_linear"))
        pipe.scheduler = diffusers.DDIMScheduler(
            beta_start=betas[0],
            beta_end=betas[1],
            beta_schedule=betas[2],
            clip_sample=False,
            timestep_spacing="trailing",
            set_alpha_to_one=True,
        )
    return pipe


@pytest.mark.parametrize("name", [*FLOWS, *NOISY])
def test_a_tiny_pipeline_holds_nothing_of_the_one_before(name):
    """Tests change the weights of theirs, and the next must not find them changed."""
    first, second = (
        {id(weight) for part in made.components.values() if isinstance(part, torch.nn.Module)
         for weight in part.parameters()}
        for made in (tiny_pipeline(name), tiny_pipeline(name))
    )  # fmt: skip
    assert first
    assert not first & second


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("name", [*NOISY, *FLOWS])
def test_the_pipeline_and_the_contract_make_the_same_latents(name, guidance):
    pipe = scheduled(name, tiny_pipeline(name))
    network = network_of(name, pipe)
    expected = theirs(pipe, name, guidance)
    found = ours(network, guidance)
    torch.testing.assert_close(found, expected, **TOLERANCE)
    assert (found - ours(network, 1.5)).abs().max() > 10 * TOLERANCE["atol"]  # guidance is seen


def test_without_t5_zeros_stand_for_its_tokens():
    pipe = tiny_pipeline("sd3", text_encoder_3=None, tokenizer_3=None)
    network = network_of("sd3", pipe)
    told = network.condition(labels(), [CONDITION])
    embeds, _, pooled, _ = pipe.encode_prompt(prompt_of(CONDITION), None, None, max_sequence_length=256)
    assert torch.equal(told.tokens, embeds)
    assert torch.equal(told.pooled, pooled)
    assert told.tokens[:, LENGTH:].abs().max() == 0
    expected = theirs_without(pipe)
    torch.testing.assert_close(ours(network, 2.5), expected, **TOLERANCE)


def theirs_without(pipe):
    return theirs(pipe, "sd3", 2.5, max_sequence_length=256)


CONTROLLED = {
    "stable_diffusion": diffusers.StableDiffusionControlNetPipeline,
    "sdxl": diffusers.StableDiffusionXLControlNetPipeline,
    "sd3": diffusers.StableDiffusion3ControlNetPipeline,
    "flux": diffusers.FluxControlNetPipeline,
}


def controlled(name, pipe, controlnet):
    """The ControlNet pipeline around a plain pipeline's components."""
    parts = {k: v for k, v in pipe.components.items() if k != "image_encoder" or name == "stable_diffusion"}
    extra = {"stable_diffusion": {"requires_safety_checker": False}, "sdxl": {"add_watermarker": False}}
    made = CONTROLLED[name](**parts | {"controlnet": controlnet}, **extra.get(name, {}))
    made.set_progress_bar_config(disable=True)
    return made


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("name", ["stable_diffusion", "sdxl"])
def test_planes_reach_the_controlnet_as_the_pipelines_picture_does(name, guidance):
    pipe = scheduled(name, tiny_pipeline(name))
    network = network_of(name, pipe).with_control().eval().requires_grad_(False)
    plain = ours(network, guidance)
    stir(network.controlnet)
    planes = network.condition(labels(), [CONDITION]).planes
    expected = theirs(controlled(name, pipe, network.controlnet), name, guidance, image=planes)
    found = ours(network, guidance)
    torch.testing.assert_close(found, expected, **TOLERANCE)
    assert (found - plain).abs().max() > 0.01  # the mask is seen


def certain(autoencoder):
    """The autoencoder with no spread: the pipelines draw a picture's latents, we take their mean."""
    with torch.no_grad():
        channels = autoencoder.config.latent_channels
        last = autoencoder.encoder.conv_out
        last.weight[channels:] = 0
        last.bias[channels:] = -60.0


def picture_control(name, pipe, **more):
    """A ControlNet as others publish it: for a picture in colours."""
    if name in ("stable_diffusion", "sdxl"):
        made = diffusers.ControlNetModel.from_unet(pipe.unet, conditioning_embedding_out_channels=(16, 32))
    elif name == "sd3":
        made = diffusers.SD3ControlNetModel.from_config(
            dict(pipe.transformer.config) | {"num_layers": 1, "extra_conditioning_channels": 0} | more
        )
    else:
        made = diffusers.FluxControlNetModel.from_config(dict(pipe.transformer.config) | more)
    stir(made)
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("stable_diffusion", {}),
        ("sdxl", {}),
        ("sd3", {"force_zeros_for_pooled_projection": True}),
        ("sd3", {"force_zeros_for_pooled_projection": False}),
        ("sd3", {"joint_attention_dim": None, "use_pos_embed": False}),  # as published for SD 3.5
        ("flux", {}),
        ("flux", {"guidance_embeds": True}),
    ],
)
def test_a_controlnet_from_elsewhere_sees_the_mask_in_colours(name, more):
    pipe = scheduled(name, tiny_pipeline(name))
    certain(pipe.vae)
    with torch.random.fork_rng():
        torch.manual_seed(8)
        controlnet = picture_control(name, pipe, **more)
    made = controlled(name, pipe, controlnet)
    network = network_of(name, made, control="picture")
    planes = network.condition(labels(), [CONDITION]).planes
    colours = torch.einsum("blhw,lc->bchw", planes[:, :20], palette())
    asked = {"image": colours} if name in ("stable_diffusion", "sdxl") else {"control_image": 2 * colours - 1}
    if name == "flux":  # this pipeline spends the generator on the picture first
        noise = torch.randn((1, *network.state_shape(SIDE, SIDE)), generator=seeded())
        asked["latents"] = packed(noise)
    torch.testing.assert_close(ours(network, 1.0), theirs(made, name, 1.0, **asked), **TOLERANCE)


def palette():
    colours = [one.color.lstrip("#") for one in L.LABEL_SET]
    return torch.tensor([[int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)] for c in colours])


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_planes_are_pooled_by_their_highest_before_the_controlnet(name, monkeypatch):
    """One pixel of a lesion survives on the grid of the latents, however coarse (math.md section 5)."""
    network = network_of(name, tiny_pipeline(name)).with_control().eval().requires_grad_(False)
    stir(network)
    mask = labels()
    mask[0, 3, 5] = L.LESION
    told = network.condition(mask, [CONDITION])
    seen = {}
    inner = network.controlnet.forward
    monkeypatch.setattr(
        network.controlnet, "forward", lambda *a, **k: seen.update(k) or inner(*a, **k), raising=True
    )
    x = torch.randn(1, *network.state_shape(SIDE, SIDE), generator=seeded())
    with torch.no_grad():
        network(x, torch.tensor(0.4), *told)
    pooled = torch.nn.functional.max_pool2d(told.planes, 2)
    assert pooled[0, L.LESION].sum() == 1
    expected = pooled if name == "sd3" else network.mask_embedding(packed(pooled))
    assert torch.equal(seen["controlnet_cond"], expected)


def test_the_patch_embedding_of_pixart_with_a_mask_is_that_of_more_input_channels():
    network = network_of("pixart", tiny_pipeline("pixart")).with_control().eval().requires_grad_(False)
    stir(network.mask_embedding)
    told = network.condition(labels(), [CONDITION])
    x = torch.randn(1, *network.state_shape(SIDE, SIDE), generator=seeded())
    with torch.no_grad():
        found = network(x, torch.tensor(0.4), *told)
        wide = diffusers.PixArtTransformer2DModel.from_config(
            dict(network.transformer.config) | {"in_channels": 4 + told.planes.shape[1]}
        ).eval()
        weights = network.transformer.state_dict()
        weights["pos_embed.proj.weight"] = torch.cat(
            [weights["pos_embed.proj.weight"], network.mask_embedding.weight], dim=1
        )
        wide.load_state_dict(weights)
        y = x / (0.4**2 + 0.6**2) ** 0.5
        noise = wide(
            torch.cat([y, torch.nn.functional.max_pool2d(told.planes, 2)], dim=1),
            encoder_hidden_states=told.tokens,
            encoder_attention_mask=told.token_mask,
            timestep=torch.tensor([network.schedule.index(0.4)]),
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample[:, :4]
    torch.testing.assert_close(found, (x - noise) / 0.4, rtol=1e-4, atol=1e-4)
    assert not network.transformer.pos_embed.proj._forward_hooks
