"""What lies in the storage, and what the archive of a downloaded result holds."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from django.core.files.storage import default_storage

from tests.dciodvfy import dicom_errors


def stored_files(folder: str) -> list[str]:
    """Every file below a folder of the storage."""
    if not default_storage.exists(folder):
        return []
    folders, files = default_storage.listdir(folder)
    return files + [one for sub in folders for one in stored_files(f"{folder}/{sub}")]


def unpacked(answer: Any) -> dict[str, bytes]:
    """The files of an archive by their place in the one folder that it holds."""
    zipped = zipfile.ZipFile(io.BytesIO(answer.content))
    return {name.partition("/")[2]: zipped.read(name) for name in zipped.namelist()}


def dicom_of(result: Any, user: Any) -> dict[str, Any]:
    """The DICOM files of a result as the person downloads them, in the order of their names."""
    from pydicom import dcmread

    from webapp.jobs.downloads import result_download

    files = unpacked(result_download(user=user, result=result, form="dicom"))
    return {name: dcmread(io.BytesIO(files[name])) for name in sorted(files) if name.endswith(".dcm")}


def images_of(result: Any, user: Any) -> list[Any]:
    """Its images alone."""
    return [one for name, one in dicom_of(result, user).items() if name.startswith("image-")]


def errors_of(result: Any, user: Any, folder: Path) -> dict[str, list[str]]:
    """What the validator says of each of its DICOM files, which are written to `folder`."""
    from webapp.jobs.downloads import result_download

    found = {}
    for name, content in unpacked(result_download(user=user, result=result, form="dicom")).items():
        if name.endswith(".dcm"):
            path = folder / Path(name).name
            path.write_bytes(content)
            found[name] = dicom_errors(path)
    return found
