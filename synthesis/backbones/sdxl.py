"""Stable Diffusion XL: a larger U-Net that predicts noise, told by two CLIPs and by the image's size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from synthesis.components import NoiseOptions, controlnet_for_planes
from synthesis.control.text import Prompts, TextCondition
from synthesis.latents import NoiseNetwork

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@dataclass(frozen=True, kw_only=True)
class Options(NoiseOptions):
    """Shape of the network; the schedule is Stable Diffusion's unless another is given.

    force_zeros_for_empty_prompt: the prompt that states nothing is zeros, as SDXL's base was published.
    """

    schedule: Mapping[str, Any] = field(default_factory=lambda: dict(BETAS))
    force_zeros_for_empty_prompt: bool = True


class StableDiffusionXL(NoiseNetwork):
    """UNet2DConditionModel with the last hidden states but one of two CLIPs (Podell et al. 2024).

    It is also told the image's size in pixels, as uncropped. The mask enters by a ControlNet.
    """

    name = "sdxl"
    trunk = "unet"
    classes = {
        "unet": UNet2DConditionModel,
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
        "text_encoder_2": CLIPTextModelWithProjection,
        "controlnet": ControlNetModel,
    }
    token_lengths = {"tokenizer": 77, "tokenizer_2": 77}
    options: Options

    @property
    def token_width(self) -> int:
        return int(self._trunk.config.cross_attention_dim)

    def encode_prompts(self, prompts: Sequence[str]) -> Prompts:
        parts = []
        for name in ("text_encoder", "text_encoder_2"):
            if name not in self.options.components:  # a refiner has the second alone
                continue
            numbers, mask = self.token_numbers(name, prompts)
            found: Any = self.get_submodule(name)(numbers, output_hidden_states=True)
            parts.append(found.hidden_states[-2])
        return Prompts(torch.cat(parts, dim=-1), mask, found.text_embeds)

    def unconditional(self, condition: TextCondition) -> TextCondition:
        without = super().unconditional(condition)
        if not self.options.force_zeros_for_empty_prompt:
            return without
        return without._replace(
            tokens=torch.zeros_like(without.tokens), pooled=torch.zeros_like(without.pooled)
        )

    def predict(self, x: Tensor, step: Tensor, told: TextCondition, tokens: Tensor) -> Tensor:
        tokens = tokens.to(x.dtype)
        size = [x.shape[2] * self.factor, x.shape[3] * self.factor]
        ids = torch.tensor([*size, 0, 0, *size], dtype=x.dtype, device=x.device)  # original, crop, target
        added = {"text_embeds": told.pooled.to(x.dtype), "time_ids": ids.expand(len(x), -1)}
        residuals: dict[str, Any] = {}
        if self._control is not None:
            hint = told.picture if self.options.control == "picture" else told.planes
            down, middle = self._control(
                x,
                step,
                encoder_hidden_states=tokens,
                controlnet_cond=hint.to(x.dtype),
                added_cond_kwargs=added,
                return_dict=False,
            )
            residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        answer: Tensor = self._trunk(
            x,
            step,
            encoder_hidden_states=tokens,
            added_cond_kwargs=added,
            return_dict=False,
            **residuals,
        )[0]
        return answer

    def fresh_control(self) -> dict[str, nn.Module]:
        return {"controlnet": controlnet_for_planes(self._trunk, self.factor)}
