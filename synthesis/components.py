"""Components of networks on latents: what a recipe says of them, and how they are made from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ControlNetModel, ModelMixin
from torch import nn

from synthesis.control.painting import LABEL_COUNT, PLANES
from synthesis.variance_preserving import PREDICTIONS

CONTROLS = ("", "planes", "picture")
FLOW = "flow"
HINT_CHANNELS = (16, 32, 96, 256)  # of a ControlNet that reads pixels, which it halves between each two
MARKS = ("_use_default_values", "_name_or_path")
ENCODERS = {"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2", "text_encoder_3": "tokenizer_3"}


@dataclass(frozen=True, kw_only=True)
class LatentOptions:
    """Shape of the network; a checkpoint's recipe carries these values under `backbone`.

    components: name -> the component's config, as diffusers or transformers write it.
    control: how the mask enters: "" not at all, "planes" as painted, "picture" in colours (a ControlNet
        from elsewhere).
    palette: "#rrggbb" for each label value, for "picture"; left out, the colours of the label set.
    """

    components: Mapping[str, Mapping[str, Any]]
    control: str = ""
    palette: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        plain = json.loads(json.dumps({name: without_marks(c) for name, c in self.components.items()}))
        object.__setattr__(self, "components", plain)
        object.__setattr__(self, "palette", tuple(self.palette))
        if self.control not in CONTROLS:
            raise ValueError(
                f"control: expected one of {', '.join(CONTROLS[1:])} or none, got {self.control}."
            )
        if self.palette and len(self.palette) < LABEL_COUNT:
            raise ValueError(f"palette: expected {LABEL_COUNT} colours, got {len(self.palette)}.")


@dataclass(frozen=True, kw_only=True)
class NoiseOptions(LatentOptions):
    """A network of a variance-preserving schedule.

    prediction: what it answers: "epsilon", "v_prediction", "sample"; or "flow", the noise minus the data,
        where it was fine-tuned to a rectified flow.
    schedule: its betas, as a scheduler of diffusers is configured.
    """

    prediction: str = "epsilon"
    schedule: Mapping[str, Any]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "schedule", json.loads(json.dumps(dict(self.schedule))))
        if self.prediction not in (*PREDICTIONS, FLOW):
            known = ", ".join((*PREDICTIONS, FLOW))
            raise ValueError(f"prediction: expected one of {known}, got {self.prediction}.")


def built(kind: Any, config: Mapping[str, Any]) -> nn.Module:
    """A component with fresh weights, by its class and config."""
    made: nn.Module
    if issubclass(kind, ModelMixin):
        made = kind.from_config(without_marks(config))
    else:
        made = kind(kind.config_class.from_dict(dict(config)))
    return made


def config_of(component: Any) -> dict[str, Any]:
    """The config of a component of diffusers or transformers, as plain JSON."""
    config = component.config
    values = dict(config) if isinstance(component, ModelMixin) else config.to_dict()
    plain: dict[str, Any] = json.loads(json.dumps(without_marks(values)))
    return plain


def without_marks(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config without what diffusers notes in it about its making.

    It would take the values that it marks as defaults from its own version, not from the config.
    """
    return {key: value for key, value in config.items() if key not in MARKS}


def copy_fitting(source: nn.Module, target: nn.Module) -> None:
    """Give `target` the weights of `source` that it has under the same name in the same shape."""
    own = target.state_dict()
    fitting = {k: v for k, v in source.state_dict().items() if k in own and own[k].shape == v.shape}
    target.load_state_dict(own | fitting)


def controlnet_for_planes(unet: nn.Module, factor: int) -> nn.Module:
    """A ControlNet with a U-Net's weights for planes, `factor` pixels to a latent; it adds nothing yet."""
    halvings = factor.bit_length() - 1
    made: nn.Module = ControlNetModel.from_unet(
        unet,
        conditioning_channels=PLANES,
        conditioning_embedding_out_channels=HINT_CHANNELS[: halvings + 1],
    )
    return made


def widened(trunk: Any, channels: int) -> nn.Module:
    """A U-Net whose first convolution takes `channels`, the ones that are new with weights of zero."""
    weights = dict(trunk.state_dict(keep_vars=True))
    first = weights["conv_in.weight"]
    more = first.new_zeros(first.shape[0], channels - first.shape[1], *first.shape[2:])
    weights["conv_in.weight"] = nn.Parameter(torch.cat([first.detach(), more], dim=1), first.requires_grad)
    with torch.device("meta"):
        made = built(type(trunk), config_of(trunk) | {"in_channels": channels})
    made.load_state_dict(weights, assign=True)
    return made.train(trunk.training)


def execution_device(component: nn.Module) -> torch.device:
    """Where a component computes: where its weights are, or where accelerate brings them for a call."""
    hook = getattr(component, "_hf_hook", None)
    device = getattr(hook, "execution_device", None)
    return torch.device(device) if device is not None else next(component.parameters()).device
