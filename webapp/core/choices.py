"""Choices of which each has a sentence beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms


class Hinted(forms.widgets.ChoiceWidget):
    """A list of inputs of which each shows a sentence under its label; `hints` has them by value."""

    option_template_name = "core/components/hinted_option.html"
    hints: Mapping[Any, Any]

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Add the sentence to the option."""
        option: dict[str, Any] = super().create_option(name, value, *args, **kwargs)
        option["hint"] = self.hints.get(value, "")
        return option


class HintedRadios(Hinted, forms.RadioSelect):
    """Radio buttons with a sentence each."""

    def __init__(self, hints: Mapping[Any, Any]) -> None:
        super().__init__()
        self.hints = hints
