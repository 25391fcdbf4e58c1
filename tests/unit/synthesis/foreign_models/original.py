"""Tiny models of diffusers written back into the layouts in which the families were first published.

The inverse of what is under test, by the tables of the published code (latent-diffusion's openaimodel.py,
open_clip, SD3's mmditx.py, Flux's model.py, PixArt's PixArt.py): none of it is taken from a converter.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}


def original(name: str, pipe: Any) -> Tensors:
    """A whole pipeline as one file's tensors: what the family's makers put into a single file."""
    return {
        "stable_diffusion": _stable_diffusion,
        "sdxl": _sdxl,
        "sd3": _sd3,
        "flux": _flux,
        "pixart": _pixart,
    }[name](pipe)


def _stable_diffusion(pipe: Any) -> Tensors:
    return {
        **_under("model.diffusion_model.", unet(pipe.unet)),
        **_under("first_stage_model.", vae(pipe.vae)),
        **_under("cond_stage_model.transformer.", clip(pipe.text_encoder)),
        "alphas_cumprod": torch.linspace(1, 0, 10),  # buffers of the training code that nobody needs
    }


def _sdxl(pipe: Any) -> Tensors:
    return {
        **_under("model.diffusion_model.", unet(pipe.unet)),
        **_under("first_stage_model.", vae(pipe.vae)),
        **_under("conditioner.embedders.0.transformer.", clip(pipe.text_encoder)),
        **_under("conditioner.embedders.1.model.", open_clip(pipe.text_encoder_2)),
    }


def _sd3(pipe: Any) -> Tensors:
    clip_l, clip_g = clip(pipe.text_encoder), clip(pipe.text_encoder_2)
    return {
        **_under("model.diffusion_model.", mmdit(pipe.transformer)),
        **_under("first_stage_model.", vae(pipe.vae)),
        **_under("text_encoders.clip_l.transformer.", clip_l),
        **_under("text_encoders.clip_g.transformer.", clip_g),
        **_under("text_encoders.t5xxl.transformer.", t5(pipe.text_encoder_3)),
    }


def _flux(pipe: Any) -> Tensors:
    return flux(pipe.transformer)


def _pixart(pipe: Any) -> Tensors:
    return pixart(pipe.transformer)


def unet(network: Any) -> Tensors:
    """openaimodel.py: blocks are counted through, attention stands second in them."""
    layers = network.config.layers_per_block
    found = {}
    for key, tensor in network.state_dict().items():
        parts = key.split(".")
        if parts[0] in ("down_blocks", "up_blocks"):
            level, kind, place, rest = int(parts[1]), parts[2], int(parts[3]), ".".join(parts[4:])
            down = parts[0] == "down_blocks"
            stem = "input_blocks" if down else "output_blocks"
            number = level * (layers + 1) + place + (1 if down else 0)
            if kind == "resnets":
                new = f"{stem}.{number}.0.{_renamed(rest, RESNET)}"
            elif kind == "attentions":
                new = f"{stem}.{number}.1.{rest}"
            elif down:
                new = f"{stem}.{(level + 1) * (layers + 1)}.0.{rest.replace('conv', 'op')}"
            else:
                attended = any(k.startswith(f"up_blocks.{level}.attentions") for k in network.state_dict())
                new = f"{stem}.{level * (layers + 1) + layers}.{2 if attended else 1}.{rest}"
        elif parts[0] == "mid_block":
            number = 1 if parts[1] == "attentions" else 2 * int(parts[2])
            rest = ".".join(parts[3:])
            new = f"middle_block.{number}.{rest if number == 1 else _renamed(rest, RESNET)}"
        else:
            new = _renamed(key, UNET)
        found[new] = tensor
    return found


def vae(network: Any) -> Tensors:
    """autoencoder.py: the decoder's levels are counted from the finest, attention is by 1x1 convolutions."""
    count = len(network.config.block_out_channels)
    found = {}
    for key, tensor in network.state_dict().items():
        new = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        parts = new.split(".")
        if "down_blocks" in parts or "up_blocks" in parts:
            side, blocks, level, kind, place, *rest = parts
            if blocks == "up_blocks":
                level = str(count - 1 - int(level))
            middle = f"block.{place}" if kind == "resnets" else {"d": "downsample", "u": "upsample"}[kind[0]]
            new = ".".join([side, blocks.removesuffix("_blocks"), level, middle, *rest])
        elif "mid_block" in parts:
            side, _, kind, place, *rest = parts
            if kind == "resnets":
                new = ".".join([side, "mid", f"block_{int(place) + 1}", *rest])
            else:
                new = f"{side}.mid.attn_1.{_renamed('.'.join(rest), VAE_ATTENTION)}"
                if tensor.ndim == 2:
                    tensor = tensor[:, :, None, None]
        found[new] = tensor
    return found


