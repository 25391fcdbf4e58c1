"""Stable Diffusion 1.x and 2.x: a U-Net on latents that predicts noise, told by CLIP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel

from synthesis.components import NoiseOptions, controlnet_for_planes
from synthesis.control.text import Prompts, TextCondition
from synthesis.latents import NoiseNetwork

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@dataclass(frozen=True, kw_only=True)
class Options(NoiseOptions):
    """Shape of the network; the schedule is Stable Diffusion's unless another is given.

    takes_image: the U-Net has as many input channels again for the latents of the image that is to be
        changed, as InstructPix2Pix has.
    """

    takes_image: bool = False
    schedule: Mapping[str, Any] = field(default_factory=lambda: dict(BETAS))


class StableDiffusion(NoiseNetwork):
    """UNet2DConditionModel with CLIP's last hidden states (Rombach et al. 2022); the mask by ControlNet."""

    name = "stable_diffusion"
    trunk = "unet"
    classes = {
        "unet": UNet2DConditionModel,
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
        "controlnet": ControlNetModel,
    }
    token_lengths = {"tokenizer": 77}

    @property
    def token_width(self) -> int:
        return int(self._trunk.config.cross_attention_dim)

    def encode_prompts(self, prompts: Sequence[str]) -> Prompts:
        numbers, mask = self.token_numbers("text_encoder", prompts)
        encoder: Any = self.get_submodule("text_encoder")
        tokens = encoder(
            numbers, attention_mask=mask if encoder.config.to_dict().get("use_attention_mask") else None
        )[0]
        return Prompts(tokens, mask, tokens.new_zeros(len(tokens), 0))

    def predict(self, x: Tensor, step: Tensor, told: TextCondition, tokens: Tensor) -> Tensor:
        tokens = tokens.to(x.dtype)
        residuals: dict[str, Any] = {}
        if self._control is not None:
            hint = told.picture if self.options.control == "picture" else told.planes
            own = x[
                :, : self._control.config.in_channels
            ]  # one from before `with_image` sees the state alone
            down, middle = self._control(
                own, step, encoder_hidden_states=tokens, controlnet_cond=hint.to(x.dtype), return_dict=False
            )
            residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        answer: Tensor = self._trunk(x, step, encoder_hidden_states=tokens, return_dict=False, **residuals)[0]
        return answer

    def fresh_control(self) -> dict[str, nn.Module]:
        return {"controlnet": controlnet_for_planes(self._trunk, self.factor)}
