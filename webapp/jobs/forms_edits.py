"""The form of "Change one thing": what the image shows now, what it shall show, and how to get there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from synthesis.control.patient_prompts import told_in
from synthesis.request import SEVERITIES
from webapp.core.ranges import within
from webapp.jobs.edit_words import level_word
from webapp.jobs.forms import MODALITY_WORDS, SEX_WORDS, STEATOSIS_WORDS
from webapp.jobs.forms_methods import MethodForm
from webapp.jobs.forms_series import NO_SUCH_SLICE, SeriesForm, redraw
from webapp.jobs.requests import LARGEST_SEED

LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
SAME = _("As it is")


class EditForm(SeriesForm, MethodForm):
    """One slice, what it shows, what it shall show. Few fields first; `more` is under "More settings"."""

    NOW = ("was_severity", "was_steatosis", "was_age", "was_sex")
    THEN = ("to_severity", "to_steatosis", "to_age", "to_sex")

    case = forms.UUIDField(widget=forms.HiddenInput)
    mask = forms.CharField(
        label=_("Mask"), required=False, help_text=_("Tells the model where the liver and the others lie.")
    )
    slice_number = forms.IntegerField(label=_("Slice"), required=False, help_text=_("Counted from 1."))
    modality = forms.ChoiceField(
        label=_("Kind of image"), help_text=_("What the slice is; the change is made in the same kind.")
    )
    was_severity = forms.ChoiceField(label=_("Cirrhosis"), help_text=_("How nodular the liver's texture is."))
    was_steatosis = forms.TypedChoiceField(
        label=_("Steatosis"),
        choices=list(STEATOSIS_WORDS.items()),
        coerce=int,
        initial=0,
        help_text=_("How much fat lies in the liver."),
    )
    was_age = forms.FloatField(
        label=_("Age"), required=False, help_text=_("18 to 90; may stay open unless age changes.")
    )
    was_sex = forms.ChoiceField(
        label=_("Sex"),
        choices=list(SEX_WORDS.items()),
        required=False,
        help_text=_("May stay open unless sex changes."),
    )
    was_diagnosis = forms.ChoiceField(
        label=_("Diagnosis"), required=False, help_text=_("In the words that the model was trained on.")
    )
    to_diagnosis = forms.ChoiceField(
        label=_("Diagnosis"), required=False, help_text=_("Changes the whole image.")
    )
    to_severity = forms.ChoiceField(
        label=_("Cirrhosis"),
        required=False,
        help_text=_("Also between the grades, which the shipped models never saw: look closely."),
    )
    to_steatosis = forms.TypedChoiceField(
        label=_("Steatosis"),
        choices=[("", SAME), *STEATOSIS_WORDS.items()],
        coerce=int,
        empty_value=None,
        required=False,
        help_text=_("Darkens the liver in CT, brightens it in T1."),
    )
    to_age = forms.FloatField(
        label=_("Age"), required=False, help_text=_("Left open, it stays. Changes the whole image.")
    )
    to_sex = forms.ChoiceField(
        label=_("Sex"),
        choices=[("", SAME), ("F", SEX_WORDS["F"]), ("M", SEX_WORDS["M"])],
        required=False,
        help_text=_("Changes the whole image."),
    )
    mask_after = forms.CharField(
        label=_("A lesion added or taken away"),
        required=False,
        help_text=_(
            "Another mask of this case: paint the lesion in the viewer, or erase it, and save a mask. It can "
            "mark where the change acts instead: see More settings, Where."
        ),
    )
    model = forms.ChoiceField(label=_("Model"), help_text=_("Which network makes the change."))
    seed = forms.IntegerField(
        label=_("Seed"),
        required=False,
        help_text=_("A whole number from 0; the same seed makes the same image. Left open, one is drawn."),
    )
    note = forms.CharField(
        label=_("Note"), required=False, max_length=500, help_text=_("For yourself; shown with the result.")
    )

    def __init__(
        self, *args: Any, models: Any, case: Any, masks: Any, adapters: Any = (), **kwargs: Any
    ) -> None:
        """Offer these models, the adapters that fit the chosen one, and these masks of the case."""
        super().__init__(*args, **kwargs)
        self.models = {str(model.pk): model for model in models}
        self.case_object = case
        self.masks = {str(mask.pk): mask for mask in masks}
        fields: dict[str, Any] = self.fields
        fields["model"].choices = [(key, str(model)) for key, model in self.models.items()]
        kinds = ["CT"] if case.modality == "CT" else ["T1", "T2"]
        fields["modality"].choices = [(name, MODALITY_WORDS[name]) for name in kinds]
        grades = [(f"{level:g}", level_word(level)) for level in LEVELS]
        fields["was_severity"].choices = grades
        fields["to_severity"].choices = [("", SAME), *grades]
        fields["mask"].widget = forms.Select(choices=[(key, str(mask)) for key, mask in self.masks.items()])
        others = [("", _("The same mask")), *((key, str(mask)) for key, mask in self.masks.items())]
        fields["mask_after"].widget = forms.Select(choices=others)
        fields["slice_number"].help_text = _("1 to %(count)d.") % {"count": case.slice_count}
        self.offer(case=case, models=self.models, adapters=adapters)
        chosen = self.models.get(self._said("model")) or next(iter(self.models.values()), None)
        recipe = chosen.recipe_with(self.adapters.get(self._said("adapter"))) if chosen is not None else {}
        self.offer_methods(recipe)
        self.offer_places(recipe, self.masks.values())
        self.prompts: Mapping[str, Any] = recipe.get("prompts") or {}
        diagnoses = list((self.prompts.get("diagnoses") or {}).items())
        fields["was_diagnosis"].choices = [("", _("Not stated")), *diagnoses]
        fields["to_diagnosis"].choices = [("", SAME), *diagnoses]
        for name in ("was_severity", "was_steatosis"):
            fields[name].required = self.tells_severity
        for name in ("method", "model", "adapter"):
            fields[name].widget.attrs.update(redraw(name))
        for name, (low, high, step) in _RANGES.items():
            within(fields[name], low, high, step)
        within(fields["slice_number"], 1, case.slice_count, 1, words=str(NO_SUCH_SLICE))
        fields["was_age"].unit = fields["to_age"].unit = _("years")
        fields["seed"].widget.attrs["placeholder"] = _("random")

    @property
    def tells_severity(self) -> bool:
        """Whether the chosen model is told of cirrhosis and steatosis; one told patients in words is not."""
        return not self.prompts

    @property
    def now(self) -> list[Any]:
        """What the image shows."""
        return self._told("was_", self.NOW)

    @property
    def then(self) -> list[Any]:
        """What it shall show."""
        return self._told("to_", self.THEN)

    def _told(self, when: str, names: tuple[str, ...]) -> list[Any]:
        """Of these fields those that the model can be told, and the diagnosis where it knows some."""
        if self.tells_severity:
            return [self[name] for name in names]
        own = [name for name in ("diagnosis", "age", "sex") if self._tells(name)]
        return [self[f"{when}{name}"] for name in own]

    def shows(self, name: str) -> bool:
        """Whether a field is on the page, so that words beside it are seen."""
        if not name.startswith(("was_", "to_")):
            return name in self.fields
        return name in {field.name for field in (*self.now, *self.then)}

    def _tells(self, name: str) -> bool:
        """Whether the chosen model can be told a patient's age, sex or diagnosis."""
        if not self.prompts:
            return name != "diagnosis"
        return name in told_in(self.prompts) and (name != "diagnosis" or bool(self.prompts.get("diagnoses")))

    @property
    def more(self) -> list[Any]:
        """The fields under "More settings"."""
        return [*self.more_options, self["seed"], self["note"]]

    @property
    def has_more(self) -> bool:
        """Whether one of the fields under "More settings" is wrong."""
        return any(field.errors for field in (*self.more, *self.drifting))

    def clean_mask(self) -> str:
        """One of the case's masks."""
        return self._mask("mask")

    def clean_mask_after(self) -> str:
        """One of the case's masks, or nothing."""
        return self._mask("mask_after")

    def _mask(self, name: str) -> str:
        value = str(self.cleaned_data.get(name) or "")
        if value and value not in self.masks:
            raise forms.ValidationError(_("This mask is not there any more. Choose another one."))
        return value

    def wish(self) -> dict[str, Any]:
        """The cleaned values as `edit_submit` and `edit_prepare` take them."""
        values = self.cleaned_data
        before = condition_of(
            values["modality"],
            level=self._level("was_severity") or 0.0,
            steatosis=values.get("was_steatosis") or 0 if self.tells_severity else 0,
            age=values.get("was_age") if self._tells("age") else None,
            sex=(values.get("was_sex") or None) if self._tells("sex") else None,
        )
        if values.get("was_diagnosis") and self._tells("diagnosis"):
            before["diagnosis"] = values["was_diagnosis"]
        after, level = dict(before), self._level("to_severity")
        if level is not None:
            others = ("modality", "severity", "severity_level")
            kept = {key: value for key, value in before.items() if key not in others}
            after = condition_of(values["modality"], level=level) | kept
        for key in ("steatosis", "age", "sex", "diagnosis"):
            tells = self.tells_severity if key == "steatosis" else self._tells(key)
            if tells and values.get(f"to_{key}") not in (None, ""):
                after[key] = values[f"to_{key}"]
        number = values.get("slice_number")
        return {
            "model": self.models[values["model"]],
            "adapter": self.adapter_object,
            "slices": self.slices,
            "case": self.case_object,
            "mask": self.masks.get(values["mask"]),
            "mask_after": self.masks.get(values["mask_after"]),
            "slice_index": number - 1 if number is not None else None,
            "parameters": {"before": before, "condition": after, "edit": self.method_options()},
            "count": (values.get("count") or 1) if "count" in self.method_fields else 1,
        }

    def _level(self, name: str) -> float | None:
        """A severity that was sent; None where it stays, or where the model is told of none."""
        value = self.cleaned_data.get(name)
        return float(value) if value and self.tells_severity else None


