"""A number as the report prints it: value, interval, how many answers, by which method, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class Figure:
    """A value with the interval [low, high] of coverage `level`; each may be None where it cannot be had.

    `note` says why something is None or how the interval was widened; `parts` holds what the formula
    went through (variances, degrees of freedom).
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    n: int = 0
    method: str = ""
    note: str = ""
    sentence: str = ""
    parts: Mapping[str, float | None] = field(default_factory=dict)

    def saying(self, sentence: str) -> Figure:
        """The same figure with the sentence that the report prints."""
        return Figure(
            self.value,
            self.low,
            self.high,
            self.level,
            self.n,
            self.method,
            self.note,
            sentence,
            self.parts,
        )

    def as_json(self) -> dict[str, Json]:
        """Plain JSON; a number that is not finite becomes null."""
        return {
            "value": finite(self.value),
            "low": finite(self.low),
            "high": finite(self.high),
            "level": self.level,
            "n": self.n,
            "method": self.method,
            "note": self.note,
            "sentence": self.sentence,
            "parts": {name: finite(value) for name, value in self.parts.items()},
        }


def finite(value: float | None) -> float | None:
    """The value as a plain float, None where it is not a finite number."""
    return None if value is None or not math.isfinite(value) else float(value)


def percent(value: float | None) -> str:
    """A share in words: 0.5942 is "59.4%"."""
    return "not known" if finite(value) is None else f"{100 * float(value or 0):.1f}%"


def between(figure: Figure, *, as_percent: bool = True) -> str:
    """The interval in words: "95% interval 51.0% to 67.2%"."""
    if figure.low is None or figure.high is None:
        return "no interval can be given"
    show = percent if as_percent else (lambda value: f"{value:.2f}")
    return f"{100 * figure.level:.0f}% interval {show(figure.low)} to {show(figure.high)}"


def chance(p: float) -> str:
    """A p-value in words: "p = 0.044", "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
