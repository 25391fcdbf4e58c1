"""The virtual environment: made once from the pins of requirements.txt, skipped while they stay the same."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from webapp.launch.steps import Failed, run_step, say

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "requirements.txt"
STAMP = VENV / ".installed"
CPU_ONLY = (
    "It may bring CUDA (3 GB); a machine without an NVIDIA GPU can do with 0.2 GB: "
    "TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu make run"
)
NO_NETWORK = "If this machine has no network, connect it for the first start: later starts need none."


def fingerprint() -> str:
    """What the environment must have been made from to be used as it is."""
    index = os.environ.get("TORCH_INDEX_URL", "").strip()
    digest = hashlib.sha256(REQUIREMENTS.read_bytes())
    digest.update(f"\0{index}\0{sys.version_info[:2]}".encode())
    return digest.hexdigest()


def is_current() -> bool:
    """Whether `.venv` holds what requirements.txt asks for and its interpreter still runs."""
    if not STAMP.is_file() or STAMP.read_text(encoding="ascii").strip() != fingerprint():
        return False
    return _runs(PYTHON)


def ensure_environment() -> None:
    """Make or refresh `.venv`; return at once where it is current.

    Raises:
        Failed: with a plain sentence when the environment cannot be made.
    """
    if is_current():
        return
    if not _runs(PYTHON):
        say("Making the virtual environment .venv")
        _make_venv()
    STAMP.unlink(missing_ok=True)
    index = os.environ.get("TORCH_INDEX_URL", "").strip()
    say("Installing PyTorch, the largest package" + (f", from {index}" if index else f". {CPU_ONLY}"))
    _pip(["install", *(["--index-url", index] if index else []), _torch_pin()])
    say("Installing the other packages of requirements.txt")
    _pip(["install", "--requirement", str(REQUIREMENTS)])
    STAMP.write_text(fingerprint(), encoding="ascii")


def _torch_pin() -> str:
    found = re.search(r"^torch==\S+", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise Failed("requirements.txt names no pinned torch.")
    return found.group()


def _pip(arguments: list[str]) -> None:
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    run_step(
        [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments, *quiet],
        cwd=ROOT,
        failure=f"The packages could not be installed; pip's message is above. {NO_NETWORK}",
    )


def _runs(python: Path) -> bool:
    if not python.exists():
        return False
    asked = subprocess.run(
        [str(python), "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True
    )
    return asked.returncode == 0 and asked.stdout.strip() == str(sys.version_info[:2])


def _make_venv() -> None:
    """`python -m venv`; where Debian left ensurepip out, pip is fetched from the index."""
    with_pip = _has_module("ensurepip")
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    if not _has_module("venv"):
        raise Failed(
            "This Python has no `venv` module: install it (Debian: apt-get install python3.11-venv)."
        )
    run_step(
        command if with_pip else [*command, "--without-pip"],
        cwd=ROOT,
        failure=f"The virtual environment could not be made in {VENV}.",
    )
    if not with_pip:
        _fetch_pip()


def _has_module(name: str) -> bool:
    asked = subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True)
    return asked.returncode == 0


def _fetch_pip() -> None:
    """Install pip into `.venv` from the package index's own wheel, checked against its hash."""
    say("Fetching pip, which this Python does not bring")
    index = os.environ.get("PIP_INDEX_URL", "").strip() or "https://pypi.org/simple"
    request = urllib.request.Request(  # noqa: S310
        index.rstrip("/") + "/pip/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            files = json.load(answer)["files"]
        wheel = _newest_wheel(files)
        with urllib.request.urlopen(wheel["url"], timeout=60) as answer:  # noqa: S310
            content = answer.read()
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise Failed(
            f"pip could not be fetched ({error}). Install it by hand "
            f"(Debian: apt-get install python3.11-venv) and start again. {NO_NETWORK}"
        ) from error
    if hashlib.sha256(content).hexdigest() != wheel["hashes"]["sha256"]:
        raise Failed("The copy of pip that arrived is damaged: its hash is not the one announced.")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / str(wheel["filename"])
        file.write_bytes(content)
        run_step(
            [str(PYTHON), f"{file}/pip", "install", "--quiet", "--no-index", str(file)],
            cwd=ROOT,
            failure="pip could not be installed into .venv.",
        )


def _newest_wheel(files: list[dict]) -> dict:
    """The newest final, unyanked wheel of pip in an index's listing."""
    final = re.compile(r"^pip-(\d+(?:\.\d+)*)-py3-none-any\.whl$")
    offered = [
        (tuple(int(part) for part in match.group(1).split(".")), file)
        for file in files
        if (match := final.match(file["filename"])) and not file.get("yanked")
    ]
    return max(offered, key=lambda pair: pair[0])[1]
