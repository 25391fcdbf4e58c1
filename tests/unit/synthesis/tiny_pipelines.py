"""The five pipelines of diffusers, whole and real but tiny, with random weights; nothing is downloaded.

Text encoders are left out: a prompt is a tensor here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import diffusers
import torch

SIDE = 16  # pixels
LATENT = 8
NAMES = ("sd", "sdxl", "sd3", "pixart", "flux")
FLOWS = ("sd3", "flux")
STABLE_DIFFUSION = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def vae(
    channels: int, *, quant: bool = True, scaling: float = 1.0, shift: float = 0.0
) -> diffusers.AutoencoderKL:
    """An autoencoder that halves the side."""
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=SIDE,
        use_quant_conv=quant,
        use_post_quant_conv=quant,
        shift_factor=shift,
        scaling_factor=scaling,
    )


def unet(**more: Any) -> diffusers.UNet2DConditionModel:
    """A two-level UNet."""
    return diffusers.UNet2DConditionModel(
        sample_size=LATENT,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=8,
        norm_num_groups=4,
        **more,
    )


def _sd() -> diffusers.DiffusionPipeline:
    return diffusers.StableDiffusionPipeline(
        vae=vae(4),
        text_encoder=None,
        tokenizer=None,
        unet=unet(),
        scheduler=diffusers.DDIMScheduler(**STABLE_DIFFUSION, steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl() -> diffusers.DiffusionPipeline:
    return diffusers.StableDiffusionXLPipeline(
        vae=vae(4),
        text_encoder=None,
        text_encoder_2=None,
        tokenizer=None,
        tokenizer_2=None,
        unet=unet(
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=8 * 6 + 32,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(**STABLE_DIFFUSION, steps_offset=1),
        add_watermarker=False,
    )


def _sd3() -> diffusers.DiffusionPipeline:
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=LATENT,
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=32,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        pos_embed_max_size=2 * LATENT,
    )
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(4, quant=False),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        text_encoder_3=None,
        tokenizer_3=None,
    )


def _pixart() -> diffusers.DiffusionPipeline:
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=LATENT,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=3,
        caption_channels=32,
        cross_attention_dim=24,
        in_channels=4,
        out_channels=8,
        norm_type="ada_norm_single",
        use_additional_conditions=False,
    )
    return diffusers.PixArtAlphaPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae(4),
        transformer=transformer,
        scheduler=diffusers.DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02),
    )


def _flux() -> diffusers.DiffusionPipeline:
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
    )
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae(4, quant=False),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        transformer=transformer,
    )


@cache
def pipeline(name: str) -> diffusers.DiffusionPipeline:
    """A pipeline with the scheduler of its family; random weights from a fixed seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = {"sd": _sd, "sdxl": _sdxl, "sd3": _sd3, "pixart": _pixart, "flux": _flux}[name]()
    made.set_progress_bar_config(disable=True)
    return made


def prompt(name: str) -> dict[str, Any]:
    """What stands for a prompt, with a guidance of 2 where the family guides."""
    drawn = torch.Generator().manual_seed(1)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=drawn)

    if name == "sd":
        return {
            "prompt_embeds": tensor(1, 7, 16),
            "negative_prompt_embeds": tensor(1, 7, 16),
            "guidance_scale": 2.0,
        }
    if name == "sdxl":
        return {
            "prompt_embeds": tensor(1, 7, 16),
            "negative_prompt_embeds": tensor(1, 7, 16),
            "pooled_prompt_embeds": tensor(1, 32),
            "negative_pooled_prompt_embeds": tensor(1, 32),
            "guidance_scale": 2.0,
        }
    if name == "sd3":
        return {
            "prompt_embeds": tensor(1, 7, 32),
            "negative_prompt_embeds": tensor(1, 7, 32),
            "pooled_prompt_embeds": tensor(1, 64),
            "negative_pooled_prompt_embeds": tensor(1, 64),
            "guidance_scale": 2.0,
        }
    if name == "pixart":
        return {
            "prompt": None,
            "negative_prompt": None,
            "prompt_embeds": tensor(1, 7, 32),
            "prompt_attention_mask": torch.ones(1, 7),
            "negative_prompt_embeds": tensor(1, 7, 32),
            "negative_prompt_attention_mask": torch.ones(1, 7),
            "guidance_scale": 2.0,
            "use_resolution_binning": False,
        }
    return {"prompt_embeds": tensor(1, 7, 32), "pooled_prompt_embeds": tensor(1, 32), "guidance_scale": 2.0}


def draw(
    pipe: diffusers.DiffusionPipeline, name: str, steps: int = 3, seed: int = 5, **more: Any
) -> torch.Tensor:
    """One call of the pipeline as its user would make it: latents [B, C, h, w] or what `more` asks for."""
    wanted = {"height": SIDE, "width": SIDE, "output_type": "latent", "num_inference_steps": steps} | prompt(
        name
    )
    found = pipe(**wanted | {"generator": torch.Generator().manual_seed(seed)} | more)
    return found.images
