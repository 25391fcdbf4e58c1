"""The part of "Change one thing" that says which slices, and what lies on the model."""

from __future__ import annotations

from typing import Any

from django import forms
from django.urls import reverse_lazy
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from webapp.core.ranges import within

ONE, SOME, ALL = "slice", "range", "series"
NO_SUCH_SLICE = _("The case has slices %(low)s to %(high)s; %(value)s is none of them.")


class SeriesForm(forms.Form):
    """One slice, a range of slices or the whole series; and an adapter of the chosen model."""

    scope = forms.ChoiceField(
        label=_("How many slices"),
        choices=[
            (ONE, _("This slice only")),
            (SOME, _("From this slice to another")),
            (ALL, _("The whole series")),
        ],
        initial=ONE,
        required=False,
        help_text=_("Several are changed one by one and kept as one series."),
    )
    last_slice = forms.IntegerField(
        label=_("To slice"), required=False, help_text=_("The other end, counted from 1.")
    )
    adapter = forms.ChoiceField(
        label=_("Adapter"),
        required=False,
        help_text=_("A small addition that was trained on the model and changes what it draws."),
        error_messages={
            "invalid_choice": _("This adapter does not belong to the chosen model, or is not offered.")
        },
    )

    def offer(self, *, case: Any, models: dict[str, Any], adapters: Any) -> None:
        """Offer the slices of the case, and those adapters that belong to the chosen model."""
        fields: dict[str, Any] = self.fields
        chosen = models.get(self._said("model")) or next(iter(models.values()), None)
        self.adapters = {
            str(one.pk): one for one in adapters if chosen is not None and one.base_id == chosen.pk
        }
        none = ("", _("None: the model as it was trained"))
        fields["adapter"].choices = [none, *((key, str(one)) for key, one in self.adapters.items())]
        self.slice_count = int(case.slice_count)
        if self.slice_count == 1:
            del fields["scope"], fields["last_slice"]
            return
        fields["scope"].widget.attrs.update(redraw("scope"))
        within(fields["last_slice"], 1, self.slice_count, 1, words=str(NO_SUCH_SLICE))

    def _said(self, name: str) -> str:
        value = self.data.get(name) if self.is_bound else self.initial.get(name)
        return "" if value is None else str(value)

    @property
    def scope_name(self) -> str:
        """Which slices are chosen: one, some or all."""
        known = (ONE, SOME, ALL) if "scope" in self.fields else (ONE,)
        return self._said("scope") if self._said("scope") in known else ONE

    @property
    def which(self) -> list[Any]:
        """The fields that say which slices; none for a case of one."""
        names = ["scope", *(["last_slice"] if self.scope_name == SOME else [])]
        return [self[name] for name in names if name in self.fields]

    @property
    def slices(self) -> tuple[int, int] | None:
        """The first and the last slice, from 0, of what was sent; None for one slice."""
        if self.scope_name == ALL:
            return 0, self.slice_count - 1
        if self.scope_name != SOME:
            return None
        ends = self.cleaned_data["slice_number"], self.cleaned_data["last_slice"]
        return min(ends) - 1, max(ends) - 1

    @property
    def adapter_object(self) -> Any:
        """The adapter that was sent; None for none."""
        return self.adapters.get(self.cleaned_data.get("adapter") or "")

    def clean(self) -> dict[str, Any]:
        """A range has two ends."""
        values = super().clean() or self.cleaned_data
        if self.scope_name == SOME:
            for name in ("slice_number", "last_slice"):
                if not values.get(name) and name not in self.errors:
                    self.add_error(name, _now("A range needs a first slice and a last one."))
        return values


def redraw(name: str, *, address: str = "jobs:counterfactual-apply") -> dict[str, Any]:
    """Another value of this field brings other fields: the form comes back with them."""
    return {
        "hx-post": reverse_lazy(address),
        "hx-vals": f'{{"apply": "{name}:"}}',
        "hx-trigger": "change",
        "hx-target": "#request-form",
        "hx-swap": "outerHTML",
        "hx-sync": "this:replace",
    }


def series_initial(slices: tuple[int, int] | None, slice_count: int) -> dict[str, Any]:
    """The form's values that would ask for these slices again."""
    if slices is None:
        return {"scope": ONE}
    if slices == (0, slice_count - 1):
        return {"scope": ALL}
    return {"scope": SOME, "slice_number": slices[0] + 1, "last_slice": slices[1] + 1}
