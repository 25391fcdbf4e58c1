"""Low-rank adapters (LoRA): put on a network, saved and loaded in peft's format, chosen without a reload.

    W x  becomes  W x + (alpha / r) B A x,   A [r, in], B [out, r], B = 0 at the start   (Hu et al. 2022)

An adapter's folder holds adapter_model.safetensors and adapter_config.json, as peft and diffusers write
and read them, and recipe.json: what it was trained for, and the digest of the one model that it fits.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    inject_adapter_in_model,
    set_peft_model_state_dict,
)
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from synthesis.checkpoints import LoadedModel, file_sha256
from synthesis.errors import SynthesisError

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
RECIPE_FILE = "recipe.json"
PREFIX = "base_model.model."  # peft's, before every name in the file
MOST_PATTERN = 300  # characters: the pattern of a foreign adapter is matched against every layer's name
BLOCKS = r".*\.(qkv|out|conv_in|conv_out|film)"  # all layers of the U-Net's blocks, not its first and last


@dataclass(frozen=True, kw_only=True)
class AdapterOptions:
    """rank: r. alpha: the adapter's strength is alpha / r. targets: the layers, by a whole-name pattern."""

    rank: int = 64
    alpha: float = 64.0
    targets: str = BLOCKS

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.alpha > 0:
            raise ValueError(f"rank and alpha: expected above 0, got {self.rank} and {self.alpha}.")
        if len(self.targets) > MOST_PATTERN:
            raise ValueError(f"targets: expected at most {MOST_PATTERN} characters, got {len(self.targets)}.")
        re.compile(self.targets)

    def config(self) -> LoraConfig:
        """The same in peft's words."""
        return LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=self.targets, lora_dropout=0.0)  # type: ignore[arg-type]


def with_adapter(network: nn.Module, options: AdapterOptions) -> PeftModel:
    """The network, frozen, with a fresh adapter to train, which changes no answer until it is trained.

    `disable_adapter()` of what is returned gives the frozen network's answers from the same weights.
    Raises ValueError where no layer's name fits `targets`.
    """
    found: Any = get_peft_model(network, options.config())
    return cast("PeftModel", found)


def share_of(network: PeftModel) -> float:
    """The adapter's number of weights over the frozen network's: above 1 an adapter is no saving."""
    sizes = {True: 0, False: 0}
    for name, parameter in network.named_parameters():
        sizes["lora_" in name] += parameter.numel()
    return sizes[True] / sizes[False]