def clip(encoder: Any) -> Tensors:
    """As transformers wrote it before its text model became flat, with the counted positions."""
    found = {}
    for key, tensor in encoder.state_dict().items():
        plain = key.removeprefix("text_model.")
        found[plain if plain.startswith("text_projection") else "text_model." + plain] = tensor
    length = encoder.config.max_position_embeddings
    return {**found, "text_model.embeddings.position_ids": torch.arange(length)[None].float()}


def open_clip(encoder: Any) -> Tensors:
    """open_clip's text tower: one matrix for q, k and v, the projection from the left."""
    found: Tensors = {}
    for key, tensor in encoder.state_dict().items():
        plain = key.removeprefix("text_model.")
        if plain == "text_projection.weight":
            found["text_projection"] = tensor.T.contiguous()
        elif plain.startswith("encoder.layers."):
            _, _, number, rest = plain.split(".", 3)
            stem = f"transformer.resblocks.{number}."
            for kind in ("weight", "bias"):
                if rest == f"self_attn.q_proj.{kind}":
                    whole = [encoder.state_dict()[key.replace("q_proj", f"{one}_proj")] for one in "qkv"]
                    found[f"{stem}attn.in_proj_{kind}"] = torch.cat(whole)
            if rest.startswith("self_attn.out_proj"):
                found[stem + rest.replace("self_attn", "attn")] = tensor
            elif not rest.startswith("self_attn"):
                found[stem + _renamed(rest, OPEN_CLIP)] = tensor
        else:
            renamed = plain.replace("final_layer_norm", "ln_final")
            renamed = renamed.replace("embeddings.token_embedding", "token_embedding")
            found[renamed.replace("embeddings.position_embedding.weight", "positional_embedding")] = tensor
    return found


def t5(encoder: Any) -> Tensors:
    """As transformers writes it, the shared table once."""
    return {key: value for key, value in encoder.state_dict().items() if key != "encoder.embed_tokens.weight"}


def mmdit(network: Any) -> Tensors:
    """mmditx.py: one matrix for q, k and v; the last layer's shift and scale the other way round."""
    own = network.state_dict()
    found = {
        "pos_embed": own["pos_embed.pos_embed"],
        "final_layer.adaLN_modulation.1.weight": _swapped(own["norm_out.linear.weight"]),
        "final_layer.adaLN_modulation.1.bias": _swapped(own["norm_out.linear.bias"]),
    }
    heads = {
        "pos_embed.proj": "x_embedder.proj",
        "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
        "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
        "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
        "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
        "context_embedder": "context_embedder",
        "proj_out": "final_layer.linear",
    }
    layers = network.config.num_layers
    sides = {
        "x_block": (("to_q", "to_k", "to_v"), "to_out.0", "norm1", "ff"),
        "context_block": (
            ("add_q_proj", "add_k_proj", "add_v_proj"),
            "to_add_out",
            "norm1_context",
            "ff_context",
        ),
    }
    for kind in ("weight", "bias"):
        found |= {f"{new}.{kind}": own[f"{old}.{kind}"] for old, new in heads.items()}
        for number in range(layers):
            for side, (cut, out, norm, ff) in sides.items():
                old, new = f"transformer_blocks.{number}.", f"joint_blocks.{number}.{side}."
                last = number == layers - 1 and side == "context_block"
                found[f"{new}attn.qkv.{kind}"] = torch.cat([own[f"{old}attn.{one}.{kind}"] for one in cut])
                modulation = own[f"{old}{norm}.linear.{kind}"]
                found[f"{new}adaLN_modulation.1.{kind}"] = _swapped(modulation) if last else modulation
                if not last:
                    found[f"{new}attn.proj.{kind}"] = own[f"{old}attn.{out}.{kind}"]
                    found[f"{new}mlp.fc1.{kind}"] = own[f"{old}{ff}.net.0.proj.{kind}"]
                    found[f"{new}mlp.fc2.{kind}"] = own[f"{old}{ff}.net.2.{kind}"]
    return found


