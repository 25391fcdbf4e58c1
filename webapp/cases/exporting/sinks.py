"""Where an export goes: a folder, or a zip of the same files."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Protocol

from django.core.files.storage import default_storage

EPOCH = (1980, 1, 1, 0, 0, 0)  # the same dataset makes the same zip
CHUNK = 1 << 20
PACKED = (".gz", ".png", ".jpg", ".jpeg")


class Sink(Protocol):
    """Takes the files of an export one by one; paths are relative, with slashes."""

    def write(self, path: str, data: bytes) -> None:
        """Keep these bytes as a file."""

    def copy(self, path: str, stored: str) -> None:
        """Keep a file of the storage, read in pieces."""


class FolderSink:
    """Files below a folder that was empty or not there."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, path: str, data: bytes) -> None:
        """Write one file."""
        self._place(path).write_bytes(data)

    def copy(self, path: str, stored: str) -> None:
        """Copy one file of the storage."""
        with default_storage.open(stored, "rb") as source, self._place(path).open("wb") as target:
            shutil.copyfileobj(source, target, CHUNK)

    def _place(self, path: str) -> Path:
        place = self._root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


class ZipSink:
    """Entries of an open zip, all below one folder of it."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self._archive, self._root = archive, root

    def write(self, path: str, data: bytes) -> None:
        """Add one entry."""
        self._archive.writestr(self._entry(path), data)

    def copy(self, path: str, stored: str) -> None:
        """Add one file of the storage."""
        with (
            default_storage.open(stored, "rb") as source,
            self._archive.open(self._entry(path), "w", force_zip64=True) as target,
        ):
            shutil.copyfileobj(source, target, CHUNK)

    def _entry(self, path: str) -> zipfile.ZipInfo:
        entry = zipfile.ZipInfo(f"{self._root}/{path}", date_time=EPOCH)
        entry.compress_type = zipfile.ZIP_STORED if path.endswith(PACKED) else zipfile.ZIP_DEFLATED
        entry.external_attr = 0o644 << 16
        return entry
