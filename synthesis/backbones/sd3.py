"""Stable Diffusion 3: a multimodal transformer trained as a rectified flow, told by two CLIPs and T5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, SD3ControlNetModel, SD3Transformer2DModel
from torch import Tensor, nn
from transformers import CLIPTextModelWithProjection, T5EncoderModel

from synthesis.components import LatentOptions, built, copy_fitting
from synthesis.control.painting import PLANES
from synthesis.control.text import Prompts, TextCondition
from synthesis.latents import FlowNetwork

T5_LENGTH = 256


@dataclass(frozen=True, kw_only=True)
class Options(LatentOptions):
    """Shape of the network. shift: that of the time grid it was trained with (math.md section 0)."""

    shift: float = 3.0


class StableDiffusion3(FlowNetwork):
    """SD3Transformer2DModel (Esser et al. 2024); where T5 is left out, zeros stand for its tokens.

    The mask enters by a SD3ControlNetModel: planes max-pooled to the latents, or a picture's latents.
    """

    name = "sd3"
    trunk = "transformer"
    classes = {
        "transformer": SD3Transformer2DModel,
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModelWithProjection,
        "text_encoder_2": CLIPTextModelWithProjection,
        "text_encoder_3": T5EncoderModel,
        "controlnet": SD3ControlNetModel,
    }
    token_lengths = {"tokenizer": 77, "tokenizer_2": 77, "tokenizer_3": T5_LENGTH}
    options: Options

    @property
    def token_width(self) -> int:
        return int(self._trunk.config.joint_attention_dim)

    def shift(self, rows: int, columns: int) -> float:
        return self.options.shift

    def encode_prompts(self, prompts: Sequence[str]) -> Prompts:
        words, pooled = [], []
        for name in ("text_encoder", "text_encoder_2"):
            numbers, mask = self.token_numbers(name, prompts)
            found: Any = self.get_submodule(name)(numbers, output_hidden_states=True)
            words.append(found.hidden_states[-2])
            pooled.append(found.text_embeds)
        clip = torch.cat(words, dim=-1)
        clip = F.pad(clip, (0, self.token_width - clip.shape[-1]))
        if "text_encoder_3" in self.options.components:
            numbers, more = self.token_numbers("text_encoder_3", prompts)
            t5 = self.get_submodule("text_encoder_3")(numbers)[0].to(clip)
        else:
            t5 = clip.new_zeros(len(prompts), T5_LENGTH, self.token_width)
            more = mask.new_zeros(len(prompts), T5_LENGTH)
        tokens = torch.cat([clip, t5], dim=1)
        return Prompts(tokens, torch.cat([mask, more.to(mask.device)], dim=1), torch.cat(pooled, dim=-1))

    def picture(self, planes: Tensor) -> Tensor:
        """The picture's latents [B, C, h, w], not shifted where the ControlNet was trained so."""
        shown = 2 * super().picture(planes) - 1
        with torch.no_grad():
            latents: Tensor = self._in_own_type(lambda vae, x: vae.encode(x).latent_dist.mode(), shown)
        config = self.vae_config
        shift = (
            0.0 if self._control.config.force_zeros_for_pooled_projection else config["shift_factor"] or 0.0
        )
        return (latents.float() - shift) * config["scaling_factor"]

    def predict(self, x: Tensor, step: Tensor, told: TextCondition, tokens: Tensor) -> Tensor:
        tokens, pooled = tokens.to(x.dtype), told.pooled.to(x.dtype)
        blocks = None
        if self._control is not None:
            config = self._control.config
            by_picture = self.options.control == "picture"
            hint = told.picture if by_picture else self.pooled_planes(told.planes, self.factor)
            blocks = self._control(
                hidden_states=x if self._control.pos_embed is not None else self._trunk.pos_embed(x),
                timestep=step,
                encoder_hidden_states=None if config.joint_attention_dim is None else tokens,
                pooled_projections=torch.zeros_like(pooled)
                if config.force_zeros_for_pooled_projection
                else pooled,
                controlnet_cond=hint.to(x.dtype),
                return_dict=False,
            )[0]
        answer: Tensor = self._trunk(
            hidden_states=x,
            timestep=step,
            encoder_hidden_states=tokens,
            pooled_projections=pooled,
            block_controlnet_hidden_states=blocks,
            return_dict=False,
        )[0]
        return answer

    def fresh_control(self) -> dict[str, nn.Module]:
        """A ControlNet of the transformer's first half, with its weights."""
        own = dict(self._trunk.config)
        layers = max(1, own["num_layers"] // 2)
        changes = {
            "num_layers": layers,
            "extra_conditioning_channels": PLANES - own["in_channels"],
            "dual_attention_layers": [i for i in own["dual_attention_layers"] if i < layers],
        }
        control: Any = built(SD3ControlNetModel, own | changes)
        for part in ("pos_embed", "time_text_embed", "context_embedder", "transformer_blocks"):
            copy_fitting(getattr(self._trunk, part), getattr(control, part))
        return {"controlnet": control}
