"""How good is it? One step of a scale with a word at either end.

Stored: {"value": 1 ... steps}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.core.errors import ApplicationError

FEWEST, MOST = 3, 9


@dataclass(frozen=True, kw_only=True)
class Likert:
    """steps: how many, 3 to 9. low, high: what the ends mean."""

    steps: int = field(
        default=5,
        metadata={
            "label": gettext_lazy("Steps"),
            "help": gettext_lazy("3 to 9; five or seven are usual."),
            "range": (FEWEST, MOST),
        },
    )
    low: str = field(default="Poor", metadata={"label": gettext_lazy("The lowest step means")})
    high: str = field(default="Excellent", metadata={"label": gettext_lazy("The highest step means")})

    about: ClassVar[str | Promise] = gettext_lazy("A judgement in steps, such as image quality or realism.")

    def __post_init__(self) -> None:
        """Raises ApplicationError for too few or too many steps, or an end without a word."""
        if not isinstance(self.steps, int) or not FEWEST <= self.steps <= MOST:
            raise ApplicationError(
                _("A scale has %(few)d to %(most)d steps.") % {"few": FEWEST, "most": MOST}, field="steps"
            )
        if not self.low.strip() or not self.high.strip():
            raise ApplicationError(_("Say in a word what each end of the scale means."), field="low")

    def validate(self, value: Any) -> dict[str, Any]:
        """{"value": step}. Raises ApplicationError for anything but a step of the scale."""
        step = value.get("value") if isinstance(value, dict) else None
        if isinstance(step, bool) or not isinstance(step, int) or not 1 <= step <= self.steps:
            raise ApplicationError(_("Choose a step from 1 to %(steps)d.") % {"steps": self.steps})
        return {"value": step}

    def widget(self) -> dict[str, Any]:
        """Targets with number keys; the ends carry their words."""
        ends = {1: self.low, self.steps: self.high}
        choices = [
            {
                "value": step,
                "label": f"{step} · {ends[step]}" if step in ends else str(step),
                "key": str(step),
            }
            for step in range(1, self.steps + 1)
        ]
        return {"kind": "targets", "field": "value", "choices": choices, "forced": None}

    def score(self, value: Mapping[str, Any]) -> float | None:
        """The step."""
        return float(value["value"])

    def words(self, value: Mapping[str, Any]) -> str:
        """ "4 of 5"."""
        return _("%(value)d of %(steps)d") % {"value": value["value"], "steps": self.steps}
