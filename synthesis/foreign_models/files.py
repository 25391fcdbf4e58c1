"""Files of a folder from elsewhere: only what lies in it, JSON within limits, tensors from safetensors alone.

A folder may be hostile: names that lead out of it, links, huge or deeply nested JSON, pickles that would run
code when opened. Everything here is read as data; what cannot be is refused in a plain sentence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from synthesis.errors import SynthesisError

PICKLED = {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle", ".msgpack", ".h5", ".onnx"}
JSON_BYTES = 64 * 2**20  # an index of shards or a vocabulary has a few MB
FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


@dataclass(frozen=True)
class Shape:
    """A tensor as its file announces it, before anything of it is read."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    def empty(self) -> Tensor:
        """The tensor without its values, on the meta device."""
        return torch.empty(self.shape, dtype=self.dtype, device="meta")


@dataclass(frozen=True)
class Weights:
    """The tensors of one or several safetensors files by name: where each lies, and what it is there."""

    where: str
    places: Mapping[str, tuple[Path, str]]
    shapes: Mapping[str, Shape]

    def tensors(self) -> dict[str, Tensor]:
        """All of them, mapped from their files: pages are read when they are used, and are not kept."""
        found: dict[str, Tensor] = {}
        for path in dict.fromkeys(path for path, _ in self.places.values()):
            with safe_open(path, framework="pt") as file:
                for name, (own, inner) in self.places.items():
                    if own == path:
                        found[name] = file.get_tensor(inner)
        return {name: found[name] for name in self.places}

    def empty(self) -> dict[str, Tensor]:
        """All of them without their values, on the meta device."""
        return {name: shape.empty() for name, shape in self.shapes.items()}

    def select(self, names: Mapping[str, str]) -> Weights:
        """Some of them under new names: {new name: present name}."""
        return Weights(
            self.where,
            {new: self.places[old] for new, old in names.items()},
            {new: self.shapes[old] for new, old in names.items()},
        )


def inside(folder: Path, name: str) -> Path:
    """The regular file `name` of the folder, however deep.

    Raises SynthesisError where the name, or a link on the way, leads out of the folder. A link into the
    blobs of a Hugging Face cache is followed when the folder is one of its snapshots.
    """
    place = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise SynthesisError(
            f"{folder.name} names the file {name[:120]!r}, which lies outside of it. It was not read."
        )
    root, real = folder.resolve(), place.resolve()
    snapshot = next((one for one in (root, *root.parents) if one.parent.name == "snapshots"), None)
    blobs = snapshot.parent.parent / "blobs" if snapshot is not None else None
    if not real.is_relative_to(root) and (blobs is None or real.parent != blobs):
        raise SynthesisError(
            f"{place.name} in {folder.name} is a link that leads out of it. It was not read."
        )
    if not real.is_file():
        raise SynthesisError(f"{folder.name} has no file {name[:120]!r}.")
    return place


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON table of the folder; SynthesisError where it is missing, too large or no table."""
    path = inside(folder, name)
    shown = f"{folder.name}/{name}"
    if path.stat().st_size > JSON_BYTES:
        raise SynthesisError(f"{shown} is larger than {JSON_BYTES // 2**20} MB, so it was not read.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:
        raise SynthesisError(f"{shown} is not JSON.") from problem
    if not isinstance(found, dict):
        raise SynthesisError(f"{shown} is not a table of settings.")
    return found


def open_weights(path: Path, shown: str = "") -> Weights:
    """The tensors that a safetensors file announces; SynthesisError for anything else."""
    shown = shown or path.name
    refuse_pickle(path, shown)
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: _shape(file.get_slice(name), name, shown) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as problem:
        raise SynthesisError(f"{shown} is not a safetensors file, or it is damaged.") from problem
    if not shapes:
        raise SynthesisError(f"{shown} holds no weights.")
    return Weights(shown, {name: (path, name) for name in shapes}, shapes)


def metadata_of(path: Path) -> dict[str, str]:
    """The strings that a safetensors file says about itself; none where it is not one."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}


def component_weights(folder: Path, component: str, variant: str = "") -> Weights:
    """The weights of one component of a diffusers folder: one file, or shards with their index.

    Files without a variant come first; else the one of `variant`, else the only one there is. Raises
    SynthesisError, naming the file, where there are only pickles.
    """
    place = folder / component if component else folder
    names = sorted(entry.name for entry in place.iterdir()) if place.is_dir() else []
    shown = f"{component}/" if component else ""
    stems = ("diffusion_pytorch_model", "model")
    found = [n for n in names if n.startswith(stems) and (n.endswith(".safetensors") or ".index." in n)]
    indexes = {_variant(n): n for n in found if ".safetensors.index." in n}
    single = {_variant(n): n for n in found if n.endswith(".safetensors") and "-of-" not in n}
    choices = [variant] if variant else ["", *sorted({*indexes, *single} - {""})]
    for choice in choices:
        if choice in single:
            return open_weights(inside(folder, shown + single[choice]), shown + single[choice])
        if choice in indexes:
            return _sharded(folder, shown, indexes[choice])
    for name in names:
        refuse_pickle(Path(name), shown + name)
    what = f"weights of the variant {variant!r}" if variant else "weights as safetensors"
    raise SynthesisError(f"{folder.name}/{component} holds no {what}.")


def refuse_pickle(path: Path, shown: str) -> None:
    """Raise SynthesisError for a file that is a pickle, by its name or, where it is there, by its start."""
    pickled = path.suffix.lower() in PICKLED
    if not pickled and path.is_file():
        with path.open("rb") as file:
            start = file.read(9)  # the eighth byte of safetensors is its header's first, and never a pickle's
        pickled = start[8:] != b"{" and (start[:1] == b"\x80" or start[:4] == b"PK\x03\x04")
    if pickled:
        raise SynthesisError(
            f"{shown} is not safetensors but a format such as a pickle, and opening one can run code that "
            "its maker hid in it. It was refused unopened; ask for the same weights as .safetensors."
        )


def _variant(name: str) -> str:
    """ "fp16" of model.fp16.safetensors and of model.safetensors.index.fp16.json; "" of the plain names."""
    parts = name.split(".")
    if name.endswith(".json"):
        return parts[3] if len(parts) == 5 else ""
    return parts[1] if len(parts) == 3 else ""


def _sharded(folder: Path, shown: str, index: str) -> Weights:
    listed = read_json(folder, shown + index).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(v, str) for v in listed.values()):
        raise SynthesisError(f"{shown}{index} does not say which file holds which weights.")
    shards: dict[str, Weights] = {}
    for file in sorted(set(listed.values())):
        if Path(file).name != file:
            raise SynthesisError(
                f"{shown}{index} names the file {file[:120]!r}, which lies outside of the folder."
            )
        shards[file] = open_weights(inside(folder, shown + file), shown + file)
    lost = sorted(name for name, file in listed.items() if name not in shards[file].shapes)
    if lost:
        raise SynthesisError(
            f"{shown}{index} promises {lost[0]!r} in {listed[lost[0]]}, but it is not there."
        )
    return Weights(
        shown + index,
        {name: shards[file].places[name] for name, file in listed.items()},
        {name: shards[file].shapes[name] for name, file in listed.items()},
    )


def _shape(piece: Any, name: str, shown: str) -> Shape:
    kind = piece.get_dtype()
    if kind not in FLOATS:
        raise SynthesisError(
            f"{shown} holds {name[:80]!r} as {kind}. Only weights in floating point are taken, not "
            "quantised ones."
        )
    return Shape(FLOATS[kind], tuple(piece.get_shape()))
