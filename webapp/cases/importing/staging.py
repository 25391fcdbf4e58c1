"""Uploaded files on their way to the worker: in the storage, under numbers, with a list of their names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage

LISTING = "listing.json"
"""The file beside the uploads that says what each was called."""


def safe_name(name: str) -> str:
    """A relative path to show: forward slashes, no way up, no control characters, at most 500 long."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in {"", ".", ".."}]
    text = "/".join("".join(c if c.isprintable() else "�" for c in part) for part in parts)
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text[-500:] or "file"


def stage_files(folder: str, files: Iterable[tuple[str, Any]]) -> int:
    """Write uploads into the storage in chunks; returns how many there were.

    Django's uploads are moved where the storage is a folder. Equal names get a number.
    """
    listing: list[dict[str, str]] = []
    taken: set[str] = set()
    for number, (name, source) in enumerate(files, start=1):
        shown = unique_name(safe_name(name), taken)
        file = source if isinstance(source, File) else File(source)
        stored = default_storage.save(f"{folder}/{number:06d}", file)
        listing.append({"path": shown, "file": stored})
    if listing:
        default_storage.save(f"{folder}/{LISTING}", ContentFile(json.dumps(listing).encode()))
    return len(listing)


def unique_name(name: str, taken: set[str]) -> str:
    """The end of the name, with a number where it is taken already; remembered in `taken`."""
    name = name[-490:]
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name} ({number})"
    taken.add(candidate)
    return candidate


def staged_files(folder: str) -> list[dict[str, str]]:
    """What `stage_files` wrote: {"path": shown name, "file": name in the storage}."""
    with default_storage.open(f"{folder}/{LISTING}", "rb") as file:
        listing: list[dict[str, str]] = json.loads(file.read())
    return listing


def stage_path(path: Path) -> str:
    """The absolute path of something that is imported where it lies."""
    return str(path.expanduser().resolve())
