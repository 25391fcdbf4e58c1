"""Reading a checkpoint without torch: the safetensors header, the recipe inside it, the card beside it.

Format (https://huggingface.co/docs/safetensors): 8 bytes, little-endian unsigned, give the length of a
JSON header; each entry has dtype, shape and data_offsets [begin, end) counted from the header's end. The
entry `__metadata__` holds strings; `recipe` among them is this project's recipe as JSON. Nothing in such
a file can run, which is why pickled checkpoints are refused.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webapp.core.errors import ApplicationError
from webapp.registry.finite_json import NotFinite, finite_json

WEIGHTS_FILE = "model.safetensors"
HASH_FILE = "model.sha256"
CARD_FILE = "card.md"
HEADER_BYTES = 32 * 1024 * 1024
CARD_BYTES = 1024 * 1024
PICKLED = {".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle"}
TABLES = ("backbone", "components", "image", "normalisation", "prompts")  # settings of a recipe, each a table
ITEM_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1),
}


class NotAModel(ApplicationError):
    """The files are not a model that can be installed; the message says what is wrong with them."""

    default_code = "not_a_model"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk, read and checked: where it is, its hash, its recipe and its card."""

    path: Path
    size: int
    sha256: str
    recipe: dict[str, Any]
    parameters: int
    card: str


def read_checkpoint(path: Path | str, *, max_bytes: int) -> Checkpoint:
    """Read a folder that `synthesis.checkpoints.save_model` wrote, or its `.safetensors` file.

    Raises:
        NotAModel: in a plain sentence, when it is missing, too large, pickled, damaged or without recipe.
    """
    weights = _weights_file(Path(path))
    size = weights.stat().st_size
    if size > max_bytes:
        raise _too_large(weights, size, max_bytes)
    header = _header(weights, size)
    metadata = header.pop("__metadata__", {})
    parameters = _check_tensors(weights, header, size)
    digest = file_sha256(weights)
    _check_digest(weights, digest)
    return Checkpoint(
        weights, size, digest, _recipe(weights, metadata), parameters, card_text(weights.parent)
    )


def tensor_shapes(path: Path, *, max_bytes: int) -> dict[str, list[int]]:
    """The shape of every tensor in a safetensors file that carries no recipe, such as an adapter's.

    Raises:
        NotAModel: in a plain sentence, when it is too large, pickled, damaged or empty.
    """
    if path.suffix.lower() in PICKLED:
        raise _pickled(path)
    size = path.stat().st_size
    if size > max_bytes:
        raise _too_large(path, size, max_bytes)
    header = _header(path, size)
    header.pop("__metadata__", None)
    _check_tensors(path, header, size)
    return {name: [int(length) for length in entry["shape"]] for name, entry in header.items()}


def _too_large(path: Path, size: int, max_bytes: int) -> NotAModel:
    return NotAModel(
        f"{path.name} has {size / 2**20:,.0f} MB; this site takes models of up to "
        f"{max_bytes / 2**20:,.0f} MB. Nothing was installed."
    )


