"""What one phantom is asked to show: severity, steatosis, lesions, age and sex."""

from dataclasses import dataclass
from typing import Final, Literal

from synthesis.phantoms.streams import stream

__all__ = ["GRADES", "MAX_LESIONS", "Attributes", "draw_attributes"]

GRADES: Final[tuple[str, ...]] = ("none", "low", "mild", "severe")
MAX_LESIONS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """The controllable side of a phantom; everything else follows from its seed.

    severity_texture: 0..3 (none, low, mild, severe), regenerative nodules in the liver.
    severity_shape: 0..3, nodular surface, caudate growth, shrunken right lobe, spleen, ascites.
    steatosis: 0..3, liver fat. lesions: number of focal liver lesions placed
    (a neighbour may hide one, some one in a hundred).
    age: years, 18..90. sex: "F" or "M".
    """

    severity_texture: int = 0
    severity_shape: int = 0
    steatosis: int = 0
    lesions: int = 0
    age: float = 55.0
    sex: Literal["F", "M"] = "F"

    def __post_init__(self) -> None:
        for name in ("severity_texture", "severity_shape", "steatosis"):
            grade = getattr(self, name)
            if grade not in (0, 1, 2, 3):
                raise ValueError(f"{name} must be 0, 1, 2 or 3, got {grade!r}")
        if not 0 <= self.lesions <= MAX_LESIONS:
            raise ValueError(f"lesions must lie in 0..{MAX_LESIONS}, got {self.lesions!r}")
        if not 18 <= self.age <= 90:
            raise ValueError(f"age must lie in 18..90 years, got {self.age!r}")
        if self.sex not in ("F", "M"):
            raise ValueError(f"sex must be 'F' or 'M', got {self.sex!r}")


def draw_attributes(seed: int) -> Attributes:
    """Draw the attributes that belong to a seed, each independent of the others."""
    rng = stream(seed, "attributes")
    texture, shape = (int(g) for g in rng.integers(0, 4, size=2))
    steatosis = int(rng.choice(4, p=(0.5, 0.2, 0.15, 0.15)))
    lesions = int(rng.choice(4, p=(0.4, 0.3, 0.2, 0.1)))
    age = float(rng.uniform(18.0, 90.0))
    sex: Literal["F", "M"] = "F" if rng.random() < 0.5 else "M"
    return Attributes(
        severity_texture=texture,
        severity_shape=shape,
        steatosis=steatosis,
        lesions=lesions,
        age=round(age, 1),
        sex=sex,
    )
