"""A phantom as an imaging series: a stack of slices with its place in the patient."""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from synthesis.phantoms.attributes import GRADES, Attributes
from synthesis.phantoms.labels import LABEL_SET
from synthesis.phantoms.phantom import Phantom, abdomen
from synthesis.phantoms.splits import phantom_seed

__all__ = ["DEMO_SERIES", "SERIES_SHAPE", "PhantomSeries", "SeriesPlan", "phantom_series"]

SERIES_SHAPE: Final = (24, 128, 128)


@dataclass(frozen=True, kw_only=True)
class SeriesPlan:
    """What a series shows. person: whom, in words. seed: of the phantom. modality: "CT", "T1" or "T2"."""

    name: str
    person: str
    seed: int
    modality: str
    attributes: Attributes


@dataclass(frozen=True, kw_only=True)
class PhantomSeries:
    """A volume phantom in DICOM's terms.

    stored: int16 [slices, rows, columns], slices from foot to head; the real value (HU, or MR
    signal) is the stored one. labels: uint8, same shape. affine: [4, 4] from
    (slice, row, column, 1) to LPS mm.
    """

    plan: SeriesPlan
    phantom: Phantom
    stored: NDArray[np.int16]
    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]

    @property
    def description(self) -> str:
        """A series description in clinicians' words."""
        weight = {"CT": "CT abdomen", "T1": "MR abdomen T1", "T2": "MR abdomen T2"}[self.plan.modality]
        return f"{weight}, phantom"

    @property
    def label_set(self) -> list[dict[str, Any]]:
        """The structures that occur in this series, as masks store them; air is no structure."""
        present = set(np.unique(self.labels).tolist()) - {0}
        return [asdict(label) for label in LABEL_SET if label.value in present]

    @property
    def facts(self) -> dict[str, Any]:
        """The truth about this series, as plain values for a case's attributes."""
        a = self.plan.attributes
        facts: dict[str, Any] = {
            "severity": GRADES[a.severity_texture],
            "severity_shape": GRADES[a.severity_shape],
            "steatosis": a.steatosis,
            "lesions": a.lesions,
            "age": a.age,
            "sex": a.sex,
            "phantom_seed": self.plan.seed,
        }
        if self.plan.modality != "CT":
            facts["weighting"] = self.plan.modality
        return facts


def phantom_series(
    plan: SeriesPlan,
    *,
    shape: tuple[int, int, int] = SERIES_SHAPE,
    spacing_mm: tuple[float, float, float] | None = None,
) -> PhantomSeries:
    """Make the series of a plan; shape and spacing as in `abdomen`, [slices, rows, columns]."""
    phantom = abdomen(
        plan.seed, shape=shape, spacing_mm=spacing_mm, modality=plan.modality, attributes=plan.attributes
    )
    floor = -1024 if plan.modality == "CT" else 0
    stored = np.clip(np.rint(phantom.image), floor, np.iinfo(np.int16).max).astype(np.int16)
    step = np.asarray(phantom.spacing_mm)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = step
    extent = step * (np.asarray(shape) - 1)
    affine[:3, 3] = np.round((-extent / 2)[::-1], 3)
    affine[3, 3] = 1.0
    return PhantomSeries(plan=plan, phantom=phantom, stored=stored, labels=phantom.labels, affine=affine)


def _plan(index: int, modality: str, what: str, attributes: Attributes) -> SeriesPlan:
    return SeriesPlan(
        name=f"Phantom {index} {modality} {what}",
        person=f"Phantom {index}",
        seed=phantom_seed("demo", index),
        modality=modality,
        attributes=attributes,
    )


# The demo: one man without and with cirrhosis (same person, same noise), and four others.
DEMO_SERIES: Final[tuple[SeriesPlan, ...]] = (
    _plan(1, "CT", "healthy", Attributes(age=58.0, sex="M")),
    _plan(1, "CT", "severe cirrhosis", Attributes(severity_texture=3, severity_shape=3, age=58.0, sex="M")),
    _plan(2, "CT", "fatty liver", Attributes(steatosis=3, lesions=2, age=47.0, sex="F")),
    _plan(
        3,
        "T1",
        "mild cirrhosis",
        Attributes(severity_texture=2, severity_shape=1, lesions=1, age=66.0, sex="F"),
    ),
    _plan(4, "T1", "healthy", Attributes(age=29.0, sex="F")),
    _plan(
        5,
        "T2",
        "severe cirrhosis",
        Attributes(severity_texture=3, severity_shape=2, lesions=1, age=71.0, sex="M"),
    ),
)
