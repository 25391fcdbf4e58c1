"""The forms of the jobs pages: asking for images, judging them, narrowing the gallery."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import TextChoices
from django.utils.text import Truncator, format_lazy
from django.utils.translation import gettext_lazy as _

from synthesis.catalog import SAMPLERS
from synthesis.control.patient_prompts import told_in
from synthesis.imaging.uncertainty import Options as MapOptions
from synthesis.request import SEVEREST, SEVERITIES, SamplerOptions
from webapp.jobs.forms_series import redraw
from webapp.jobs.models import Result
from webapp.jobs.preparation import PHANTOM_LIMIT
from webapp.jobs.requests import COUNT_LIMIT, LARGEST_SEED
from webapp.jobs.sampling import hint_of, option_fields, option_values
from webapp.jobs.severities import BETWEEN, GRADE_WORDS, SEVERITY_WORDS

MODALITY_WORDS = {"CT": _("CT"), "T1": _("MR, T1-weighted"), "T2": _("MR, T2-weighted")}
STEATOSIS_WORDS = {0: _("None"), 1: _("Grade 1"), 2: _("Grade 2"), 3: _("Grade 3")}
SEX_WORDS = {"": _("Not stated"), "F": _("Female"), "M": _("Male")}
DEFAULTS = SamplerOptions()
LINE_WORDS = 28


class RequestForm(forms.Form):
    """What to make, of which anatomy. Few fields first; `more` holds those under "More settings".

    The adapters are the chosen model's, the options the chosen sampler's.
    """

    FEW = ("modality", "steatosis", "diagnosis", "age", "sex", "count")
    MORE = ("sampler", "steps", "guidance", "uncertainty", "seed", "note")

    model = forms.ChoiceField(label=_("Model"), help_text=_("Which network draws the images."))
    adapter = forms.ChoiceField(
        label=_("Adapter"),
        required=False,
        help_text=_("A small addition that was trained on the model and changes what it draws."),
        error_messages={
            "invalid_choice": _("This adapter does not belong to the chosen model, or is not offered.")
        },
    )
    modality = forms.ChoiceField(
        label=_("Modality"), help_text=_("What the synthetic image looks like, whatever the source was.")
    )
    severity = forms.ChoiceField(
        label=_("Cirrhosis"),
        choices=[*GRADE_WORDS.items(), (BETWEEN, _("Between grades"))],
        initial="none",
        widget=forms.RadioSelect,
        help_text=_("How nodular the liver's texture is drawn."),
    )
    severity_level = forms.FloatField(
        label=_("On the scale from 0, none, to 3, severe"),
        required=False,
        initial=0,
        help_text=_(
            "The shipped models were trained on the four grades alone; look closely at what lies between: "
            "1.5 is half-way from low to mild."
        ),
    )
    steatosis = forms.TypedChoiceField(
        label=_("Steatosis"),
        choices=list(STEATOSIS_WORDS.items()),
        coerce=int,
        initial=0,
        help_text=_("How much fat darkens (CT) or brightens (T1) the liver."),
    )
    diagnosis = forms.ChoiceField(
        label=_("Diagnosis"),
        required=False,
        help_text=_("What the patient has, in the words that the model was trained on."),
    )
    age = forms.FloatField(
        label=_("Age"), required=False, help_text=_("18 to 90; left open, the model chooses a typical body.")
    )
    sex = forms.ChoiceField(label=_("Sex"), choices=list(SEX_WORDS.items()), required=False)
    count = forms.IntegerField(
        label=_("Number of images"),
        initial=1,
        help_text=_("1 to 16; each has noise of its own, all share anatomy and condition."),
    )
    sampler = forms.ChoiceField(
        label=_("Sampler"),
        choices=[(entry.name, entry.label) for entry in SAMPLERS.values()],
        initial=DEFAULTS.name,
        help_text=_("How the network's steps are put together; RFT needs the fewest."),
    )
    steps = forms.IntegerField(
        label=_("Steps"),
        initial=DEFAULTS.steps,
        help_text=_("1 to 100, default 4. More steps take longer in proportion."),
    )
    guidance = forms.FloatField(
        label=_("Guidance"),
        initial=DEFAULTS.guidance,
        help_text=_("0 to 10, default 1. Above 1 the condition shows more strongly, at twice the time."),
    )
    uncertainty = forms.TypedChoiceField(
        label=_("Uncertainty map"),
        choices=[("", _("No map")), ("yes", _("A map with every image"))],
        coerce=lambda word: word == "yes",
        initial="",
        required=False,
        help_text=format_lazy(
            _("How far each pixel may still differ, in HU or signal. Takes as long as about {calls} steps."),
            calls=MapOptions().calls,
        ),
    )
    seed = forms.IntegerField(
        label=_("Seed"),
        required=False,
        help_text=_("A whole number from 0; the same seed makes the same images. Left open, one is drawn."),
    )
    note = forms.CharField(
        label=_("Note"), required=False, max_length=500, help_text=_("For yourself; shown with the results.")
    )
    case = forms.UUIDField(required=False, widget=forms.HiddenInput)
    mask = forms.CharField(label=_("Mask"), required=False, help_text=_("Which labels say where what is."))
    slice_number = forms.IntegerField(label=_("Slice"), required=False, help_text=_("Counted from 1."))
    phantom_seed = forms.IntegerField(
        label=_("Anatomy number"),
        initial=0,
        required=False,
        help_text=_("0 to 9999: each number is another demo person."),
    )

    def __init__(
        self,
        *args: Any,
        models: Any,
        adapters: Any = (),
        case: Any = None,
        masks: Any = (),
        **kwargs: Any,
    ) -> None:
        """Offer these models, those adapters that fit the chosen one and, for a case, these masks."""
        super().__init__(*args, **kwargs)
        self.models = {str(model.pk): model for model in models}
        chosen = self.chosen_model
        fitting = [adapter for adapter in adapters if chosen is not None and adapter.base_id == chosen.pk]
        self.adapters = {str(adapter.pk): adapter for adapter in fitting}
        self._describe()
        self.case_object = case
        self.masks = {str(mask.pk): mask for mask in masks}
        fields: dict[str, Any] = self.fields
        fields["model"].choices = [(key, str(model)) for key, model in self.models.items()]
        drawing = [*self.models.values(), *self.adapters.values()]
        names = list(dict.fromkeys(name for one in drawing for name in one.modalities or ["CT"]))
        fields["adapter"].choices = [("", _("None: the model as it was trained"))] + [
            (key, str(adapter)) for key, adapter in self.adapters.items()
        ]
        fields["modality"].choices = [(name, MODALITY_WORDS.get(name, name)) for name in names]
        fields["diagnosis"].choices = [("", _("Not stated")), *self._prompts.get("diagnoses", {}).items()]
        for name in ("severity", "steatosis"):
            fields[name].required = self.tells_severity
        for name in ("model", "adapter", "sampler"):
            fields[name].widget.attrs.update(redraw(name, address="jobs:synthesise-apply"))
        fields.update(option_fields(self.sampler_name))
        fields["age"].unit = _("years")
        fields["phantom_seed"].required = case is None
        if case is not None:
            fields["mask"].widget = forms.Select(choices=[(k, str(m)) for k, m in self.masks.items()])
            fields["slice_number"].help_text = _("1 to %(count)d.") % {"count": case.slice_count}
        for name, (low, high, step) in _RANGES.items():
            fields[name].widget.attrs.update({"min": low, "max": high, "step": step})
        fields["seed"].widget.attrs["placeholder"] = _("drawn at random")

    def _describe(self) -> None:
        """Say in a line what is chosen."""
        for name, chosen in (("model", self.chosen_model), ("adapter", self.chosen_adapter)):
            if chosen is not None and chosen.summary:
                first = chosen.summary.partition(". ")[0].rstrip(".")
                self.fields[name].help_text = Truncator(f"{first}.").words(LINE_WORDS)

    @property
    def chosen_model(self) -> Any:
        """The model that is chosen, or the first on offer; None where there is none."""
        return self.models.get(self._given("model")) or next(iter(self.models.values()), None)

    @property
    def chosen_adapter(self) -> Any:
        """The adapter that is chosen, if it is one of the model's."""
        return self.adapters.get(self._given("adapter"))

    @property
    def sampler_name(self) -> str:
        """The sampler that is chosen."""
        return self._given("sampler") or DEFAULTS.name

    def _given(self, name: str) -> str:
        """What was sent, or what the form opens on; without a bound field, which would keep its old help."""
        value = self.data.get(name) if self.is_bound else self.initial.get(name)
        return "" if value is None else str(value)

    @property
    def sampler_hint(self) -> str:
        """That the chosen sampler has nothing to choose, where it has not."""
        return hint_of(self.sampler_name)

    @property
    def _prompts(self) -> dict[str, Any]:
        """The words that the chosen model is told patients in; empty where it is told in another way."""
        if self.chosen_model is None:
            return {}
        return dict(self.chosen_model.recipe_with(self.chosen_adapter).get("prompts") or {})

    @property
    def tells_severity(self) -> bool:
        """Whether the chosen model can be told of cirrhosis and steatosis: those told in words cannot."""
        return not self._prompts

    def _tells(self, name: str) -> bool:
        """Whether the chosen model can be told a patient's age, sex or diagnosis."""
        prompts = self._prompts
        if not prompts:
            return name != "diagnosis"
        return name in told_in(prompts) and (name != "diagnosis" or bool(prompts.get("diagnoses")))

    @property
    def few(self) -> list[Any]:
        """The fields of the wish itself, but for the severity."""
        left_out = {"steatosis"} if self._prompts else set()
        left_out |= {name for name in ("age", "sex", "diagnosis") if not self._tells(name)}
        return [self[name] for name in self.FEW if name not in left_out or self.errors.get(name)]

    @property
    def more(self) -> list[Any]:
        """The fields under "More settings", the sampler's own options after its steps."""
        return [self[name] for name in self._more]

    @property
    def has_more(self) -> bool:
        """Whether one of the fields under "More settings" is not as it comes, or is wrong."""
        return any(
            name in self.errors or _said(self[name].value()) != _said(self.fields[name].initial)
            for name in self._more
        )

    @property
    def _more(self) -> tuple[str, ...]:
        return (*self.MORE[:2], *option_fields(self.sampler_name), *self.MORE[2:])

    def wish(self) -> dict[str, Any]:
        """The cleaned values as `request_submit` and `prepare` take them."""
        values = self.cleaned_data
        diagnosis = values.get("diagnosis")
        parameters: dict[str, Any] = {
            "condition": {
                "modality": values["modality"],
                **self._severity(),
                "steatosis": values["steatosis"] or 0,
                "age": values.get("age") if self._tells("age") else None,
                "sex": (values.get("sex") or None) if self._tells("sex") else None,
                **({"diagnosis": diagnosis} if diagnosis and self._tells("diagnosis") else {}),
            },
            "sampler": {
                "name": values["sampler"],
                "steps": values["steps"],
                "guidance": values["guidance"],
                **option_values(values["sampler"], values),
            },
        }
        if values.get("uncertainty"):
            parameters["uncertainty"] = True
        wish: dict[str, Any] = {
            "model": self.models[values["model"]],
            "adapter": self.adapters.get(values.get("adapter") or ""),
            "count": values["count"],
        }
        if self.case_object is None:
            parameters["phantom_seed"] = values.get("phantom_seed") or 0
        else:
            wish["case"] = self.case_object
            wish["mask"] = self.masks.get(values.get("mask") or "")
            wish["slice_index"] = values["slice_number"] - 1 if values.get("slice_number") else None
        return {**wish, "parameters": parameters}

    def _severity(self) -> dict[str, Any]:
        """The grade; or, between grades, the level. A level that is a grade is that grade."""
        word, level = self.cleaned_data["severity"] or "none", self.cleaned_data.get("severity_level")
        if word != BETWEEN:
            return {"severity": word}
        if level is not None and 0 <= level <= SEVEREST and level == int(level):
            return {"severity": SEVERITIES[int(level)]}
        return {"severity_level": 0.0 if level is None else level}


