"""Low-rank adapters (LoRA): put on a network, saved and loaded in peft's format, chosen without a reload.

    W x  becomes  W x + (alpha / r) B A x,   A [r, in], B [out, r], B = 0 at the start   (Hu et al. 2022)

An adapter's folder holds adapter_model.safetensors and adapter_config.json, as peft writes and reads them,
and recipe.json: what it was trained for, and the digest of the one model that it fits. Of a network that
is made of components the layers are named as inside its denoiser, the recipe's `component`; diffusers'
pipelines read the same weights from pytorch_lora_weights.safetensors. What says how severe a disease is,
is trained with the adapter and lies in conditioning.safetensors, which they need not know.
"""

from __future__ import annotations

import copy
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
from torch import Tensor, nn

from synthesis.checkpoints import LoadedModel, drift_in, file_sha256, prompts_for
from synthesis.control.ordinal import OrdinalEmbedding
from synthesis.control.patient_prompts import PatientPrompts
from synthesis.drift import TrainedDrift
from synthesis.errors import SynthesisError
from synthesis.networks import Network

Told = tuple[TrainedDrift | None, PatientPrompts | None]  # what a network is trained with beside its weights

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
RECIPE_FILE = "recipe.json"
DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"
CONDITIONING_FILE = "conditioning.safetensors"
PREFIX = "base_model.model."  # peft's, before every name in the file
MOST_PATTERN = 300  # characters: the pattern of a foreign adapter is matched against every layer's name
BLOCKS = r".*\.(qkv|out|conv_in|conv_out|film)"  # all layers of the U-Net's blocks, not its first and last
# All projections of diffusers' attention, those of the text in SD3 and Flux among them.
ATTENTION = r"(.*\.)?(to_q|to_k|to_v|to_out\.0|add_q_proj|add_k_proj|add_v_proj|to_add_out)"


@dataclass(frozen=True, kw_only=True)
class AdapterOptions:
    """rank: r. alpha: the adapter's strength is alpha / r.

    targets: the layers, by a pattern of their whole names, inside the denoiser where the network has one.
    """

    rank: int = 64
    alpha: float = 64.0
    targets: str = BLOCKS

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.alpha > 0:
            raise ValueError(f"rank and alpha: expected above 0, got {self.rank} and {self.alpha}.")
        if len(self.targets) > MOST_PATTERN:
            raise ValueError(f"targets: expected at most {MOST_PATTERN} characters, got {len(self.targets)}.")
        re.compile(self.targets)

    def config(self, component: str = "") -> LoraConfig:
        """The same in peft's words, for a network whose layers lie in a component."""
        pattern = _within(component, self.targets)
        return LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=pattern, lora_dropout=0.0)  # type: ignore[arg-type]


def component_of(network: nn.Module) -> str:
    """The name of the component that an adapter lies on; empty for a network that is all of one piece."""
    return str(getattr(network, "trunk", ""))


def with_adapter(network: nn.Module, options: AdapterOptions) -> PeftModel:
    """The network, frozen, with a fresh adapter to train, which changes no answer until it is trained.

    What tells the network how severe a disease is trains with it. `disable_adapter()` of what is returned
    gives the frozen network's answers from the same weights. Raises ValueError where no layer's name fits
    `targets`.
    """
    config = options.config(component_of(network))
    config.modules_to_save = list(_conditioning(network)) or None
    found: Any = get_peft_model(network, config)
    return cast("PeftModel", found)


def share_of(network: PeftModel) -> float:
    """The adapter's number of weights over the frozen network's: above 1 an adapter is no saving."""
    sizes = {True: 0, False: 0}
    for name, parameter in network.named_parameters():
        if ".modules_to_save." not in name:
            sizes["lora_" in name] += parameter.numel()
    return sizes[True] / sizes[False]


