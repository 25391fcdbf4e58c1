"""David Clunie's DICOM validator, where it is installed (Debian's dicom3tools)."""

import shutil
import subprocess
from pathlib import Path

import pytest

# SyntheticData came into the standard in 2023; the validator in Debian has the dictionary of 2022.
TOO_NEW = "</(0008,001c)>"

needs_dciodvfy = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (apt-get install dicom3tools)"
)


def dicom_errors(path: Path) -> list[str]:
    """The validator's errors about one file, but for attributes newer than its dictionary."""
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if line.startswith("Error") and TOO_NEW not in line]