_RANGES: dict[str, tuple[Any, Any, Any]] = {
    "age": (18, 90, "any"),
    "severity_level": (0, SEVEREST, 0.1),
    "count": (1, COUNT_LIMIT, 1),
    "steps": (1, 100, 1),
    "guidance": (0, 10, "any"),
    "seed": (0, LARGEST_SEED, 1),
    "phantom_seed": (0, PHANTOM_LIMIT, 1),
}


def own_sampler(model: Any, adapter: Any = None) -> dict[str, Any]:
    """The form's sampler and steps that the recipe names as its own, or the usual ones."""
    own = model.recipe_with(adapter).get("sampler")
    name, steps = (own.get("name"), own.get("steps")) if isinstance(own, dict) else (None, None)
    low, high, _step = _RANGES["steps"]
    if not isinstance(name, str) or name not in SAMPLERS:
        return {"sampler": DEFAULTS.name, "steps": DEFAULTS.steps}
    fits = isinstance(steps, int) and not isinstance(steps, bool) and low <= steps <= high
    return {"sampler": name, "steps": steps if fits else DEFAULTS.steps}


def _said(value: Any) -> str:
    """A field's value as the page has it; nothing said is nothing."""
    return "" if value is None else str(value)


class DecisionForm(forms.Form):
    """Accept or reject one result."""

    decision = forms.ChoiceField(choices=Result.Decision.choices, required=False)
    note = forms.CharField(
        label=_("Why"),
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class GalleryFilter(forms.Form):
    """What the gallery shows."""

    class Judged(TextChoices):
        """By decision."""

        ALL = "", _("All results")
        OPEN = "open", _("Not decided")
        ACCEPTED = "accepted", _("Accepted")
        REJECTED = "rejected", _("Rejected")

    decision = forms.ChoiceField(label=_("Decision"), choices=Judged.choices, required=False)
    modality = forms.ChoiceField(
        label=_("Modality"), choices=[("", _("Any modality")), *MODALITY_WORDS.items()], required=False
    )
    severity = forms.ChoiceField(
        label=_("Cirrhosis"), choices=[("", _("Any severity")), *SEVERITY_WORDS.items()], required=False
    )


class ExportForm(forms.Form):
    """How a dataset is exported."""

    form = forms.ChoiceField(
        label=_("As"),
        choices=[("dicom", _("DICOM, masks as DICOM SEG")), ("nifti", _("NIfTI, for training and analysis"))],
        widget=forms.RadioSelect,
        initial="dicom",
    )
