"""Flux.1: a transformer on packed latents, trained as a rectified flow, told by CLIP and T5."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, FluxControlNetModel, FluxTransformer2DModel
from torch import Tensor, nn
from transformers import CLIPTextModel, T5EncoderModel

from synthesis.components import LatentOptions, built, copy_fitting
from synthesis.control.painting import PLANES
from synthesis.control.text import Prompts, TextCondition
from synthesis.latents import FlowNetwork

PACK = 2  # latents to a side of one token
CONTROL_LAYERS = (4, 10)  # double and single blocks of a fresh ControlNet, at most


@dataclass(frozen=True, kw_only=True)
class Options(LatentOptions):
    """Shape of the network, and how it is asked.

    guidance: what the guidance embedding is told, where the network was distilled with one.
    static_shift: the shift of the time grid for any size; None: exp(mu), mu rising linearly with the
        number of tokens from base_shift at base_tokens to max_shift at max_tokens.
    """

    guidance: float = 3.5
    static_shift: float | None = None
    base_shift: float = 0.5
    max_shift: float = 1.15
    base_tokens: int = 256
    max_tokens: int = 4096


class Flux(FlowNetwork):
    """FluxTransformer2DModel (Black Forest Labs 2024): T5's tokens, CLIP's pooled output.

    The mask enters by a FluxControlNetModel: the planes, max-pooled to the latents, packed as those are
    and squeezed to their width by `mask_embedding`; or a picture, or a picture's latents.
    """

    name = "flux"
    trunk = "transformer"
    steps_per_sigma: ClassVar[float] = 1.0
    classes = {
        "transformer": FluxTransformer2DModel,
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
        "text_encoder_2": T5EncoderModel,
        "controlnet": FluxControlNetModel,
    }
    token_lengths = {"tokenizer": 77, "tokenizer_2": 512}
    options: Options

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if self._control is not None and self._control.union:
            raise ValueError("components: a ControlNet of several modes has none for masks.")
        if options.control == "planes":
            self.mask_embedding = self._mask_embedding()

    def _mask_embedding(self) -> nn.Linear:
        return nn.Linear(PLANES * PACK**2, int(self._trunk.config.in_channels))

    @property
    def token_width(self) -> int:
        return int(self._trunk.config.joint_attention_dim)

    @property
    def trunk_channels(self) -> int:
        return super().trunk_channels * PACK**2

    @property
    def patch(self) -> int:
        return PACK

    def shift(self, rows: int, columns: int) -> float:
        """s = exp(mu): sigma' = s sigma / (1 + (s - 1) sigma) is diffusers' exponential shift by mu."""
        o = self.options
        if o.static_shift is not None:
            return o.static_shift
        side = self.factor * PACK
        tokens = (rows // side) * (columns // side)
        slope = (o.max_shift - o.base_shift) / (o.max_tokens - o.base_tokens)
        return math.exp(o.base_shift + slope * (tokens - o.base_tokens))

    def encode_prompts(self, prompts: Sequence[str]) -> Prompts:
        numbers, _ = self.token_numbers("text_encoder", prompts)
        whole: Any = self.get_submodule("text_encoder")(numbers, output_hidden_states=False)
        numbers, mask = self.token_numbers("text_encoder_2", prompts)
        tokens = self.get_submodule("text_encoder_2")(numbers, output_hidden_states=False)[0]
        return Prompts(tokens, mask, whole.pooler_output.to(tokens))

    def picture(self, planes: Tensor) -> Tensor:
        """The picture [B, 3, H, W] for a ControlNet that reads it itself, else its latents [B, C, h, w]."""
        shown = 2 * super().picture(planes) - 1
        if self._control.input_hint_block is not None:
            return shown
        with torch.no_grad():
            latents: Tensor = self._in_own_type(lambda vae, x: vae.encode(x).latent_dist.mode(), shown)
        config = self.vae_config
        return (latents.float() - (config["shift_factor"] or 0.0)) * config["scaling_factor"]

    def predict(self, x: Tensor, step: Tensor, told: TextCondition, tokens: Tensor) -> Tensor:
        batch, _, rows, columns = x.shape
        shared: dict[str, Any] = {
            "hidden_states": packed(x),
            "timestep": step,
            "encoder_hidden_states": tokens.to(x.dtype),
            "pooled_projections": told.pooled.to(x.dtype),
            "txt_ids": torch.zeros(tokens.shape[1], 3, device=x.device, dtype=x.dtype),
            "img_ids": places(rows // PACK, columns // PACK).to(x.device, x.dtype),
            "return_dict": False,
        }
        strength = torch.full([batch], self.options.guidance, device=x.device, dtype=torch.float32)
        more: dict[str, Any] = {}
        if self._control is not None:
            blocks, singles = self._control(
                controlnet_cond=self._hint(told, x.dtype),
                guidance=strength if self._control.config.guidance_embeds else None,
                **shared,
            )
            more = {
                "controlnet_block_samples": blocks,
                "controlnet_single_block_samples": singles,
                "controlnet_blocks_repeat": self._control.input_hint_block is not None,
            }
        guidance = strength if self._trunk.config.guidance_embeds else None
        answer: Tensor = self._trunk(guidance=guidance, **shared, **more)[0]
        return unpacked(answer, rows, columns)

    def _hint(self, told: TextCondition, dtype: torch.dtype) -> Tensor:
        if self.options.control == "planes":
            return self.mask_embedding(packed(self.pooled_planes(told.planes, self.factor)).to(dtype))
        picture = told.picture.to(dtype)
        return picture if self._control.input_hint_block is not None else packed(picture)

    def fresh_control(self) -> dict[str, nn.Module]:
        """A ControlNet of the transformer's first blocks, with its weights."""
        own = dict(self._trunk.config)
        layers = [
            min(own[k], n) for k, n in zip(("num_layers", "num_single_layers"), CONTROL_LAYERS, strict=True)
        ]
        control: Any = built(
            FluxControlNetModel, own | {"num_layers": layers[0], "num_single_layers": layers[1]}
        )
        for part in (
            "time_text_embed",
            "context_embedder",
            "x_embedder",
            "transformer_blocks",
            "single_transformer_blocks",
        ):
            copy_fitting(getattr(self._trunk, part), getattr(control, part))
        return {"controlnet": control, "mask_embedding": self._mask_embedding()}


def packed(x: Tensor) -> Tensor:
    """[B, C, h, w] as tokens [B, h/2 w/2, 4 C]: a pixel's channels, each with its four places."""
    batch, channels, rows, columns = x.shape
    x = x.reshape(batch, channels, rows // PACK, PACK, columns // PACK, PACK)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * PACK**2)


def unpacked(tokens: Tensor, rows: int, columns: int) -> Tensor:
    """The other way round: tokens [B, h/2 w/2, 4 C] as [B, C, h, w]."""
    batch, _, width = tokens.shape
    x = tokens.reshape(batch, rows // PACK, columns // PACK, width // PACK**2, PACK, PACK)
    return x.permute(0, 3, 1, 4, 2, 5).reshape(batch, -1, rows, columns)


def places(rows: int, columns: int) -> Tensor:
    """Where each token of the image lies [rows * columns, 3]: 0, row, column."""
    grid = torch.zeros(rows, columns, 3)
    grid[..., 1] = torch.arange(rows)[:, None]
    grid[..., 2] = torch.arange(columns)[None, :]
    return grid.reshape(-1, 3)