def flux(network: Any) -> Tensors:
    """model.py: as SD3's double blocks, and single blocks with q, k, v and the MLP in one matrix."""
    own = network.state_dict()
    found: Tensors = {}
    heads = {
        "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
        "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
        "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
        "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
        "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
        "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
        "context_embedder": "txt_in",
        "x_embedder": "img_in",
        "proj_out": "final_layer.linear",
    }
    sides = {
        "img": (("to_q", "to_k", "to_v"), "to_out.0", "norm1", "ff", ("norm_q", "norm_k")),
        "txt": (
            ("add_q_proj", "add_k_proj", "add_v_proj"),
            "to_add_out",
            "norm1_context",
            "ff_context",
            ("norm_added_q", "norm_added_k"),
        ),
    }
    for kind in ("weight", "bias"):
        found |= {f"{new}.{kind}": own[f"{o}.{kind}"] for o, new in heads.items() if f"{o}.{kind}" in own}
        found[f"final_layer.adaLN_modulation.1.{kind}"] = _swapped(own[f"norm_out.linear.{kind}"])
        for number in range(network.config.num_layers):
            old, new = f"transformer_blocks.{number}.", f"double_blocks.{number}."
            for side, (cut, out, norm, ff, norms) in sides.items():
                found[f"{new}{side}_mod.lin.{kind}"] = own[f"{old}{norm}.linear.{kind}"]
                found[f"{new}{side}_attn.qkv.{kind}"] = torch.cat([own[f"{old}attn.{c}.{kind}"] for c in cut])
                found[f"{new}{side}_attn.proj.{kind}"] = own[f"{old}attn.{out}.{kind}"]
                found[f"{new}{side}_mlp.0.{kind}"] = own[f"{old}{ff}.net.0.proj.{kind}"]
                found[f"{new}{side}_mlp.2.{kind}"] = own[f"{old}{ff}.net.2.{kind}"]
                for one, name in zip(norms, ("query_norm", "key_norm")):
                    found[f"{new}{side}_attn.norm.{name}.scale"] = own[f"{old}attn.{one}.weight"]
        for number in range(network.config.num_single_layers):
            old, new = f"single_transformer_blocks.{number}.", f"single_blocks.{number}."
            cut = ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
            found[f"{new}modulation.lin.{kind}"] = own[f"{old}norm.linear.{kind}"]
            found[f"{new}linear1.{kind}"] = torch.cat([own[f"{old}{one}.{kind}"] for one in cut])
            found[f"{new}linear2.{kind}"] = own[f"{old}proj_out.{kind}"]
            for one, name in (("norm_q", "query_norm"), ("norm_k", "key_norm")):
                found[f"{new}norm.{name}.scale"] = own[f"{old}attn.{one}.weight"]
    return found


def pixart(network: Any) -> Tensors:
    """PixArt.py: q, k, v of the image in one matrix, k and v of the text in another."""
    own = network.state_dict()
    found = {
        "final_layer.scale_shift_table": own["scale_shift_table"],
        "pos_embed": own.get("pos_embed.pos_embed", torch.zeros(1, 1, 1)),
        "y_embedder.y_embedding": torch.zeros(1, 1),
    }
    heads = {
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
    plain = {
        "attn1.to_out.0": "attn.proj",
        "ff.net.0.proj": "mlp.fc1",
        "ff.net.2": "mlp.fc2",
        "attn2.to_q": "cross_attn.q_linear",
        "attn2.to_out.0": "cross_attn.proj",
    }
    for kind in ("weight", "bias"):
        found |= {f"{new}.{kind}": own[f"{o}.{kind}"] for o, new in heads.items() if f"{o}.{kind}" in own}
        for number in range(network.config.num_layers):
            old, new = f"transformer_blocks.{number}.", f"blocks.{number}."
            found[new + "scale_shift_table"] = own[old + "scale_shift_table"]
            found |= {f"{new}{there}.{kind}": own[f"{old}{here}.{kind}"] for here, there in plain.items()}
            for joint, cut in (
                ("attn.qkv", ("attn1.to_q", "attn1.to_k", "attn1.to_v")),
                ("cross_attn.kv_linear", ("attn2.to_k", "attn2.to_v")),
            ):
                found[f"{new}{joint}.{kind}"] = torch.cat([own[f"{old}{one}.{kind}"] for one in cut])
    return found


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _renamed(key: str, table: dict[str, str]) -> str:
    for old, new in table.items():
        if key == old or key.startswith(old + "."):
            return new + key.removeprefix(old)
    return key


def _swapped(tensor: Tensor) -> Tensor:
    scale, shift = tensor.chunk(2)
    return torch.cat([shift, scale])
