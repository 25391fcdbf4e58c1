"""What may lie beside a model's weights: the index of its training cases, and measures taken later.

    nearest/<modality>.npz   synthesis.metrics.nearest, written by `python -m training.nearest`
    measures.json            figures for the card, written by `python -m training.evaluate --card`

Both belong to one set of weights. The index is copied with its digest; it is opened by workers alone.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.files.storage import default_storage

from webapp.registry.finite_json import NotFinite, finite_json
from webapp.registry.weights import NotAModel, file_sha256

NEAREST = "nearest"
MEASURES_FILE = "measures.json"
INDEX_NAME = re.compile(r"[A-Za-z0-9_-]{1,20}\.npz\Z")
INDEX_BYTES = 256 * 1024 * 1024
MEASURES_BYTES = 1024 * 1024
ZIP_START = b"PK\x03\x04"


@dataclass(frozen=True)
class Companions:
    """Files beside the weights by their stored name ("nearest/CT.npz"), and measures beyond the recipe's."""

    files: dict[str, Path] = field(default_factory=dict)
    measures: dict[str, Any] = field(default_factory=dict)

    def listing(self) -> dict[str, dict[str, Any]]:
        """Stored name -> digest and size."""
        return {
            name: {"sha256": file_sha256(path), "bytes": path.stat().st_size}
            for name, path in self.files.items()
        }


def read_companions(weights: Path, sha256: str) -> Companions:
    """What lies beside a weights file of that digest.

    Raises:
        NotAModel: in a plain sentence, where one of the files is not what it should be.
    """
    folder = weights.parent
    return Companions(_indices(folder / NEAREST), _measures(folder / MEASURES_FILE, sha256))


def store_companions(companions: Companions, sha256: str) -> None:
    """Copy the files into the storage beside the weights; what is there already is replaced if it differs."""
    for name, path in companions.files.items():
        stored = companion_name(sha256, name)
        if default_storage.exists(stored):
            with default_storage.open(stored, "rb") as there, path.open("rb") as here:
                if there.read() == here.read():
                    continue
            default_storage.delete(stored)
        with path.open("rb") as file:
            default_storage.save(stored, File(file))


def companion_name(sha256: str, name: str) -> str:
    """Where a companion of those weights lies in the storage."""
    return f"models/{sha256}/{name}"


def _indices(folder: Path) -> dict[str, Path]:
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not INDEX_NAME.match(path.name):
            continue
        with path.open("rb") as file:
            is_archive = file.read(4) == ZIP_START
        if not path.is_file() or path.stat().st_size > INDEX_BYTES or not is_archive:
            raise NotAModel(
                f"{NEAREST}/{path.name} is not an index of training cases. Nothing was installed."
            )
        found[f"{NEAREST}/{path.name}"] = path
    return found


def _measures(path: Path, sha256: str) -> dict[str, Any]:
    if not path.is_file():
        return {}
    if path.stat().st_size > MEASURES_BYTES:
        raise NotAModel(f"{MEASURES_FILE} is larger than 1 MB.")
    try:
        document = finite_json(path.read_text(encoding="utf-8"))
        measures, of = document["measures"], document["weights_sha256"]
    except NotFinite as error:
        raise NotAModel(
            f"{MEASURES_FILE} holds {error}, which is no number. Nothing was installed."
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotAModel(
            f"{MEASURES_FILE} beside the weights cannot be read. Nothing was installed."
        ) from error
    if not isinstance(measures, dict) or of != sha256:
        raise NotAModel(
            f"{MEASURES_FILE} was measured with other weights than the ones beside it. Remove it, or measure "
            "anew. Nothing was installed."
        )
    return measures
