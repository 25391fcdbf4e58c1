"""Single files in the layouts in which the five families were first published, as diffusers names them.

The rearranging is diffusers' own where it has a converter. For PixArt it has none in the library, and that of
Flux knows only the width of FLUX.1, so those two are completed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from diffusers.loaders import single_file_utils
from torch import Tensor

from synthesis.errors import SynthesisError

Tensors = dict[str, Tensor]
converters: Any = single_file_utils  # without types

DENOISER = ("model.diffusion_model.", "")  # with the prefix of whole checkpoints, or alone in its file
# What names each family among the tensors of its denoiser, with what stands beside it where that decides.
MARKS = {
    "sdxl": "input_blocks.0.0.weight",
    "stable_diffusion": "input_blocks.0.0.weight",
    "sd3": "joint_blocks.0.x_block.attn.qkv.weight",
    "flux": "double_blocks.0.img_attn.qkv.weight",
    "pixart": "blocks.0.cross_attn.kv_linear.weight",
}
SDXL_MARK = "label_emb.0.0.weight"  # what is added to the time embedding, which 1.x does not have
PREFIXES: dict[tuple[str, str], tuple[str, ...]] = {
    ("stable_diffusion", "text_encoder"): ("cond_stage_model.transformer.",),
    ("sdxl", "text_encoder"): ("conditioner.embedders.0.transformer.",),
    ("sdxl", "text_encoder_2"): ("conditioner.embedders.1.model.",),
    ("sd3", "text_encoder"): ("text_encoders.clip_l.transformer.",),
    ("sd3", "text_encoder_2"): ("text_encoders.clip_g.transformer.",),
    ("sd3", "text_encoder_3"): ("text_encoders.t5xxl.transformer.",),
    ("flux", "text_encoder"): ("text_encoders.clip_l.transformer.",),
    ("flux", "text_encoder_2"): ("text_encoders.t5xxl.transformer.",),
}
VAE_PREFIXES = ("first_stage_model.", "vae.")
# diffusers' name: the published one, in PixArt's blocks and around them (transformer_blocks.N <- blocks.N).
PIXART = {
    "pos_embed.proj": "x_embedder.proj",
    "caption_projection.linear_1": "y_embedder.y_proj.fc1",
    "caption_projection.linear_2": "y_embedder.y_proj.fc2",
    "adaln_single.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "adaln_single.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "adaln_single.emb.resolution_embedder.linear_1": "csize_embedder.mlp.0",
    "adaln_single.emb.resolution_embedder.linear_2": "csize_embedder.mlp.2",
    "adaln_single.emb.aspect_ratio_embedder.linear_1": "ar_embedder.mlp.0",
    "adaln_single.emb.aspect_ratio_embedder.linear_2": "ar_embedder.mlp.2",
    "adaln_single.linear": "t_block.1",
    "proj_out": "final_layer.linear",
}
PIXART_BLOCK = {
    "attn1.to_out.0": "attn.proj",
    "ff.net.0.proj": "mlp.fc1",
    "ff.net.2": "mlp.fc2",
    "attn2.to_q": "cross_attn.q_linear",
    "attn2.to_out.0": "cross_attn.proj",
}
PIXART_SPLIT = {
    "attn.qkv": ("attn1.to_q", "attn1.to_k", "attn1.to_v"),
    "cross_attn.kv_linear": ("attn2.to_k", "attn2.to_v"),
}
FLUX_WIDTH = 3072  # what diffusers' converter takes the single blocks to have
FLUX_LINEAR = FLUX_WIDTH * 7  # q, k, v and the MLP of 4 times the width


def family_of(names: Iterable[str]) -> str | None:
    """Which family a file's tensors are of; None where they are in no layout that is known."""
    known = set(names)
    for family, mark in MARKS.items():
        if not any(prefix + mark in known for prefix in DENOISER):
            continue
        if family != "sdxl" or any(prefix + SDXL_MARK in known for prefix in DENOISER):
            return family
    return None


