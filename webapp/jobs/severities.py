"""The cirrhosis in words: the four grades, and what lies between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from synthesis.request import SEVEREST, SEVERITIES

BETWEEN = "between"
"""The form's word for a severity that only a number says."""

SEVERITY_WORDS = {
    "none": gettext_lazy("No cirrhosis"),
    "low": gettext_lazy("Low-grade cirrhosis"),
    "mild": gettext_lazy("Mild cirrhosis"),
    "severe": gettext_lazy("Severe cirrhosis"),
}
GRADE_WORDS = {
    "none": gettext_lazy("None"),
    "low": gettext_lazy("Low"),
    "mild": gettext_lazy("Mild"),
    "severe": gettext_lazy("Severe"),
}
SEVERITY_TERMS = {
    "none": "no cirrhosis",
    "low": "low-grade cirrhosis",
    "mild": "mild cirrhosis",
    "severe": "severe cirrhosis",
}


def neighbours(condition: Mapping[str, Any]) -> tuple[float, str, str] | None:
    """The level and the two grades it lies between; None where a word says it all."""
    level = condition.get("severity_level")
    if not isinstance(level, int | float) or not 0 <= level <= SEVEREST or level == int(level):
        return None
    return float(level), SEVERITIES[int(level)], SEVERITIES[int(level) + 1]


def severity_words(condition: Mapping[str, Any]) -> str:
    """A stored condition's cirrhosis: "Severe cirrhosis", or "Cirrhosis 1.5 of 3, low to mild"."""
    found = neighbours(condition)
    if found is None:
        return str(SEVERITY_WORDS.get(str(condition.get("severity", "none")), ""))
    level, low, high = found
    words = {"level": f"{level:g}", "low": GRADE_WORDS[low].lower(), "high": GRADE_WORDS[high].lower()}
    return _("Cirrhosis %(level)s of 3, %(low)s to %(high)s") % words


def severity_terms(condition: Mapping[str, Any]) -> str:
    """The same in English, for headers: "cirrhosis 1.5 of 3 (low to mild)"."""
    found = neighbours(condition)
    if found is None:
        return SEVERITY_TERMS.get(str(condition.get("severity")), "")
    level, low, high = found
    return f"cirrhosis {level:g} of 3 ({low} to {high})"
