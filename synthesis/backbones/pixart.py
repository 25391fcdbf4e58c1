"""PixArt-alpha: a diffusion transformer on latents that predicts noise, told by T5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import AutoencoderKL, PixArtTransformer2DModel
from torch import Tensor, nn
from transformers import T5EncoderModel

from synthesis.components import NoiseOptions
from synthesis.control.painting import PLANES
from synthesis.control.text import Prompts, TextCondition
from synthesis.latents import NoiseNetwork

BETAS = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}


@dataclass(frozen=True, kw_only=True)
class Options(NoiseOptions):
    """Shape of the network; the schedule is PixArt's unless another is given."""

    schedule: Mapping[str, Any] = field(default_factory=lambda: dict(BETAS))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.control == "picture":
            raise ValueError('control: expected "planes" or none, got picture; PixArt has no ControlNet.')


class PixArt(NoiseNetwork):
    """PixArtTransformer2DModel with T5's tokens (Chen et al. 2024).

    The mask enters as more input channels of the patch embedding, max-pooled to the latents: their
    weights, `mask_embedding`, start at zero and stay apart from the published ones.
    """

    name = "pixart"
    trunk = "transformer"
    classes = {"transformer": PixArtTransformer2DModel, "vae": AutoencoderKL, "text_encoder": T5EncoderModel}
    token_lengths = {"tokenizer": 120}

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if options.control == "planes":
            self.mask_embedding = self._mask_embedding()

    def _mask_embedding(self) -> nn.Conv2d:
        proj = self._trunk.pos_embed.proj
        layer = nn.Conv2d(PLANES, proj.out_channels, proj.kernel_size, proj.stride, bias=False)
        nn.init.zeros_(layer.weight)
        return layer

    @property
    def token_width(self) -> int:
        return int(self._trunk.config.caption_channels)

    def encode_prompts(self, prompts: Sequence[str]) -> Prompts:
        numbers, mask = self.token_numbers("text_encoder", [one.lower().strip() for one in prompts])
        tokens = self.get_submodule("text_encoder")(numbers, attention_mask=mask)[0]
        return Prompts(tokens, mask, tokens.new_zeros(len(tokens), 0))

    def predict(self, x: Tensor, step: Tensor, told: TextCondition, tokens: Tensor) -> Tensor:
        added: dict[str, Any] = {"resolution": None, "aspect_ratio": None}
        if self._trunk.use_additional_conditions:
            rows, columns = x.shape[2] * self.factor, x.shape[3] * self.factor
            size = torch.tensor([[float(rows), float(columns)]], dtype=x.dtype, device=x.device)
            ratio = torch.tensor([[rows / columns]], dtype=x.dtype, device=x.device)
            added = {"resolution": size.expand(len(x), -1), "aspect_ratio": ratio.expand(len(x), -1)}
        with ExitStack() as stack:
            if self.options.control:
                stack.callback(self._add_mask(told, x.dtype).remove)
            answer: Tensor = self._trunk(
                x,
                encoder_hidden_states=tokens.to(x.dtype),
                encoder_attention_mask=told.token_mask,
                timestep=step,
                added_cond_kwargs=added,
                return_dict=False,
            )[0]
        channels = x.shape[1]
        return answer[:, :channels] if answer.shape[1] == 2 * channels else answer  # with learned variance

    def _add_mask(self, told: TextCondition, dtype: torch.dtype) -> Any:
        """Let the patch embedding answer with the mask's share added, until the handle is removed.

        A convolution of latents and planes side by side is the sum of the two convolutions.
        """
        share = self.mask_embedding(self.pooled_planes(told.planes, self.factor).to(dtype))
        return self._trunk.pos_embed.proj.register_forward_hook(lambda _layer, _input, found: found + share)

    def fresh_control(self) -> dict[str, nn.Module]:
        return {"mask_embedding": self._mask_embedding()}