def save_adapter(folder: Path, network: PeftModel, recipe: Mapping[str, Any], base: LoadedModel) -> str:
    """Write the adapter of `network` to `folder`; returns the SHA-256 of its weights.

    `base` is the model it was trained on: `load_adapter` puts it on no other.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in get_peft_model_state_dict(network).items()
    }
    part = folder / (WEIGHTS_FILE + ".part")
    save_file(tensors, part, metadata={"format": "pt"})
    part.chmod(0o644)
    part.replace(folder / WEIGHTS_FILE)
    network.peft_config["default"].save_pretrained(str(folder))
    about = dict(recipe) | {
        "base": {"name": base.recipe.get("name", ""), "weights_sha256": base.weights_sha256}
    }
    (folder / RECIPE_FILE).write_text(json.dumps(about, indent=1, sort_keys=True), encoding="utf-8")
    return file_sha256(folder / WEIGHTS_FILE)


def load_adapter(model: LoadedModel, folder: Path, name: str) -> dict[str, Any]:
    """Lay an adapter beside those that the model already has, switched off; its recipe is returned.

    Raises SynthesisError, in a plain sentence, where the folder holds no adapter, the file is not
    safetensors (a pickle is never opened), it belongs to another model, or a weight fits no layer. The
    model is then as it was.
    """
    if name in adapters_of(model):
        raise ValueError(f"name: the model already has an adapter {name}.")
    recipe, config, tensors = _read(folder)
    base = recipe.get("base", {})
    if base.get("weights_sha256") != model.weights_sha256:
        raise SynthesisError(
            f"The adapter {folder.name} was trained on other weights of {base.get('name') or 'a model'} than "
            f"those of {model.recipe.get('name', 'this model')} that are installed. It was not put on."
        )
    own = {key.removeprefix(PREFIX): tensor for key, tensor in tensors.items()}
    chosen = active(model)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")
        inject_adapter_in_model(config, model.network, adapter_name=name)
        found: Any = set_peft_model_state_dict(model.network, own, adapter_name=name)
    missing = [key for key in found.missing_keys if f".{name}." in key]
    if found.unexpected_keys or missing:
        remove(model, name)
        choose(model, chosen)
        raise SynthesisError(
            f"The weights in {folder.name} do not fit the layers that it names. It was not put on."
        )
    model.network.eval().requires_grad_(False)
    choose(model, chosen)
    return recipe


def adapters_of(model: LoadedModel) -> tuple[str, ...]:
    """The names of the adapters that lie on a model."""
    names: dict[str, None] = {}
    for layer in _layers(model.network):
        names |= dict.fromkeys(_names(layer))
    return tuple(names)


def active(model: LoadedModel) -> str | None:
    """The adapter in use, or None for the model as it was trained."""
    for layer in _layers(model.network):
        if not layer.disable_adapters:
            return str(layer.active_adapters[0])
    return None


def choose(model: LoadedModel, name: str | None) -> None:
    """Use this adapter, or none; nothing is loaded. Raises ValueError for a name that is not there."""
    if name is not None and name not in adapters_of(model):
        raise ValueError(
            f"name: expected one of {', '.join(adapters_of(model)) or 'no adapters'}, got {name}."
        )
    for layer in _layers(model.network):
        layer.enable_adapters(name is not None and name in _names(layer))
        if name is not None and name in _names(layer):
            layer.set_adapter(name)
    model.network.requires_grad_(False)


@contextmanager
def chosen(model: LoadedModel, name: str | None) -> Iterator[None]:
    """Use an adapter, or none, for the length of a block."""
    before = active(model)
    choose(model, name)
    try:
        yield
    finally:
        choose(model, before)


def remove(model: LoadedModel, name: str) -> None:
    """Take an adapter off a model; the others stay."""
    for layer in _layers(model.network):
        if name in _names(layer):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Adapter .* was active which is now deleted")
                layer.delete_adapter(name)
    getattr(model.network, "peft_config", {}).pop(name, None)


def _layers(network: nn.Module) -> Iterator[BaseTunerLayer]:
    for module in network.modules():
        if isinstance(module, BaseTunerLayer):
            yield module


def _names(layer: BaseTunerLayer) -> list[str]:
    return list(getattr(layer, "lora_A", {}))


def _read(folder: Path) -> tuple[dict[str, Any], LoraConfig, dict[str, Any]]:
    for file in (WEIGHTS_FILE, CONFIG_FILE, RECIPE_FILE):
        if not (folder / file).is_file():
            raise SynthesisError(f"{folder.name} is no adapter: {file} is not there.")
    try:
        tensors = load_file(folder / WEIGHTS_FILE)
    except (SafetensorError, OSError) as problem:
        raise SynthesisError(f"{WEIGHTS_FILE} in {folder.name} is not a safetensors file.") from problem
    try:
        recipe = json.loads((folder / RECIPE_FILE).read_text(encoding="utf-8"))
        told = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        options = AdapterOptions(
            rank=int(told["r"]), alpha=float(told["lora_alpha"]), targets=str(told["target_modules"])
        )
    except (ValueError, KeyError, TypeError, re.error) as problem:
        raise SynthesisError(f"The settings of the adapter {folder.name} cannot be read.") from problem
    if told.get("peft_type") != "LORA" or told.get("use_dora") or told.get("use_rslora"):
        raise SynthesisError(f"The adapter {folder.name} is not a plain LoRA; other kinds are not taken.")
    return recipe, options.config(), tensors
