"""What the files of a model from elsewhere do not say, told by whoever installs it in a small YAML file.

name: sd15-liver
version: "1.0"
title: Stable Diffusion 1.5
licence: CreativeML Open RAIL-M
rows: 512
columns: 512
spacing_mm: [0.6, 0.9]        # the smallest and the largest pixel
modalities:
  CT: [-1000, 1000]           # what -1 and 1 of the network's pictures mean: HU for CT, signal for MR
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthesis.errors import SynthesisError
from synthesis.phantoms.labels import LABEL_SET
from synthesis.plain_yaml import read_plain_yaml
from synthesis.request import MODALITIES

ABOUT_FILE = "semblance.yaml"
ABOUT_BYTES = 64 * 1024
TEXTS = ("name", "version", "title", "licence")
NUMBERS = ("rows", "columns")
OPTIONAL: dict[str, type | tuple[type, ...]] = {
    "summary": str,
    "family": str,
    "prediction": str,
    "variant": str,
    "control": str,
    "palette": list,
    "controlnet": str,
    "mask_trained": bool,
    "parts": (str, dict),
    "tokenizers": dict,
    "fov_mm": list,
    "guidance": (int, float),
    "steps": int,
}
KNOWN = {*TEXTS, *NUMBERS, "spacing_mm", "modalities", *OPTIONAL}
LARGEST_SIDE = 4096
COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")


@dataclass(frozen=True)
class About:
    """The file's values, checked; `folder` is where the folders that it names are looked for.

    within: where given, no other folder may be named than those below it.
    """

    values: Mapping[str, Any]
    folder: Path
    normalisation: Mapping[str, Any] = field(default_factory=dict)
    within: Path | None = None

    def get(self, key: str, default: Any = None) -> Any:
        """A value that may be left out."""
        return self.values.get(key, default)

    def place(self, name: str) -> Path:
        """A folder or file that the values name, from the folder of the file on."""
        found = (self.folder / Path(name).expanduser()).resolve()
        if self.within is not None and not found.is_relative_to(self.within.resolve()):
            raise SynthesisError(
                f"The about-file names {name[:120]!r}, which lies outside of the folder for incoming models."
            )
        return found

    def recipe(self) -> dict[str, Any]:
        """The part of a recipe that these values fill."""
        rows, columns = self.values["rows"], self.values["columns"]
        low, high = (float(end) for end in self.values["spacing_mm"])
        sides = sorted((rows, columns))
        fov = self.values.get("fov_mm") or [round(low * sides[0], 1), round(high * sides[1], 1)]
        return {
            **{key: str(self.values[key]) for key in TEXTS},
            **({"summary": self.values["summary"]} if self.values.get("summary") else {}),
            "modalities": list(self.normalisation),
            "image": {"rows": rows, "columns": columns, "normalisation": dict(self.normalisation)},
            "field": {"spacing_mm": [low, high], "fov_mm": [float(end) for end in fov]},
            "label_set": [{"value": one.value, "name": one.name, "color": one.color} for one in LABEL_SET],
        }


def read_about(text: str, folder: Path, *, within: Path | None = None) -> About:
    """The about-file's text, whose relative folders start at `folder`.

    Raises SynthesisError, in one sentence, for what is missing, unknown or makes no sense.
    """
    if len(text) > ABOUT_BYTES:
        raise SynthesisError(f"The about-file is longer than {ABOUT_BYTES // 1024} kB.")
    try:
        values = read_plain_yaml(text)
    except ValueError as problem:
        raise SynthesisError(f"The about-file cannot be used. {problem}") from problem
    if not isinstance(values, dict):
        raise SynthesisError("The about-file must be a list of settings such as “name: sd15-liver”.")
    return about_of(values, folder, within=within)


def about_of(values: Mapping[str, Any], folder: Path, *, within: Path | None = None) -> About:
    """The same from values that were read already."""
    unknown = sorted(str(key) for key in set(values) - KNOWN)
    if unknown:
        raise SynthesisError(f"The about-file has settings that nobody knows: {', '.join(unknown)[:200]}.")
    missing = [key for key in (*TEXTS, *NUMBERS, "spacing_mm", "modalities") if not values.get(key)]
    if missing:
        raise SynthesisError(
            f"The files do not say everything that is needed to offer this model. Missing in the about-file: "
            f"{', '.join(missing)}."
        )
    for key, kind in OPTIONAL.items():
        if key in values and not isinstance(values[key], kind):
            raise SynthesisError(f"The about-file's {key} is not of the right kind.")
    if not all(isinstance(one, str) and COLOUR.match(one) for one in values.get("palette", [])):
        raise SynthesisError("The about-file's palette must list colours such as “#b5651d”.")
    for key in NUMBERS:
        side = values[key]
        if not isinstance(side, int) or isinstance(side, bool) or not 8 <= side <= LARGEST_SIDE or side % 8:
            raise SynthesisError(f"The about-file's {key} must be a multiple of 8 from 8 to {LARGEST_SIDE}.")
    for key in ("spacing_mm", "fov_mm"):
        if key in values and not _rising(values[key]):
            raise SynthesisError(f"The about-file's {key} must be two lengths in mm, smallest and largest.")
    return About(values, folder, _normalisation(values["modalities"]), within)


def find_about(model: Path) -> Path | None:
    """The about-file that lies in the model's folder, or beside its single file."""
    place = (model if model.is_dir() else model.parent) / ABOUT_FILE
    return place if place.is_file() and not place.is_symlink() else None


def card_of(about: About, *, family: str, source: str, notes: list[str]) -> str:
    """The card that stands for one that nobody wrote: what is known, and what was never measured."""
    listed = "\n".join(f"- {note}" for note in notes)
    return (
        f"# {about.get('title')}\n\n"
        f"{about.get('summary') or 'A model from elsewhere, converted for this site.'}\n\n"
        f"| | |\n|---|---|\n"
        f"| Licence | {_cell(about.get('licence'))} |\n"
        f"| Network | {family} |\n"
        f"| Converted from | {_cell(source)} |\n\n"
        "Nothing about this model's images was measured here: neither whether they look like those of "
        "patients, nor whether they obey mask and condition. Its makers' own card was not read.\n\n"
        f"{listed}\n"
    )


def _normalisation(modalities: Any) -> dict[str, Any]:
    if not isinstance(modalities, dict):
        raise SynthesisError(
            "The about-file's modalities must say what -1 and 1 mean, as in “CT: [-1000, 1000]”."
        )
    found = {}
    for name, ends in modalities.items():
        if name not in MODALITIES:
            raise SynthesisError(
                f"The about-file names the modality {str(name)[:40]!r}; known are {', '.join(MODALITIES)}."
            )
        if not _rising(ends, positive=False):
            raise SynthesisError(
                f"The about-file must say for {name} what -1 and 1 of the network's pictures mean: two "
                "numbers that rise, such as [-1000, 1000]."
            )
        found[name] = {"units": [float(end) for end in ends], "scaled": [-1.0, 1.0]}
    return found


def _rising(ends: Any, *, positive: bool = True) -> bool:
    numbers = isinstance(ends, list) and len(ends) == 2
    numbers = numbers and all(isinstance(e, int | float) and not isinstance(e, bool) for e in ends)
    if not numbers or not all(abs(float(end)) < 1e6 for end in ends):
        return False
    return (0 < ends[0] <= ends[1]) if positive else ends[0] < ends[1]


def _cell(text: Any) -> str:
    return re.sub(r"[|\n\r]", " ", str(text))[:200]
