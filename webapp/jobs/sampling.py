"""A sampler's own options as form fields, as JSON and in words; what they are stands in synthesis.options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from synthesis.catalog import SAMPLERS
from synthesis.options import SAMPLER_OPTIONS, Option, options_of

OPTION_NAMES = frozenset(option.name for own in SAMPLER_OPTIONS.values() for option in own)
CALIBRATED = gettext_lazy("calibrated")


def option_fields(sampler: str) -> dict[str, forms.Field]:
    """The fields of this sampler's options, in order; empty ones mean the default."""
    return {option.name: _field(option) for option in options_of(sampler)}


def _field(option: Option) -> forms.Field:
    if option.choices:
        values = {str(value): value for value, _words in option.choices}
        return forms.TypedChoiceField(
            label=option.label,
            help_text=option.sentence,
            choices=[(str(value), words) for value, words in option.choices],
            coerce=lambda text: values[text],
            empty_value=None,
            initial=str(option.default),
            required=False,
        )
    field = forms.FloatField(
        label=option.label, help_text=option.sentence, initial=option.default, required=False
    )
    attrs = {"min": f"{option.low:g}", "max": f"{option.high:g}", "step": "any"}
    field.widget.attrs.update(attrs if option.default is not None else attrs | {"placeholder": CALIBRATED})
    return field


def option_values(sampler: str, cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """What the form says of this sampler's options, where it is not what comes by itself."""
    said = {option.name: (cleaned.get(option.name), option.default) for option in options_of(sampler)}
    return {name: value for name, (value, default) in said.items() if value not in (None, default)}


def option_rows(sampler: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and value of every option that a stored sampler says something of."""
    own = options_of(str(sampler.get("name", "")))
    return [(option.label, _words(option, sampler.get(option.name))) for option in own]


def _words(option: Option, value: Any) -> str:
    if value is None:
        return ""
    for one, words in option.choices:
        if one == value:
            return words
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def sampler_words(name: str) -> str:
    """What a person calls this sampler."""
    return SAMPLERS[name].label if name in SAMPLERS else name


def hint_of(name: str) -> str:
    """That a sampler has nothing to choose, where it has not."""
    return "" if options_of(name) else _("This sampler has no settings of its own.")
