"""What is asked for and what comes back: frozen dataclasses, free of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

MODALITIES: tuple[str, ...] = ("CT", "T1", "T2")
SEVERITIES: tuple[str, ...] = ("none", "low", "mild", "severe")
SEVEREST = len(SEVERITIES) - 1  # the upper end of the continuous scale, on which these are 0, 1, 2, 3
SEXES: tuple[str, ...] = ("F", "M")
STEATOSIS_GRADES: tuple[int, ...] = (0, 1, 2, 3)
SEED_LIMIT = 2**32  # torch's CPU generator reads 32 bits of a seed

Labels = npt.NDArray[np.uint8]
Image = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class PlainJson:
    """Reading and writing a dataclass as plain JSON; unknown keys are a mistake, not noise.

    OPTIONAL: fields that are written only where something is said of them.
    """

    OPTIONAL: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The dataclass with these values; raises ValueError that names any key it does not have."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(
                f"{cls.__name__}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}."
            )
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """The fields as a dict of plain values, such as `from_json` reads."""
        return {k: v for k, v in asdict(self).items() if v is not None or k not in self.OPTIONAL}


@dataclass(frozen=True, kw_only=True)
class Condition(PlainJson):
    """What the image shall show: modality, cirrhosis severity, steatosis grade, age in years, sex.

    `severity_level` is the cirrhosis on the scale of SEVERITIES, 0 to 3, whole numbers being the grades;
    None where the word `severity` alone decides. Where it is given, it decides, and `severity` becomes
    the nearest word (of two equally near ones the more severe), for whoever reads only words. `diagnosis`
    is one that the model's prompts name (`synthesis.control.patient_prompts`), for models that have such.
    """

    OPTIONAL: ClassVar[frozenset[str]] = frozenset({"severity_level", "diagnosis"})

    modality: str
    severity: str = "none"
    severity_level: float | None = None
    steatosis: int = 0
    age: float | None = None
    sex: str | None = None
    diagnosis: str | None = None

    def __post_init__(self) -> None:
        level = self.severity_level
        if isinstance(level, int | float) and 0 <= level <= SEVEREST:
            object.__setattr__(self, "severity_level", float(level))
            object.__setattr__(self, "severity", SEVERITIES[int(level + 0.5)])

    @property
    def level(self) -> float:
        """The cirrhosis from 0 to 3, whichever way it was said; raises ValueError for an unknown word."""
        if self.severity_level is not None:
            return self.severity_level
        if self.severity not in SEVERITIES:
            known = ", ".join(SEVERITIES)
            raise ValueError(f"severity: expected one of {known}, got {self.severity!r}.")
        return float(SEVERITIES.index(self.severity))


@dataclass(frozen=True, kw_only=True)
class SamplerOptions(PlainJson):
    """How to integrate: sampler name, steps, and the options that this sampler knows.

    What each option does, its range and its default stand in `synthesis.options`. None leaves it to that
    default; `kappa` and `temperature` then have the value that was calibrated for this model and number
    of steps.
    """

    OPTIONAL: ClassVar[frozenset[str]] = frozenset(
        {"heun", "euler_last", "eta", "weight", "strength", "temperature"}
    )

    name: str = "rft"
    steps: int = 4
    kappa: float | None = None
    order: int = 2
    noise: bool = True
    guidance: float = 1.0
    heun: bool | None = None
    euler_last: bool | None = None
    eta: float | None = None
    weight: str | None = None
    strength: float | None = None
    temperature: float | None = None


@dataclass(frozen=True, kw_only=True)
class SynthesisRequest:
    """One wish: a label map on the model's grid, a condition, sampler options, a seed and a count.

    `labels` is [rows, columns] uint8 in the model's label set; `spacing_mm` is (row, column).
    Raises ValueError where the shapes or ranges make no sense at all; whether the model was
    trained for them is what `synthesis.imaging.preflight` answers, in words for the clinician.
    """

    labels: Labels
    spacing_mm: tuple[float, float]
    condition: Condition
    sampler: SamplerOptions
    seed: int
    count: int = 1

    def __post_init__(self) -> None:
        if self.labels.ndim != 2 or self.labels.dtype != np.uint8:
            raise ValueError(
                "labels: expected a [rows, columns] uint8 array, "
                f"got {self.labels.ndim} axes of {self.labels.dtype}."
            )
        if len(self.spacing_mm) != 2 or not all(0 < s < float("inf") for s in self.spacing_mm):
            raise ValueError(f"spacing_mm: expected two positive numbers, got {self.spacing_mm}.")
        if self.count < 1:
            raise ValueError(f"count: expected at least 1, got {self.count}.")
        if not 0 <= self.seed < SEED_LIMIT:
            raise ValueError(f"seed: expected 0 to {SEED_LIMIT - 1}, got {self.seed}.")

    @property
    def seeds(self) -> list[int]:
        """The seed of each image: `seed`, `seed` + 1, ... One image's seed alone makes it again."""
        return [(self.seed + index) % SEED_LIMIT for index in range(self.count)]


@dataclass(frozen=True)
class Step:
    """Progress: `step` of `steps` of `image` of `images` are done (all counted from 1).

    `preview` is a small uint8 picture [rows, columns] of what the sampler expects so far.
    """

    image: int
    images: int
    step: int
    steps: int
    preview: npt.NDArray[np.uint8] | None = None


OnStep = Callable[[Step], None]


@dataclass(frozen=True, kw_only=True)
class SynthesisResult:
    """Images and everything needed to make them again.

    `images` is [count, rows, columns] float32 in real units (HU for CT, signal for MR), already
    rounded to the integers that DICOM stores; `pixel_sha256` is taken over those integers.
    """

    images: Image
    seeds: list[int]
    recipe: dict[str, Any]
    pixel_sha256: list[str]
    quality: list[dict[str, Any]]
    seconds: float