def part_of(family: str, component: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """The tensors of one component, still under the file's names; none where the file does not hold it."""
    if component == "vae":
        prefixes: tuple[str, ...] = VAE_PREFIXES
    elif component in ("unet", "transformer"):
        marked = [p for p in DENOISER if p + MARKS[family] in tensors]
        if not marked:
            return {}
        others = (*VAE_PREFIXES, "cond_stage_model.", "conditioner.", "text_encoders.", "model_ema.")
        return {
            name.removeprefix(marked[0]): tensor
            for name, tensor in tensors.items()
            if name.startswith(marked[0]) and not name.startswith(others)
        }
    else:
        prefixes = PREFIXES.get((family, component), ())
    return {
        name.removeprefix(prefix): tensor
        for prefix in prefixes
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def taken_channels(tensors: Mapping[str, Tensor]) -> int:
    """How many channels Stable Diffusion's U-Net takes: 4, or 8 where it is also shown an image to change."""
    first = part_of("stable_diffusion", "unet", tensors)[MARKS["stable_diffusion"]]
    return int(first.shape[1])


def rearranged(family: str, component: str, part: Mapping[str, Tensor], config: Mapping[str, Any]) -> Tensors:
    """One component's tensors under diffusers' names; `part` as `part_of` gives it, on any device.

    Raises SynthesisError where the tensors are not in the layout that they announce.
    """
    try:
        return _converter(family, component, part)(dict(part), dict(config))
    except (KeyError, AttributeError, IndexError, TypeError, ValueError, RuntimeError) as problem:
        raise SynthesisError(
            f"The {component} in this file is not laid out as that of {family} models is, so it was not "
            f"taken ({type(problem).__name__}: {str(problem)[:120]})."
        ) from problem


def _converter(
    family: str, component: str, part: Mapping[str, Tensor]
) -> Callable[[Tensors, dict[str, Any]], Tensors]:
    if component == "vae":
        return _vae if "encoder.down.0.block.0.norm1.weight" in part else _as_it_is
    if component == "unet":
        return _unet if MARKS["sdxl"] in part else _as_it_is
    if component == "transformer":
        return {"sd3": _sd3, "flux": _flux, "pixart": _pixart}[family] if MARKS[family] in part else _as_it_is
    if "transformer.resblocks.0.attn.in_proj_weight" in part:
        return _open_clip
    return _projected if (family, component) == ("sd3", "text_encoder") else _as_it_is


def _as_it_is(part: Tensors, config: dict[str, Any]) -> Tensors:
    return part


def _projected(part: Tensors, config: dict[str, Any]) -> Tensors:
    """SD3's first CLIP was published without the projection of its class: the identity stands for it."""
    width = int(config["hidden_size"])
    like = next(iter(part.values()))
    return {"text_projection.weight": torch.eye(width, dtype=like.dtype, device=like.device), **part}


def _unet(part: Tensors, config: dict[str, Any]) -> Tensors:
    prefix = converters.LDM_UNET_KEY
    found: Tensors = converters.convert_ldm_unet_checkpoint({prefix + k: v for k, v in part.items()}, config)
    return found


def _vae(part: Tensors, config: dict[str, Any]) -> Tensors:
    prefix = VAE_PREFIXES[0]
    found: Tensors = converters.convert_ldm_vae_checkpoint({prefix + k: v for k, v in part.items()}, config)
    return found


def _open_clip(part: Tensors, config: dict[str, Any]) -> Tensors:
    found: Tensors = converters.convert_open_clip_checkpoint(None, part, prefix="")
    return found


def _sd3(part: Tensors, config: dict[str, Any]) -> Tensors:
    found: Tensors = converters.convert_sd3_transformer_checkpoint_to_diffusers(part)
    return found


def _flux(part: Tensors, config: dict[str, Any]) -> Tensors:
    """The converter's cut of the single blocks' first layer holds for one width; the real one replaces it."""
    ending = ("linear1.weight", "linear1.bias")
    joint = {k: v for k, v in part.items() if k.startswith("single_blocks.") and k.endswith(ending)}
    width = part["img_in.weight"].shape[0]
    stand_in = torch.empty(FLUX_LINEAR, 0, device="meta")
    found: Tensors = converters.convert_flux_transformer_checkpoint_to_diffusers(
        part | dict.fromkeys(joint, stand_in)
    )
    for name, tensor in joint.items():
        number, kind = name.split(".")[1], name.rpartition(".")[2]
        pieces = torch.split(tensor, [width, width, width, tensor.shape[0] - 3 * width])
        for target, piece in zip(("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"), pieces):
            found[f"single_transformer_blocks.{number}.{target}.{kind}"] = piece.contiguous()
    return found


def _pixart(part: Tensors, config: dict[str, Any]) -> Tensors:
    """Names and cuts of PixArt-alpha's own code (github.com/PixArt-alpha/PixArt-alpha, diffusion/model/)."""
    found: Tensors = {"scale_shift_table": part["final_layer.scale_shift_table"]}
    for own, published in PIXART.items():
        for kind in ("weight", "bias"):
            if f"{published}.{kind}" in part:
                found[f"{own}.{kind}"] = part[f"{published}.{kind}"]
    count = 1 + max(int(name.split(".")[1]) for name in part if name.startswith("blocks."))
    for number in range(count):
        old, new = f"blocks.{number}.", f"transformer_blocks.{number}."
        found[new + "scale_shift_table"] = part[old + "scale_shift_table"]
        for kind in ("weight", "bias"):
            for own, published in PIXART_BLOCK.items():
                found[f"{new}{own}.{kind}"] = part[f"{old}{published}.{kind}"]
            for published, owns in PIXART_SPLIT.items():
                pieces = part[f"{old}{published}.{kind}"].chunk(len(owns))
                found |= {f"{new}{own}.{kind}": piece.contiguous() for own, piece in zip(owns, pieces)}
    return found
