"""Which of these? One of the choices that the lead wrote.

Stored: {"value": the choice's own text}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.core.errors import ApplicationError

MOST = 12
LONGEST = 80


@dataclass(frozen=True, kw_only=True)
class Choice:
    """choices: two to twelve different texts."""

    choices: tuple[str, ...] = field(
        default=(),
        metadata={
            "label": gettext_lazy("Choices"),
            "help": gettext_lazy("Two to twelve, one on each line."),
        },
    )

    about: ClassVar[str | Promise] = gettext_lazy("One of up to twelve choices in your own words.")

    def __post_init__(self) -> None:
        """Raises ApplicationError unless there are two to twelve different, short texts."""
        object.__setattr__(self, "choices", tuple(str(one).strip() for one in self.choices))
        if not 2 <= len(self.choices) <= MOST or len(set(self.choices)) != len(self.choices):
            raise ApplicationError(
                _("Write two to %(most)d different choices, one on each line.") % {"most": MOST},
                field="choices",
            )
        if any(not one or len(one) > LONGEST for one in self.choices):
            raise ApplicationError(
                _("A choice has 1 to %(longest)d characters.") % {"longest": LONGEST}, field="choices"
            )

    def validate(self, value: Any) -> dict[str, Any]:
        """{"value": choice}. Raises ApplicationError for anything but one of the choices."""
        chosen = value.get("value") if isinstance(value, dict) else None
        if not isinstance(chosen, str) or chosen not in self.choices:
            raise ApplicationError(_("Choose one of the answers."))
        return {"value": chosen}

    def widget(self) -> dict[str, Any]:
        """Targets; the first nine have number keys."""
        choices = [
            {"value": one, "label": one, "key": str(number) if number < 10 else ""}
            for number, one in enumerate(self.choices, start=1)
        ]
        return {"kind": "targets", "field": "value", "choices": choices, "forced": None}

    def score(self, value: Mapping[str, Any]) -> float | None:
        """None: choices have no order."""
        return None

    def words(self, value: Mapping[str, Any]) -> str:
        """The choice itself."""
        return str(value["value"])
