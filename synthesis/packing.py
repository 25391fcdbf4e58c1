"""One model, one file: all components' tensors, the recipe and the tokenizers in one safetensors file.

Tensors are named "<component>.<name in the component>" and keep their type. The metadata holds "recipe"
(JSON) and, for networks that read prompts, their tokenizers. Writing takes tensors that are mapped from
other files page by page, so that a model of 33 GB needs no 33 GB of memory (safetensors writes from
pointers).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from synthesis.errors import SynthesisError

WEIGHTS_FILE = "model.safetensors"
HASH_FILE = "model.sha256"  # the digest of WEIGHTS_FILE, as `sha256sum` writes it
RECIPE = "recipe"
# What overflows in float16 and stays float32 there: the last layers of T5's blocks, as in transformers.
WIDE = re.compile(r"\.DenseReluDense\.wo\.weight$")


@dataclass(frozen=True)
class Packed:
    """What a model file holds; the tensors are mapped from it, and read when they are used."""

    recipe: dict[str, Any]
    tokenizers: dict[str, str]
    tensors: dict[str, Tensor]


def write_packed(
    folder: Path,
    tensors: Mapping[str, Tensor],
    recipe: Mapping[str, Any],
    tokenizers: Mapping[str, str] | None = None,
) -> str:
    """Write folder/model.safetensors and its digest, which is returned; whole, or not at all.

    A tensor under several names (a table that two layers share) is written once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / (WEIGHTS_FILE + ".part")
    texts = {RECIPE: json.dumps(recipe, sort_keys=True), **(tokenizers or {})}
    try:
        save_file(
            {name: tensor.detach().to("cpu").contiguous() for name, tensor in _once(tensors).items()},
            part,
            metadata=texts,
        )
        part.chmod(0o644)  # safetensors writes private files; a shipped model is for every reader
        digest = file_sha256(part)
        part.replace(folder / WEIGHTS_FILE)
    finally:
        part.unlink(missing_ok=True)
    (folder / HASH_FILE).write_text(f"{digest}  {WEIGHTS_FILE}\n", encoding="ascii")
    return digest


def read_packed(path: Path, *, tensors: bool = True) -> Packed:
    """What a model file holds, by default with its tensors.

    Raises SynthesisError, in a plain sentence, where it is not safetensors (a pickle is never opened) or
    carries no recipe.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            found = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError) as problem:
        raise SynthesisError(
            f"{path.name} is not a safetensors file. Pickled checkpoints (.pt, .ckpt, .bin) are not opened, "
            "because opening one can run code."
        ) from problem
    try:
        recipe = json.loads(metadata[RECIPE])
    except (KeyError, json.JSONDecodeError) as problem:
        raise SynthesisError(f"{path.name} carries no recipe, so it is not known how to run it.") from problem
    named = {name: text for name, text in metadata.items() if name.startswith("tokenizer")}
    return Packed(recipe, named, found)


@contextmanager
def empty_weights() -> Iterator[None]:
    """Networks that are built here have their parameters on the meta device, and real buffers.

    Nothing is drawn and nothing allocated, so that any size is built at once; `fill` gives the values.
    Unlike accelerate's `init_empty_weights`, tables that layers share stay shared.
    """
    register = nn.Module.register_parameter

    def register_empty(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        register(module, name, parameter)
        if parameter is not None and not parameter.is_meta:
            module._parameters[name] = nn.Parameter(parameter.to("meta"), parameter.requires_grad)

    nn.Module.register_parameter = register_empty  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


def fill(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    dtype: torch.dtype | None = None,
    mapped: bool = False,
) -> None:
    """Put the tensors in the network's places, which may be on the meta device.

    dtype: what floating point becomes, in memory of its own (see `WIDE` for float16); None keeps the
    tensors themselves, which may be mapped from a file (another place in memory may change the last bits
    of what is computed with them).
    mapped: tensors that have the type already are kept too. Layers that shared a table share it again.
    Raises ValueError that says which names are missing, unknown or of another shape.
    """
    groups = shared_names(network)
    own = network.state_dict(keep_vars=True)
    full = dict(tensors)
    for names in groups:
        present = next((name for name in names if name in full), None)
        if present is not None:
            full |= dict.fromkeys(names, full[present])
    missing, unknown = sorted(set(own) - set(full)), sorted(set(full) - set(own))
    other = sorted(name for name in set(own) & set(full) if own[name].shape != full[name].shape)
    if missing or unknown or other:
        said = (_some("missing", missing), _some("unknown", unknown), _some("of another shape", other))
        raise ValueError("; ".join(filter(None, said)))
    cast = {name: _cast(name, t, dtype, mapped) for name, t in full.items()}
    network.load_state_dict(cast, assign=True)
    for buffer in network.buffers():
        if dtype is not None and buffer.is_floating_point():
            buffer.data = buffer.data.to(dtype)
    for first, *others in groups:
        for name in others:
            module, _, leaf = name.rpartition(".")
            setattr(network.get_submodule(module), leaf, network.get_parameter(first))


def shared_names(network: nn.Module) -> list[list[str]]:
    """The names under which one and the same parameter stands in several places."""
    places: dict[int, list[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        places.setdefault(id(parameter), []).append(name)
    return [names for names in places.values() if len(names) > 1]


def component_sizes(tensors: Mapping[str, Tensor], components: Iterable[str]) -> dict[str, dict[str, int]]:
    """{component: parameters, bytes, and the parameters of its largest tensor}, of tensors named as here."""
    sizes: dict[str, dict[str, int]] = {}
    for name in components:
        own = [tensor for key, tensor in _once(tensors).items() if key.startswith(name + ".")]
        if own:
            sizes[name] = {
                "parameters": sum(t.numel() for t in own),
                "bytes": sum(t.numel() * t.element_size() for t in own),
                "largest": max(t.numel() for t in own),
            }
    return sizes


def file_sha256(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _once(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor under the first of its names."""
    found: dict[str, Tensor] = {}
    seen: set[tuple[int, tuple[int, ...]]] = set()
    for name, tensor in tensors.items():
        place = id(tensor) if tensor.is_meta or not tensor.numel() else tensor.data_ptr()
        key = (place, tuple(tensor.shape))
        if key not in seen:
            seen.add(key)
            found[name] = tensor
    return found


def _cast(name: str, tensor: Tensor, dtype: torch.dtype | None, mapped: bool) -> Tensor:
    if dtype is None or not tensor.is_floating_point():
        return tensor
    wide = dtype == torch.float16 and WIDE.search(name)
    return tensor.to(torch.float32 if wide else dtype, copy=not mapped)


def _some(what: str, names: list[str]) -> str:
    if not names:
        return ""
    return f"{what}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
