"""How severe is the disease? The four grades that a synthetic image can be asked for.

Stored: {"value": "none" | "low" | "mild" | "severe"}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.core.errors import ApplicationError

GRADES = {
    "none": gettext_lazy("None"),
    "low": gettext_lazy("Low"),
    "mild": gettext_lazy("Mild"),
    "severe": gettext_lazy("Severe"),
}


@dataclass(frozen=True, kw_only=True)
class SeverityGrade:
    """attribute: where a case or result keeps the grade that it truly has, for the agreement with it."""

    attribute: str = field(
        default="severity",
        metadata={
            "label": gettext_lazy("Attribute with the true grade"),
            "help": gettext_lazy("Where cases and results say none, low, mild or severe."),
        },
    )

    about: ClassVar[str | Promise] = gettext_lazy(
        "None, low, mild or severe; compared with what is known of the case or was asked of the model."
    )

    def validate(self, value: Any) -> dict[str, Any]:
        """{"value": grade}. Raises ApplicationError for anything but a grade."""
        grade = value.get("value") if isinstance(value, dict) else None
        if not isinstance(grade, str) or grade not in GRADES:
            raise ApplicationError(_("Choose none, low, mild or severe."))
        return {"value": grade}

    def widget(self) -> dict[str, Any]:
        """Targets with number keys."""
        choices = [
            {"value": grade, "label": str(label), "key": str(number)}
            for number, (grade, label) in enumerate(GRADES.items(), start=1)
        ]
        return {"kind": "targets", "field": "value", "choices": choices, "forced": None}

    def score(self, value: Mapping[str, Any]) -> float | None:
        """0 for none to 3 for severe."""
        return float(list(GRADES).index(value["value"]))

    def words(self, value: Mapping[str, Any]) -> str:
        """The grade's name."""
        return str(GRADES[value["value"]])