_RANGES: dict[str, tuple[Any, Any, Any]] = {
    "was_age": (18, 90, "any"),
    "to_age": (18, 90, "any"),
    "seed": (0, LARGEST_SEED, 1),
}


def condition_of(modality: str, *, level: float, **others: Any) -> dict[str, Any]:
    """A condition with its severity as a grade, or between two of them."""
    severity = {"severity": SEVERITIES[int(level)]} if level == int(level) else {"severity_level": level}
    return {"modality": modality, **severity, **others}


def initial_of(case: Any, mask: Any, index: int) -> dict[str, Any]:
    """What the form opens with: what is known of the case, and nothing changed."""
    known: Mapping[str, Any] = case.attributes or {}
    level = _level(known)
    age, sex = known.get("age"), known.get("sex")
    steatosis = known.get("steatosis")
    return {
        "case": case.pk,
        "mask": str(mask.pk) if mask else "",
        "slice_number": index + 1,
        "modality": "CT"
        if case.modality == "CT"
        else known.get("weighting") or known.get("modality") or "T1",
        "was_severity": f"{level:g}",
        "was_steatosis": steatosis if steatosis in STEATOSIS_WORDS else 0,
        "was_age": (int(age) if age == int(age) else age) if isinstance(age, int | float) else None,
        "was_sex": sex if sex in ("F", "M") else "",
        "to_severity": "3" if level < 2 else "0",
    }


def _level(known: Mapping[str, Any]) -> float:
    """The severity that a case's attributes tell, to the nearest half grade."""
    level, word = known.get("severity_level"), known.get("severity")
    if isinstance(level, int | float) and 0 <= level <= LEVELS[-1]:
        return round(float(level) * 2) / 2
    return float(SEVERITIES.index(word)) if word in SEVERITIES else 0.0
