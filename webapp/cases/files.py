"""Files of cases in the storage: moved in whole, read in place, removed with everything derived."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage

SCRATCH = "work-"  # what the names of scratch folders begin with
ABANDONED = 2 * 24 * 3600.0  # seconds after its last new file that nobody works in a scratch folder any more


def case_folder(case_id: UUID | str) -> str:
    """Where a case keeps its files, inside the storage."""
    return f"cases/{case_id}"


def import_folder(run_id: UUID | str) -> str:
    """Where an import's uploaded files wait, inside the storage."""
    return f"imports/{run_id}"


def export_folder(dataset_id: UUID | str) -> str:
    """Where a dataset's exported archives wait to be fetched, inside the storage."""
    return f"exports/{dataset_id}"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder on the storage's disk, gone afterwards.

    Those that killed processes left behind go with the next one that is asked for after ABANDONED seconds.
    """
    home = Path(settings.FILE_UPLOAD_TEMP_DIR)
    for left in home.glob(f"{SCRATCH}*"):
        with suppress(FileNotFoundError):  # another process was first
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=home) as folder:
        yield Path(folder)


class MovableFile(File):  # type: ignore[type-arg]  # not subscriptable at run time
    """A file on disk that the file-system storage may move instead of copying."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb"), name=path.name)
        self._path = path

    def temporary_file_path(self) -> str:
        """Where it lies, as Django asks uploads."""
        return str(self._path)


def keep_file(path: Path, name: str) -> str:
    """Move a finished file into the storage; returns the name under which it lies.

    Another file of that name, left by a killed import, is replaced.
    """
    if default_storage.exists(name):
        default_storage.delete(name)
    with MovableFile(path) as file:
        return default_storage.save(name, file)


@contextmanager
def local_path(name: str) -> Iterator[Path]:
    """A stored file as a path on this machine: itself where the storage is a folder, else a copy."""
    try:
        path = default_storage.path(name)
    except NotImplementedError:
        with scratch_folder() as folder:
            copy = folder / "file"
            with default_storage.open(name, "rb") as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            yield copy
    else:
        yield Path(path)


def remove_folder(prefix: str) -> None:
    """Delete everything below a folder of the storage; a missing folder is no error.

    Raises:
        ValueError: for anything but a folder of one case, one import or one dataset's exports.
    """
    parts = prefix.strip("/").split("/")
    if len(parts) != 2 or parts[0] not in {"cases", "imports", "exports"} or not parts[1] or ".." in parts:
        raise ValueError(f"prefix: expected cases/<id>, imports/<id> or exports/<id>, got {prefix!r}.")
    _remove(prefix)


def _remove(folder: str) -> None:
    try:
        folders, files = default_storage.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in files:
        default_storage.delete(f"{folder}/{name}")
    for name in folders:
        _remove(f"{folder}/{name}")
    default_storage.delete(folder)
