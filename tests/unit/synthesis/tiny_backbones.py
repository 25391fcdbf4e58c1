"""The five networks on latents, tiny, whole and random: pipelines of diffusers and ours, sharing weights."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import diffusers
import torch

from synthesis.catalog import BACKBONES
from synthesis.checkpoints import LoadedModel
from synthesis.components import config_of
from synthesis.imaging.intensity import normalisations
from synthesis.latents import LatentNetwork
from tests.unit.synthesis import tiny_text as text
from tests.unit.synthesis.tiny_model import tiny_recipe
from tests.unit.synthesis.tiny_pipelines import pipeline, vae

FAMILIES = {"stable_diffusion": "sd", "sdxl": "sdxl", "sd3": "sd3", "pixart": "pixart", "flux": "flux"}
SIDE = 32  # pixels; latents have half as many
WITHOUT_T5 = "sd3 without T5"


def _texts(name: str) -> dict[str, Any]:
    """Text encoders and tokenizers of a family, by the names of its pipeline."""
    first, second, third = text.clip_tokenizer(), text.clip_tokenizer(text.EMPTY), text.t5_tokenizer()
    if name == "stable_diffusion":
        return {"text_encoder": text.clip(first, 16), "tokenizer": first}
    if name == "sdxl":
        return {
            "text_encoder": text.clip(first, 8),
            "tokenizer": first,
            "text_encoder_2": text.projected_clip(second, 8, 32),
            "tokenizer_2": second,
        }
    if name == "sd3":
        return {
            "text_encoder": text.projected_clip(first, 8, 32),
            "tokenizer": first,
            "text_encoder_2": text.projected_clip(second, 16, 32),
            "tokenizer_2": second,
            "text_encoder_3": text.t5(third, 32),
            "tokenizer_3": third,
        }
    if name == "pixart":
        return {"text_encoder": text.t5(third, 32), "tokenizer": third}
    return {
        "text_encoder": text.clip(first, 32),
        "tokenizer": first,
        "text_encoder_2": text.t5(third, 32),
        "tokenizer_2": third,
    }


def tiny_pipeline(name: str, **instead: Any) -> diffusers.DiffusionPipeline:
    """A fresh pipeline of a family with its text encoders, all its own; `instead` replaces components."""
    plain = copy.deepcopy(pipeline(FAMILIES[name]))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        own: dict[str, Any] = _texts(name)
        flow = name in ("sd3", "flux")
        own["vae"] = vae(4, quant=not flow, scaling=0.7, shift=0.1 if flow else 0.0)
    made = type(plain)(**plain.components | own | instead, **_flags(name))
    made.set_progress_bar_config(disable=True)
    return made


def _flags(name: str) -> dict[str, Any]:
    return {"stable_diffusion": {"requires_safety_checker": False}, "sdxl": {"add_watermarker": False}}.get(
        name, {}
    )


def network_of(name: str, pipe: diffusers.DiffusionPipeline, **options: Any) -> LatentNetwork:
    """Our network around a pipeline's own components, in evaluation mode."""
    kind = BACKBONES[name].load()
    parts = {key: part for key, part in pipe.components.items() if key in kind.classes and part is not None}
    described = BACKBONES[name].load_options()(
        components={key: config_of(part) for key, part in parts.items()}, **options
    )
    with torch.random.fork_rng():
        torch.manual_seed(4)
        made: LatentNetwork = kind(described)
    for key, part in parts.items():
        made.add_module(key, part)
    made.use_tokenizers(
        {
            key: text.packed_json(part)
            for key, part in pipe.components.items()
            if key.startswith("tokenizer") and part is not None
        }
    )
    return made.eval().requires_grad_(False)


@cache
def tiny_network(name: str) -> LatentNetwork:
    """A network of a family, random weights, without mask control; shared, not to be changed."""
    return network_of(name, tiny_pipeline(name))


def stir(module: torch.nn.Module, seed: int = 6) -> None:
    """Put random numbers into every weight that is zero, so that fresh parts say something."""
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            if not weight.any():
                weight.copy_(0.1 * torch.randn(weight.shape, generator=drawn))


def tiny_latent_model(name: str, network: LatentNetwork | None = None) -> LoadedModel:
    """A loaded model of 32 x 32 pixels whose -1..1 is HU or signal as in the tiny recipe."""
    recipe = tiny_recipe()
    used = network or tiny_network(name)
    return LoadedModel(used, recipe | {"backbone": used.recipe()}, "0" * 64, normalisations(recipe))
