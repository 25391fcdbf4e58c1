"""Settings of components from elsewhere: known classes only, known keys only, nothing absurd.

A config may name code to run (auto_map), kernels to fetch, a custom class, or a billion layers. What is kept
are plain values under names that the component's own class takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from diffusers import ModelMixin
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel

from synthesis.catalog import BACKBONES
from synthesis.errors import SynthesisError
from synthesis.latents import LatentNetwork

PIPELINES = {
    "StableDiffusionPipeline": "stable_diffusion",
    "StableDiffusionControlNetPipeline": "stable_diffusion",
    "StableDiffusionInstructPix2PixPipeline": "stable_diffusion",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLControlNetPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd3",
    "StableDiffusion3ControlNetPipeline": "sd3",
    "PixArtAlphaPipeline": "pixart",
    "FluxPipeline": "flux",
    "FluxControlNetPipeline": "flux",
}
FAMILIES = tuple(dict.fromkeys(PIPELINES.values()))
REQUIRED = {  # without these a family cannot read prompts; SD3 does without T5
    "stable_diffusion": ("text_encoder",),
    "sdxl": ("text_encoder", "text_encoder_2"),
    "sd3": ("text_encoder", "text_encoder_2"),
    "pixart": ("text_encoder",),
    "flux": ("text_encoder", "text_encoder_2"),
}
CODE = ("auto_map", "custom_pipelines", "trust_remote_code", "quantization_config")
LARGEST = 2**20  # no width, vocabulary or length of the families comes near
MOST_LAYERS = 512
LAYERS = ("layers", "heads", "blocks", "num_block", "extra_conditioning_channels")
LONGEST_LIST, LONGEST_TEXT = 64, 200


def network_of(family: str) -> type[LatentNetwork]:
    """The network of a family; SynthesisError where there is none of that name."""
    if family not in FAMILIES or family not in BACKBONES:
        raise SynthesisError(
            f"There is no family of networks {family[:60]!r} here; known are {', '.join(FAMILIES)}."
        )
    found: type[LatentNetwork] = BACKBONES[family].load()
    return found


def family_of_pipeline(index: Mapping[str, Any]) -> str:
    """The family that a model_index.json names; SynthesisError for pipelines that are not run here."""
    named = index.get("_class_name")
    if isinstance(named, str) and named in PIPELINES:
        return PIPELINES[named]
    raise SynthesisError(
        f"This folder is for the pipeline {str(named)[:80]!r}, which is not run here. Known are "
        f"{', '.join(PIPELINES)}."
    )


def check_class(family: str, component: str, named: Any) -> bool:
    """Whether the folder has the component: [library, class] of its index; an absent one is [null, null].

    Raises SynthesisError for a class that is not the family's own: no other is ever made.
    """
    wanted = network_of(family).classes[component]
    pair = named if isinstance(named, list) and len(named) == 2 else [None, str(named)[:80]]
    if pair == [None, None]:
        return False
    kinds = {wanted.__name__}
    if wanted in (CLIPTextModel, CLIPTextModelWithProjection):
        kinds = {CLIPTextModel.__name__, CLIPTextModelWithProjection.__name__}
    if pair[0] not in ("diffusers", "transformers") or pair[1] not in kinds:
        raise SynthesisError(
            f"This folder's {component} is of the class {str(pair[1])[:80]!r}; only {wanted.__name__} is "
            "taken."
        )
    return True


def tokenizer_kind(network: type[LatentNetwork], component: str) -> str:
    """ "t5" or "clip": which tokens a text encoder reads."""
    return "t5" if network.classes[component] is T5EncoderModel else "clip"


def clean_config(kind: type[nn.Module], config: Mapping[str, Any], component: str) -> dict[str, Any]:
    """The settings that the class takes, as plain values within reason.

    Raises SynthesisError for settings that name code to run or that no network could have.
    """
    forbidden = [key for key in CODE if config.get(key)]
    if forbidden:
        raise SynthesisError(
            f"The settings of the {component} ask for {forbidden[0]}, which would bring code or other "
            "weights along. They were not followed, and nothing was installed."
        )
    known = _known(kind)
    kept = {key: value for key, value in config.items() if key in known and not key.startswith("_")}
    for key, value in kept.items():
        _check(component, key, value)
    return kept


def _known(kind: type[nn.Module]) -> set[str]:
    if issubclass(kind, ModelMixin):
        return set(inspect.signature(kind.__init__).parameters) - {"self"}
    maker: Any = kind
    apart = {
        "architectures",
        "dtype",
        "torch_dtype",
        "transformers_version",
        "model_type",
        "id2label",
        "label2id",
    }
    return set(maker.config_class().to_dict()) - apart


def _check(component: str, key: str, value: Any) -> None:
    many = any(word in key for word in LAYERS)
    fine = value is None or isinstance(value, bool)
    if isinstance(value, int | float) and not isinstance(value, bool):
        fine = abs(value) <= (MOST_LAYERS if many else LARGEST)
    elif isinstance(value, str):
        fine = len(value) <= LONGEST_TEXT
    elif isinstance(value, list):
        fine = len(value) <= LONGEST_LIST
        for one in value:
            _check(component, key, one)
    elif isinstance(value, dict):
        fine = len(value) <= LONGEST_LIST and not isinstance(value.get("auto_map"), dict)
    if not fine:
        raise SynthesisError(
            f"The settings of the {component} say {key} = {str(value)[:60]}, which no network of its kind "
            "has."
        )
