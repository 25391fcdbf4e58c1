"""The slices of the demo reader study: phantoms drawn from formulas, and what the shipped model made.

The site holds no torch, so that the model's slices lie beside this module, lossless
(`python -m training.demo_slices` makes them).
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jpeg_ls
import numpy as np

import synthesis
from synthesis.imaging.dicom_write import Making, Subject, synthetic_slices, to_bytes
from synthesis.imaging.plane import flat_plane
from synthesis.imaging.storage import Stored, to_stored
from synthesis.phantoms import GRADES, abdomen, phantom_seed
from webapp.cases.demo import MADE_AT

SLICES = Path(__file__).parent / "demo_slices.zip"
SHAPE = (128, 128)


@dataclass(frozen=True)
class Slice:
    """One slice of either arm: int16 HU [rows, columns], square pixels, and what it is said to be."""

    name: str
    pixels: Stored
    spacing_mm: tuple[float, float]
    phantom: int
    severity: str
    age: float
    sex: str
    making: Making
    source: dict[str, Any]

    def files(self) -> list[bytes]:
        """The slice as one DICOM file that says that it is synthetic."""
        series = synthetic_slices(
            self.pixels[None],
            [flat_plane(SHAPE, self.spacing_mm)],
            modality="CT",
            making=self.making,
            subject=Subject(
                patient_id=f"DEMO-{self.phantom}",
                patient_name=f"SYNTHETIC^Phantom {self.phantom}",
                sex=self.sex,
                age=self.age,
            ),
            thickness_mm=5.0,
            description=self.name,
        )
        return [to_bytes(file) for file in series]


def drawn(first: int, *, source: dict[str, Any]) -> list[Slice]:
    """As many phantoms drawn from formulas, noise included, as the model made slices."""
    found = []
    for index in range(len(_archive()["slices"])):
        number = first + index
        phantom = abdomen(phantom_seed("demo", number), shape=SHAPE)
        asked = phantom.attributes
        row, column = (float(value) for value in phantom.spacing_mm)
        making = _making(
            f"drawn/{number}", "phantom abdomen", synthesis.__version__, "drawing from formulas", "none"
        )
        found.append(
            Slice(
                name=f"Drawn phantom {number}",
                pixels=to_stored(phantom.image, "CT"),
                spacing_mm=(row, column),
                phantom=number,
                severity=GRADES[asked.severity_texture],
                age=asked.age,
                sex=asked.sex,
                making=making,
                source={"case": f"Drawn phantom {number}"} | source,
            )
        )
    return found


def made() -> list[Slice]:
    """What the shipped model made of other phantoms' masks."""
    about = _archive()
    found = []
    with zipfile.ZipFile(SLICES) as archive:
        for one in about["slices"]:
            unsigned = jpeg_ls.decode(np.frombuffer(archive.read(one["file"]), np.uint8))
            condition = one["condition"]
            found.append(
                Slice(
                    name=f"Made by {about['model']}, phantom {one['phantom']}",
                    pixels=(unsigned.astype(np.int32) - about["offset"]).astype(np.int16),
                    spacing_mm=(one["spacing_mm"][0], one["spacing_mm"][1]),
                    phantom=one["phantom"],
                    severity=condition["severity"],
                    age=condition["age"],
                    sex=condition["sex"],
                    making=_making(
                        f"made/{one['phantom']}/{one['seed']}",
                        about["model"],
                        about["version"],
                        "rectified flow",
                        about["weights_sha256"],
                    ),
                    source={
                        "model": f"{about['model']} {about['version']}",
                        "seed": one["seed"],
                        "pixels": one["pixel_sha256"],
                    },
                )
            )
    return found


def _archive() -> dict[str, Any]:
    with zipfile.ZipFile(SLICES) as archive:
        about: dict[str, Any] = json.loads(archive.read("slices.json"))
    return about


def _making(job: str, name: str, version: str, method: str, weights: str) -> Making:
    return Making(
        job=f"demo study/{job}",
        made_at=MADE_AT,
        model_name=name,
        model_version=version,
        method=method,
        weights_sha256=weights,
        description="Phantom of the demo reader study. No patient was scanned.",
    )
