"""Models from elsewhere are brought into this project's form in a folder of their own, then installed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from synthesis.errors import SynthesisError
from synthesis.foreign_models.about import About, about_of, find_about, read_about
from synthesis.foreign_models.convert import convert
from synthesis.foreign_models.sources import is_foreign
from synthesis.packing import WEIGHTS_FILE
from webapp.registry.companions import MEASURES_FILE, NEAREST
from webapp.registry.selectors import local_copy
from webapp.registry.weights import CARD_FILE, HASH_FILE
from workers.lease import Work

FOLDER = "conversions"
OLD_SECONDS = 24 * 3600.0
SLOWEST = 20e6  # bytes per second that even a slow disk reads and writes
BESIDE = (CARD_FILE, HASH_FILE, MEASURES_FILE, NEAREST)  # read with a model's single file
ROOM = 1.05  # of the weights' size, that must be free where they are written


@contextmanager
def brought_in(work: Work, payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The payload to install by: as it is for a model of ours, else of what was made of one from elsewhere.

    What was made lies in a folder that is gone afterwards, whatever happened. Raises SynthesisError, in a
    plain sentence, for what cannot be brought in.
    """
    path = _path(payload)
    if not is_foreign(path):
        yield dict(payload)
        return
    home = Path(settings.SEMBLANCE_HOME) / FOLDER
    target = home / str(work.job_id)
    _forget_old(home)
    shutil.rmtree(target, ignore_errors=True)
    try:
        about = _about(path, payload)
        size = weights_size(path)
        _check_size(path, size)
        home.mkdir(parents=True, exist_ok=True)
        _check_room(home, size)
        work.stage("converting", seconds=stage_seconds(size), message="Reading the model's parts")

        def on_part(number: int, count: int, name: str) -> None:
            work.step(number, count + 1, message=f"Reading part {number} of {count}: {name}")

        convert(path, target, about, on_part=on_part)
        yield {"path": str(target), "move": True}
    finally:
        shutil.rmtree(target, ignore_errors=True)


def payload_size(payload: Mapping[str, Any]) -> int:
    """Bytes of the weights that a payload is about."""
    return weights_size(_path(payload))


def weights_size(path: Path) -> int:
    """Bytes of a file, or of all safetensors in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*.safetensors") if one.is_file())


def stage_seconds(size: int) -> float:
    """How long a stage that goes through so many bytes may take."""
    return float(settings.JOB_STAGE_SECONDS) + size / SLOWEST


def _path(payload: Mapping[str, Any]) -> Path:
    if payload.get("staged"):
        return local_copy(str(payload["staged"]))
    path = Path(str(payload["path"]))
    if payload.get("within"):
        _refuse_outside(path, Path(str(payload["within"])))
    return path


def _refuse_outside(path: Path, within: Path) -> None:
    """Raise SynthesisError where the path, anything below it, or what is read beside a file leads outside."""
    left = [path, *(path.with_name(name) for name in BESIDE if path.is_file())]
    seen: set[Path] = set()
    while left:
        one = left.pop()
        try:
            found = one.resolve()
        except (OSError, RuntimeError) as error:  # a link to itself
            raise SynthesisError(f"{one.name} is a link that leads nowhere. Nothing was read.") from error
        if not found.is_relative_to(within.resolve()):
            raise SynthesisError(f"{one.name} leads out of the folder for incoming models. Nothing was read.")
        if found not in seen and found.is_dir():
            left += found.iterdir()
        seen.add(found)


def _about(path: Path, payload: Mapping[str, Any]) -> About:
    values = payload.get("about")
    within = Path(str(payload["within"])) if payload.get("within") else None
    if values:
        folder = Path(str(payload.get("about_folder") or (path if path.is_dir() else path.parent)))
        return about_of(values, folder, within=within)
    found = find_about(path)
    if found is None:
        raise SynthesisError(
            "This model is from elsewhere and carries no recipe, so it is not known what its pictures show. "
            "Say so in an about-file: semblance.yaml beside the model, or --about FILE. docs/backbones.md "
            "tells what it holds."
        )
    return read_about(found.read_text(encoding="utf-8", errors="replace"), found.parent, within=within)


def _check_size(path: Path, size: int) -> None:
    limit = settings.MODEL_PATH_MAX_BYTES
    if size > limit:
        raise SynthesisError(
            f"{path.name} holds {size / 2**20:,.0f} MB of weights; this site takes models of up to "
            f"{limit / 2**20:,.0f} MB from a folder. Nothing was installed."
        )


def _check_room(home: Path, size: int) -> None:
    free = shutil.disk_usage(home).free
    if free < ROOM * size:
        raise SynthesisError(
            f"To convert this model, {ROOM * size / 1e9:,.1f} GB must be free in {home.parent}, and "
            f"{free / 1e9:,.1f} GB are. Nothing was installed."
        )


def _forget_old(home: Path) -> None:
    """Remove what a worker that was killed left behind long ago."""
    for left in home.glob("*"):
        weights = [left, *left.glob(f"{WEIGHTS_FILE}*")]
        try:
            changed = max(one.stat().st_mtime for one in weights)
        except FileNotFoundError:  # another worker clears its own away in this moment
            continue
        if time.time() - changed > OLD_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