def file_sha256(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _weights_file(path: Path) -> Path:
    if path.is_file():
        if path.suffix.lower() in PICKLED:
            raise _pickled(path)
        return path
    if not path.is_dir():
        raise NotAModel(f"There is nothing at {path}.")
    weights = path / WEIGHTS_FILE
    if weights.is_file():
        return weights
    for other in sorted(path.iterdir()):
        if other.suffix.lower() in PICKLED:
            raise _pickled(other)
    if (path / "model_index.json").is_file():
        raise NotAModel(f"{path} is a folder of diffusers, which only a worker can convert: leave out --now.")
    raise NotAModel(f"The folder {path} holds no {WEIGHTS_FILE}.")


def _pickled(path: Path) -> NotAModel:
    return NotAModel(
        f"{path.name} is a pickled checkpoint. Opening one can run code that its maker hid in it, so it is "
        f"refused unopened. Save the model as safetensors with its recipe inside and install that.",
        code="pickled",
    )


def _header(path: Path, size: int) -> dict[str, Any]:
    """The JSON header, read without touching the tensors."""
    with path.open("rb") as file:
        start = file.read(8)
        first = file.read(1)  # a length may look like a pickle's start, but then the header does not follow
        if first != b"{" and (start[:1] == b"\x80" or start[:4] == b"PK\x03\x04"):
            raise _pickled(path)
        file.seek(8)
        length = int.from_bytes(start, "little") if len(start) == 8 else 0
        if not 2 <= length <= min(HEADER_BYTES, size - 8):
            raise NotAModel(f"{path.name} is not a safetensors file, or it is cut off.")
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotAModel(f"{path.name} is not a safetensors file: its header is not JSON.") from error
    if not isinstance(header, dict):
        raise NotAModel(f"{path.name} is not a safetensors file: its header is not a table.")
    header["__length__"] = length
    return header


def _check_tensors(path: Path, header: dict[str, Any], size: int) -> int:
    """Check that the tensors fill the file without gap or overlap; the number of parameters is returned."""
    room = size - 8 - int(header.pop("__length__"))
    spans: list[tuple[int, int]] = []
    parameters = 0
    for name, entry in header.items():
        try:
            shape = [int(length) for length in entry["shape"]]
            begin, end = (int(offset) for offset in entry["data_offsets"])
            item = ITEM_BYTES[entry["dtype"]]
        except (KeyError, TypeError, ValueError) as error:
            raise NotAModel(f"{path.name} is damaged: its entry for {name[:80]!r} makes no sense.") from error
        count = math.prod(shape)
        if min(shape, default=0) < 0 or end - begin != count * item:
            raise NotAModel(f"{path.name} is damaged: {name[:80]!r} does not have the size it announces.")
        spans.append((begin, end))
        parameters += count
    place = 0
    for begin, end in sorted(spans):
        if begin != place:
            raise NotAModel(f"{path.name} is damaged: its tensors overlap or leave gaps.")
        place = end
    if place != room:
        raise NotAModel(f"{path.name} is cut off or has something appended: {room - place:+,} bytes.")
    if not spans:
        raise NotAModel(f"{path.name} holds no weights.")
    return parameters


def _check_digest(path: Path, digest: str) -> None:
    announced = path.parent / HASH_FILE
    if not announced.is_file():
        return
    words = announced.read_text(encoding="ascii", errors="replace").split()
    if not words or words[0].lower() != digest:
        raise NotAModel(f"{path.name} is not the published file: its SHA-256 is not the one in {HASH_FILE}.")


def _recipe(path: Path, metadata: Any) -> dict[str, Any]:
    text = metadata.get("recipe") if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise NotAModel(f"{path.name} carries no recipe, so it is not known how to run it.")
    try:
        recipe = finite_json(text)
    except NotFinite as error:
        raise NotAModel(
            f"The recipe inside {path.name} holds {error}, which is no number. Nothing was installed."
        ) from error
    except (ValueError, RecursionError) as error:
        raise NotAModel(f"The recipe inside {path.name} is not JSON.") from error
    if not isinstance(recipe, dict):
        raise NotAModel(f"The recipe inside {path.name} is not a table of settings.")
    for name in TABLES:
        if not isinstance(recipe.get(name) or {}, dict):
            raise NotAModel(f"In the recipe inside {path.name}, {name} is not a table of settings.")
    if not isinstance((recipe.get("prompts") or {}).get("diagnoses") or {}, dict):
        raise NotAModel(f"In the recipe inside {path.name}, the diagnoses are not a table of words.")
    return recipe


def card_text(folder: Path) -> str:
    """The card of a model or an adapter; empty without one, NotAModel where it is too large."""
    card = folder / CARD_FILE
    if not card.is_file():
        return ""
    if card.stat().st_size > CARD_BYTES:
        raise NotAModel(f"{CARD_FILE} is larger than 1 MB.")
    return card.read_text(encoding="utf-8", errors="replace")
