"""Fields of numbers with two ends: told to the browser, held to in what is sent, nearest value at hand."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _


@dataclass(frozen=True)
class Between:
    """A validator that says both ends, in `words` (%(low)s, %(high)s, %(value)s) where it has its own."""

    low: float
    high: float
    words: str = ""

    def __call__(self, value: float) -> None:
        """Raise ValidationError for a number outside."""
        if not self.low <= value <= self.high:
            words = self.words or _("Choose a number from %(low)s to %(high)s; %(value)s is outside.")
            numbers = {"low": figure(self.low), "high": figure(self.high), "value": figure(value)}
            raise ValidationError(words % numbers, code="outside")

    def nearest(self, value: float) -> float:
        """The number itself, or the end that it lies beyond."""
        return min(max(value, self.low), self.high)


def figure(value: float) -> str:
    """A number as a field takes it: "0.5", "4294967295"."""
    return f"{value:.12g}"


def within(
    field: forms.Field, low: float, high: float, step: float | str = "any", *, words: str = ""
) -> None:
    """Hold a field of numbers between two ends, both included; `words` as in Between."""
    field.widget.attrs.update({"min": low, "max": high, "step": step})
    field.validators.append(Between(low, high, words))


def nearest(form: forms.Form, name: str) -> float | None:
    """The valid number nearest to what was sent for a field; None where nothing has to be moved."""
    field = form.fields.get(name)
    ends = next((one for one in field.validators if isinstance(one, Between)), None) if field else None
    if field is None or ends is None:
        return None
    try:
        sent: Any = field.to_python(form[name].data)
    except ValidationError:
        return None
    if sent is None or not isfinite(sent) or ends.nearest(sent) == sent:
        return None
    return ends.nearest(sent)
