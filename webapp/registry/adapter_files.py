"""Reading a LoRA adapter without torch or peft: its weights' names and shapes, its settings, its recipe.

A folder as peft writes it: adapter_model.safetensors (for each layer L [base_model.model.]L.lora_A.weight
[r, in, ...] and ...L.lora_B.weight [out, r, ...]) and adapter_config.json; recipe.json beside them names
the model that it belongs to by the digest of its weights. What was trained with it beside its layers lies
in conditioning.safetensors, where there is any. Which layers are changed is taken from the weights
themselves: the pattern in the settings is never run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, prod
from pathlib import Path
from typing import Any

from synthesis.plain_yaml import read_plain_yaml
from webapp.registry.finite_json import NotFinite, finite_json
from webapp.registry.weights import CARD_BYTES, NotAModel, card_text, file_sha256, tensor_shapes

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
RECIPE_FILE = "recipe.json"
CONDITIONING_FILE = "conditioning.safetensors"
ABOUT_FILE = "semblance.yaml"
PREFIX = "base_model.model."  # peft's, before every name in the file
JSON_BYTES = 4 * 1024 * 1024
SIDES = {".lora_A.weight": "A", ".lora_B.weight": "B"}
OTHER_KINDS = ("use_dora", "use_rslora", "fan_in_fan_out")
BY_LAYER = ("rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication")
FOLDER_SAYS = "An adapter is a folder with adapter_model.safetensors, adapter_config.json and recipe.json."


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter on disk, read and checked. `layers` are names in the network, without peft's prefix."""

    folder: Path
    size: int
    sha256: str
    rank: int
    alpha: float
    layers: list[str]
    parameters: int
    recipe: dict[str, Any] | None
    card: str
    about: dict[str, Any]
    conditioning_sha256: str = ""

    @property
    def weights(self) -> Path:
        """The weights' file."""
        return self.folder / WEIGHTS_FILE

    @property
    def conditioning(self) -> Path | None:
        """What was trained beside its layers, where there is any."""
        return self.folder / CONDITIONING_FILE if self.conditioning_sha256 else None


def is_adapter(path: Path | str) -> bool:
    """Whether this folder holds an adapter rather than a model."""
    return any((Path(path) / name).is_file() for name in (WEIGHTS_FILE, CONFIG_FILE))


def read_adapter(path: Path | str, *, max_bytes: int) -> AdapterFiles:
    """Read a folder that `synthesis.adapters.save_adapter` or peft wrote; the recipe may be missing.

    Raises:
        NotAModel: in a plain sentence, when files are missing, too large, pickled, damaged, or no plain LoRA.
    """
    folder = Path(path)
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        if not (folder / name).is_file():
            raise NotAModel(f"{name} is not there. {FOLDER_SAYS}")
    shapes = tensor_shapes(folder / WEIGHTS_FILE, max_bytes=max_bytes)
    rank, alpha = _settings(_json(folder / CONFIG_FILE))
    layers = _layers(shapes, rank)
    conditioning = folder / CONDITIONING_FILE
    if conditioning.is_file():
        shapes |= tensor_shapes(conditioning, max_bytes=max_bytes)
    return AdapterFiles(
        folder=folder,
        size=(folder / WEIGHTS_FILE).stat().st_size,
        sha256=file_sha256(folder / WEIGHTS_FILE),
        rank=rank,
        alpha=alpha,
        layers=layers,
        parameters=sum(prod(shape) for shape in shapes.values()),
        recipe=_json(folder / RECIPE_FILE) if (folder / RECIPE_FILE).is_file() else None,
        card=card_text(folder),
        about=read_about(folder / ABOUT_FILE) if (folder / ABOUT_FILE).is_file() else {},
        conditioning_sha256=file_sha256(conditioning) if conditioning.is_file() else "",
    )


def read_about(path: Path) -> dict[str, Any]:
    """What a YAML file says of files from elsewhere, as plain JSON.

    Raises:
        NotAModel: where it cannot be read, or holds no names and values.
    """
    try:
        if path.stat().st_size > CARD_BYTES:
            raise NotAModel(f"{path.name} is larger than 1 MB.")
        found = read_plain_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotAModel(f"{path.name} cannot be read as YAML: {error}") from error
    if not isinstance(found, dict):
        raise NotAModel(f"{path.name} must hold names and values, such as “licence: CC0-1.0”.")
    return found


def config_of(*, rank: int, alpha: float, layers: list[str]) -> dict[str, Any]:
    """adapter_config.json as it is kept: the layers by name, nothing that could run or be guessed."""
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": layers,
        "lora_dropout": 0.0,
        "bias": "none",
    }


def _json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > JSON_BYTES:
        raise NotAModel(f"{path.name} is larger than {JSON_BYTES // 2**20} MB.")
    try:
        found = finite_json(path.read_text(encoding="utf-8"))
    except NotFinite as error:
        raise NotAModel(f"{path.name} holds {error}, which is no number. Nothing was installed.") from error
    except (ValueError, RecursionError) as error:
        raise NotAModel(f"{path.name} is not JSON.") from error
    if not isinstance(found, dict):
        raise NotAModel(f"{path.name} is not a table of settings.")
    return found


def _settings(config: Mapping[str, Any]) -> tuple[int, float]:
    """Rank and alpha; raises NotAModel for whatever is not a plain LoRA of one rank."""
    if config.get("peft_type") != "LORA" or any(config.get(name) for name in OTHER_KINDS):
        raise NotAModel("This adapter is not a plain LoRA; other kinds are not taken.")
    uneven = [name for name in BY_LAYER if config.get(name)]
    if uneven or config.get("bias", "none") not in ("none", None):
        named = ", ".join(uneven) or "bias"
        raise NotAModel(f"This adapter treats some layers differently ({named}), which is not taken.")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise NotAModel(f"{CONFIG_FILE} must state the rank r as a whole number above 0, not {rank!r}.")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < alpha < inf:
        raise NotAModel(f"{CONFIG_FILE} must state lora_alpha as a number above 0, not {alpha!r}.")
    return rank, float(alpha)


def _layers(shapes: Mapping[str, list[int]], rank: int) -> list[str]:
    """The layers that have both an A [r, ...] and a B [out, r, ...] of this rank."""
    found: dict[str, set[str]] = {}
    for name, shape in shapes.items():
        side = next((letter for suffix, letter in SIDES.items() if name.endswith(suffix)), "")
        layer = name.removeprefix(PREFIX)[: -len(".lora_A.weight")]
        if not side or not layer:
            raise NotAModel(f"{WEIGHTS_FILE} holds {name[:80]!r}, which is no part of a plain LoRA.")
        if len(shape) < 2 or shape[0 if side == "A" else 1] != rank:
            raise NotAModel(f"{WEIGHTS_FILE} is not of rank {rank} as {CONFIG_FILE} says: see {name[:80]!r}.")
        found.setdefault(layer, set()).add(side)
    for layer, sides in found.items():
        if sides != {"A", "B"}:
            raise NotAModel(f"{WEIGHTS_FILE} has only one of the two matrices of the layer {layer[:80]!r}.")
    return sorted(found)
