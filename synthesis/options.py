"""What each sampler lets a person choose, in words for forms, programs and checks; free of torch.

Every entry names a field of the sampler's own `Options` (synthesis/samplers/) and of `SamplerOptions`.
`Options.drift` is not among them: it belongs to a start law that a model is trained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Option:
    """One thing to choose: a number from `low` to `high`, or one of `choices` (value, words).

    default: what is used where nothing is said; None where the model's calibration decides then.
    sentence: what it does, for whoever chooses.
    """

    name: str
    label: str
    sentence: str
    default: float | str | bool | None
    low: float = 0.0
    high: float = 1.0
    choices: tuple[tuple[float | str | bool, str], ...] = ()

    def problem(self, value: Any) -> str | None:
        """Why this value cannot be taken, in a sentence; None where it can, or where it is left open."""
        if value is None:
            return None
        if self.choices:
            known = [one for one, _ in self.choices]
            if any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in known):
                return None
            return f"{self.label} is {_either(known)}, not {value}."
        number = _number(value)
        if number is not None and self.low <= number <= self.high:
            return None
        return f"{self.label} must lie between {self.low:g} and {self.high:g}, not {value}."

    def nearest(self, value: Any) -> float | str | bool | None:
        """The valid value that is nearest to one that is not."""
        number = _number(value)
        if self.choices:
            known = [one for one, _ in self.choices if not isinstance(one, bool | str)]
            return min(known, key=lambda one: abs(one - number)) if known and number else self.default
        return self.default if number is None else min(self.high, max(self.low, number))


def _number(value: Any) -> float | None:
    """The number, or None for what is none; NaN is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return float(value)


def _either(values: list[Any]) -> str:
    if not any(isinstance(one, bool | str) for one in values):
        values = sorted(values)
    words = [("yes" if one else "no") if isinstance(one, bool) else str(one) for one in values]
    return f"{', '.join(words[:-1])} or {words[-1]}"


_YES_NO: tuple[tuple[bool, str], ...] = ((True, "Yes"), (False, "No"))

KAPPA = Option(
    name="kappa",
    label="Correction strength (kappa)",
    sentence="0 to 10: how much of the noise is drawn anew on the way. Left open, the value calibrated for "
    "this model and number of steps.",
    default=None,
    high=10.0,
)
ORDER_OF_RFT = Option(
    name="order",
    label="Order",
    sentence="2 (default) looks back at the step before, which allows fewer steps; 1 does not.",
    default=2,
    choices=((2, "2: looks one step back"), (1, "1: each step by itself")),
)
ORDER_OF_MULTISTEP = Option(
    name="order",
    label="Order",
    sentence="How many steps are put together: 2 (default) is usual, 3 suits many, 1 is Euler's method.",
    default=2,
    choices=((2, "2: usual"), (3, "3: for many steps"), (1, "1: Euler's method")),
)
HEUN_STEPS = Option(
    name="heun",
    label="Two calls per step",
    sentence="Averages the direction at both ends of each step, at twice the time; no by default.",
    default=False,
    choices=_YES_NO,
)
NOISE = Option(
    name="noise",
    label="Fresh noise",
    sentence="Yes (default) keeps the variety of the images; no sharpens them and makes them more alike.",
    default=True,
    choices=_YES_NO,
)
EULER_LAST = Option(
    name="euler_last",
    label="Last step with one call",
    sentence="Yes by default, since networks are hardly trained at the very end of the way.",
    default=True,
    choices=_YES_NO,
)
ETA = Option(
    name="eta",
    label="Noise per step (eta)",
    sentence="0 (default) adds none, so that the seed alone decides; 1 adds as much as the sampler of DDPM.",
    default=0.0,
)
WEIGHT = Option(
    name="weight",
    label="Reading of 1 − ᾱ",
    sentence="The paper's formula can be read in three ways; the first (default) is the one of a rectified "
    "flow.",
    default="rectified",
    choices=(
        ("rectified", "Rectified flow: (1 − t)²"),
        ("sqrt_alpha", "√ᾱ = t: 1 − t²"),
        ("variance_preserving", "Variance preserving: (1 − t)² / (t² + (1 − t)²)"),
    ),
)
STRENGTH = Option(
    name="strength",
    label="Strength of the term",
    sentence="1 (default) is as printed, 0 leaves Euler's method; up to 2.",
    default=1.0,
    high=2.0,
)
TEMPERATURE = Option(
    name="temperature",
    label="Temperature",
    sentence="0.1 to 2: how strong coarse differences between images are. Left open, the value calibrated "
    "for this model and number of steps.",
    default=None,
    low=0.1,
    high=2.0,
)

SAMPLER_OPTIONS: Mapping[str, tuple[Option, ...]] = MappingProxyType(
    {
        "euler": (),
        "shortcut": (TEMPERATURE,),
        "heun": (EULER_LAST,),
        "rft": (KAPPA, ORDER_OF_RFT, HEUN_STEPS, NOISE),
        "victr_literal": (WEIGHT, STRENGTH),
        "ddim": (ETA,),
        "dpmpp": (ORDER_OF_MULTISTEP,),
        "unipc": (ORDER_OF_MULTISTEP,),
        "one_step": (),
        "one_step_literal": (),
    }
)


def options_of(sampler: str) -> tuple[Option, ...]:
    """What this sampler lets a person choose; nothing for a sampler that does not exist."""
    return SAMPLER_OPTIONS.get(sampler, ())


def samplers_with(name: str) -> list[str]:
    """The samplers that know an option."""
    return [sampler for sampler, known in SAMPLER_OPTIONS.items() if any(o.name == name for o in known)]