def save_adapter(folder: Path, network: PeftModel, recipe: Mapping[str, Any], base: LoadedModel) -> str:
    """Write the adapter of `network` to `folder`; returns the SHA-256 of its weights.

    `base` is the model it was trained on: `load_adapter` puts it on no other.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inner: Any = network.get_base_model()
    component = component_of(inner)
    own = {
        name.removeprefix(PREFIX): tensor.detach().cpu().contiguous()
        for name, tensor in get_peft_model_state_dict(network).items()
    }
    beside = {name: tensor for name, tensor in own.items() if ".lora_" not in name}
    tensors = {_without(component, name): own[name] for name in own if name not in beside}
    _write(folder / WEIGHTS_FILE, {PREFIX + name: tensor for name, tensor in tensors.items()})
    config = copy.copy(cast("LoraConfig", network.peft_config["default"]))
    config.target_modules = _unwithin(component, str(config.target_modules))
    config.modules_to_save = None
    config.save_pretrained(str(folder))
    if hasattr(getattr(inner, component, None), "load_lora_adapter"):
        settings = {"r": config.r, "lora_alpha": config.lora_alpha, "target_modules": config.target_modules}
        told = json.dumps({f"{component}.{key}": value for key, value in settings.items()})
        named = {f"{component}.{name}": tensor for name, tensor in tensors.items()}
        _write(folder / DIFFUSERS_FILE, named, lora_adapter_metadata=told)
    if beside:
        _write(folder / CONDITIONING_FILE, beside)
    about = dict(recipe) | {
        "base": {"name": base.recipe.get("name", ""), "weights_sha256": base.weights_sha256}
    }
    if component:
        about["component"] = component
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
    conditioning = _read_conditioning(folder, model.network)
    told = _told_of(recipe, model)
    base = recipe.get("base", {})
    if base.get("weights_sha256") != model.weights_sha256:
        raise SynthesisError(
            f"The adapter {folder.name} was trained on other weights of {base.get('name') or 'a model'} than "
            f"those of {model.recipe.get('name', 'this model')} that are installed. It was not put on."
        )
    component = str(recipe.get("component") or "")
    own = {_inside(component, key.removeprefix(PREFIX)): tensor for key, tensor in tensors.items()}
    chosen = active(model)
    if isinstance(config.target_modules, str):
        config.target_modules = _within(component, config.target_modules)
    else:  # a list: exactly the layers that the file has weights for
        layers = sorted({name.partition(".lora_")[0] for name in own})
        config.target_modules = "|".join(map(re.escape, layers))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")
            inject_adapter_in_model(config, model.network, adapter_name=name)
            found: Any = set_peft_model_state_dict(model.network, own, adapter_name=name)
        missing = [key for key in found.missing_keys if f".{name}." in key]
        if found.unexpected_keys or missing:
            raise ValueError(", ".join([*found.unexpected_keys, *missing]))
    except (ValueError, RuntimeError) as problem:  # layers that are not there, or of another size
        remove(model, name)
        choose(model, chosen)
        raise SynthesisError(
            f"The weights in {folder.name} do not fit the layers that it names. It was not put on."
        ) from problem
    model.network.eval().requires_grad_(False)
    kept = model.network.__dict__.setdefault("conditioning_of_adapters", {})
    kept.setdefault(None, _conditioning_state(model.network))
    kept[name] = conditioning
    of_adapters = model.network.__dict__.setdefault("told_of_adapters", {})
    of_adapters.setdefault(None, _told(model.network))
    of_adapters[name] = told
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
    kept = model.network.__dict__.get("conditioning_of_adapters", {})
    for part, module in _conditioning(model.network).items():
        told = kept.get(name) or kept.get(None) or {}
        if told:
            module.load_state_dict({key: told[f"{part}.{key}"] for key in module.state_dict()})
    of_adapters = model.network.__dict__.get("told_of_adapters", {})
    if of_adapters:
        drift, prompts = of_adapters.get(name, of_adapters[None])
        model.network.use_drift(drift)
        model.network.use_prompts(prompts)
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
    if active(model) == name:
        choose(model, None)
    for kept in ("conditioning_of_adapters", "told_of_adapters"):
        model.network.__dict__.get(kept, {}).pop(name, None)
    for layer in _layers(model.network):
        if name in _names(layer):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Adapter .* was active which is now deleted")
                layer.delete_adapter(name)
    getattr(model.network, "peft_config", {}).pop(name, None)


def _within(component: str, pattern: str) -> str:
    """A pattern of names inside a component as one of names in the whole network."""
    return rf"{component}\.({pattern})" if component else pattern


def _unwithin(component: str, pattern: str) -> str:
    return pattern.removeprefix(rf"{component}\.(").removesuffix(")") if component else pattern


def _inside(component: str, name: str) -> str:
    """The name in the whole network of a layer that may be named as inside its component."""
    return name if not component or name.startswith(f"{component}.") else f"{component}.{name}"


def _without(component: str, name: str) -> str:
    return name.removeprefix(f"{component}.") if component else name


def _write(path: Path, tensors: Mapping[str, Tensor], **about: str) -> None:
    """Whole, or not at all; readable for every reader, which safetensors' own files are not."""
    part = path.with_name(path.name + ".part")
    save_file(dict(tensors), part, metadata={"format": "pt", **about})
    part.chmod(0o644)
    part.replace(path)


def _conditioning(network: nn.Module) -> dict[str, nn.Module]:
    """The modules that say how severe a disease is, by name."""
    return {name: part for name, part in network.named_children() if isinstance(part, OrdinalEmbedding)}


def _conditioning_state(network: nn.Module) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": tensor.detach().cpu().clone()
        for name, part in _conditioning(network).items()
        for key, tensor in part.state_dict().items()
    }


def _read_conditioning(folder: Path, network: nn.Module) -> dict[str, Tensor]:
    """What was trained with an adapter beside its layers; raises SynthesisError where it does not fit."""
    path = folder / CONDITIONING_FILE
    if not path.is_file():
        return {}
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as problem:
        raise SynthesisError(f"{path.name} in {folder.name} is not a safetensors file.") from problem
    own = _conditioning_state(network)
    if {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in own.items()}:
        raise SynthesisError(f"{path.name} in {folder.name} does not fit this model. It was not put on.")
    return tensors


def _told(network: Network) -> Told:
    return network.drift, getattr(network, "prompts", None)


def _told_of(recipe: Mapping[str, Any], model: LoadedModel) -> Told:
    """The drift and the prompts that an adapter was trained with.

    Where its recipe says nothing of them, as that of a LoRA from elsewhere, they are those of its base.
    """
    of_adapters: dict[str | None, Told] = model.network.__dict__.get("told_of_adapters", {})
    drift, prompts = of_adapters.get(None, _told(model.network))
    if "drift" in recipe:
        drift = drift_in(recipe, model.network)
    if "prompts" in recipe:
        prompts = prompts_for(recipe, model.network)
    return drift, prompts


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
        targets = told["target_modules"]
        named = isinstance(targets, list)
        options = AdapterOptions(
            rank=int(told["r"]), alpha=float(told["lora_alpha"]), targets="" if named else str(targets)
        )
    except (ValueError, KeyError, TypeError, re.error) as problem:
        raise SynthesisError(f"The settings of the adapter {folder.name} cannot be read.") from problem
    if told.get("peft_type") != "LORA" or told.get("use_dora") or told.get("use_rslora"):
        raise SynthesisError(f"The adapter {folder.name} is not a plain LoRA; other kinds are not taken.")
    config = options.config()
    if named:
        config.target_modules = [str(target) for target in targets]
    return recipe, config, tensors
