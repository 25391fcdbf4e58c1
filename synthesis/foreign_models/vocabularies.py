"""Tokenizer folders as one JSON text each, of the library `tokenizers`: nothing is looked up elsewhere later.

A folder holds tokenizer.json, or vocab.json with merges.txt (CLIP), or spiece.model (T5). Only these files,
and of tokenizer_config.json only plain settings, are handed to transformers, in a folder of their own:
neither a class name nor code that the folder might name is followed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import Tokenizer

from synthesis.errors import SynthesisError
from synthesis.foreign_models.files import JSON_BYTES, inside, read_json

KINDS = ("clip", "t5")
FILES = {"clip": ("vocab.json", "merges.txt"), "t5": ("spiece.model",)}
WHOLE = "tokenizer.json"
SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token")
PADDING = {"clip": "<|endoftext|>", "t5": "<pad>"}


def read_tokenizer(folder: Path, name: str, kind: str) -> tuple[str, str]:
    """The tokenizer in folder/name ("" for the folder itself) as JSON, and the token that it pads with.

    kind: "clip" or "t5". Raises SynthesisError where the files are missing or are no tokenizer.
    """
    place = folder / name if name else folder
    shown = name or folder.name
    if not place.is_dir():
        raise SynthesisError(f"There is no tokenizer folder {shown}, so no prompt could be read.")
    present = {entry.name for entry in place.iterdir()}
    settings = _settings(place, present)
    if WHOLE in present:
        tokenizer = _parsed(_text(place, WHOLE), shown)
    elif set(FILES[kind]) <= present:
        tokenizer = _built(place, kind, settings, shown)
    else:
        wanted = f"{WHOLE} or {' and '.join(FILES[kind])}"
        raise SynthesisError(f"The tokenizer folder {shown} holds neither {wanted.replace(' or ', ' nor ')}.")
    pad = settings.get("pad_token", PADDING[kind])
    return str(tokenizer.to_str()), pad


def _settings(place: Path, present: set[str]) -> dict[str, str]:
    """The special tokens that the folder's small files name; a later file has the last word."""
    found: dict[str, str] = {}
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        if file in present:
            found |= _tokens(read_json(place, file))
    return found


def _tokens(values: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for key in SPECIAL:
        value = values.get(key)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str) and 0 < len(value) <= 100:
            found[key] = value
    return found


def _text(place: Path, file: str) -> str:
    path = inside(place, file)
    if path.stat().st_size > JSON_BYTES:
        raise SynthesisError(
            f"{place.name}/{file} is larger than {JSON_BYTES // 2**20} MB, so it was not read."
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise SynthesisError(f"{place.name}/{file} is not text.") from problem


def _parsed(text: str, shown: str) -> Tokenizer:
    try:
        return Tokenizer.from_str(text)
    except Exception as problem:  # the library raises bare ones
        raise SynthesisError(f"{shown}/{WHOLE} is not a tokenizer that can be read.") from problem


def _built(place: Path, kind: str, settings: Mapping[str, str], shown: str) -> Tokenizer:
    """From a vocabulary, by the class of transformers that knows its kind."""
    from transformers import CLIPTokenizer, T5Tokenizer

    with TemporaryDirectory(prefix="semblance-tokenizer-") as made:
        for file in FILES[kind]:
            path = inside(place, file)
            if path.stat().st_size > JSON_BYTES:
                raise SynthesisError(f"{shown}/{file} is larger than {JSON_BYTES // 2**20} MB.")
            shutil.copyfile(path, Path(made) / file)
        (Path(made) / "tokenizer_config.json").write_text(json.dumps(dict(settings)), encoding="utf-8")
        maker: Any = CLIPTokenizer if kind == "clip" else T5Tokenizer
        try:
            tokenizer = maker.from_pretrained(made, local_files_only=True)
        except Exception as problem:  # sentencepiece and tokenizers raise anything
            raise SynthesisError(
                f"The vocabulary in {shown} cannot be read as that of a tokenizer."
            ) from problem
    return _parsed(tokenizer.backend_tokenizer.to_str(), shown)
