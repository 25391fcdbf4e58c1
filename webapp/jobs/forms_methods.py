"""The part of "Change one thing" that says how: the methods that the model offers, and their settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from synthesis.catalog import COUNTERFACTUALS, SAMPLERS
from synthesis.edit_regions import label_names
from synthesis.edit_request import (
    BELONGS,
    EVERYWHERE,
    INSTRUCTED_SAMPLERS,
    NEGATIVE_MOST,
    PAINTED,
    EditOptions,
    methods_of,
    steps_of,
)
from synthesis.imaging.labelmaps import label_map
from webapp.core.choices import HintedRadios
from webapp.core.ranges import within
from webapp.jobs.edit_preparation import STEPS_MOST, USUAL_SCHEME
from webapp.jobs.edit_words import DRIFT_WORDS
from webapp.jobs.edits import COUNT_LIMIT

DEFAULTS = EditOptions()
SENTENCES = {
    "flow_inversion": _(
        "Finds the noise that the model would have drawn this image from, and draws it again as asked. "
        "The image's own details survive."
    ),
    "pix2pix_zero": _(
        "Goes from the words for what it shows to the words for what it shall show, and holds the model to "
        "look where it looked before, so that the layout stays."
    ),
    "guided": _(
        "Moves pixels until a network that reads severity changes its verdict. The least such change need "
        "not look like the disease."
    ),
    "instruct_pix2pix": _(
        "Draws the image anew with a model that is shown it and was trained on pairs, before and after. "
        "Every seed makes another one."
    ),
}
DRIFT_SENTENCES = {
    "init_only": _("Moves the noise that the drawing starts from, and nothing else. This changes the image."),
    "noise": _(
        "Moves that noise and every step along with it: exact, so an untrained model draws the same image "
        "as without. A model that was trained under a drift brings its own along."
    ),
    "prior": _(
        "The same for a drift that is counted from the image. Exact as well: it changes nothing here."
    ),
    "literal": _("Adds a share of the drift after every step, as the paper prints it. Not exact: it drags."),
}
METHOD_FIELDS = {
    "flow_inversion": ("strength", "steps", "blend", "drift", "drift_scheme", "variety", "count"),
    "pix2pix_zero": (
        *("strength", "steps", "attention", "guidance", "negative", "regularisation"),
        *("blend", "drift", "drift_scheme", "variety", "count"),
    ),
    "guided": ("weight", "reach"),
    "instruct_pix2pix": (
        *("guidance", "image_guidance", "steps", "sampler", "strength", "blend"),
        *("drift", "drift_scheme", "count"),
    ),
}
"""The options that a method has, the one that mostly steers it first; all others stay at their defaults."""
DRIFT_FIELDS = ("drift", "drift_scheme")
"""Those of them that stand together: how far, and what is moved."""
RANGES: dict[str, tuple[Any, Any, Any]] = {
    "strength": (0, 1, 0.05),
    "steps": (1, STEPS_MOST, 1),
    "drift": (-5, 5, "any"),
    "variety": (0, 1, 0.1),
    "count": (1, COUNT_LIMIT, 1),
    "weight": (0, 1000, "any"),
    "reach": (0.5, 0.99, 0.01),
    "guidance": (0, 20, 0.5),
    "image_guidance": (0, 20, 0.1),
    "attention": (0, 100, "any"),
    "regularisation": (0, 100, "any"),
}


def yes_no(label: Any, yes: Any, no: Any, help_text: Any, *, initial: bool) -> forms.TypedChoiceField:
    """A choice of two, each in words."""
    no_answer: Any = False
    return forms.TypedChoiceField(
        label=label,
        choices=[("yes", yes), ("", no)],
        coerce=lambda word: word == "yes",
        empty_value=no_answer,
        initial="yes" if initial else "",
        required=False,
        help_text=help_text,
    )


class MethodForm(forms.Form):
    """The methods that the chosen model offers, and the settings of the chosen one."""

    method = forms.ChoiceField(
        label=_("Method"),
        widget=HintedRadios(SENTENCES),
        error_messages={
            "invalid_choice": _("The chosen model does not offer this method. Choose one of those listed."),
            "required": _("Choose one of the methods that the model offers."),
        },
    )
    strength = forms.FloatField(
        label=_("Strength"),
        required=False,
        initial=DEFAULTS.strength,
        help_text=_(
            "0 leaves the image, 1 draws the changed part from nothing. Left open, it fits change and method."
        ),
    )
    steps = forms.IntegerField(
        label=_("Steps"),
        initial=DEFAULTS.steps,
        help_text=_("Of the way back and of the way forth; more is exacter and slower."),
    )
    where = forms.ChoiceField(
        label=_("Where"),
        required=False,
        initial=BELONGS,
        help_text=_(
            "Severity belongs to the liver, a lesion to its place, age and sex to the whole image. Painted: "
            "where the other mask chosen above differs; it then marks the place only."
        ),
        error_messages={
            "invalid_choice": _("No mask of this case has that structure. Choose one of those listed.")
        },
    )
    blend = yes_no(
        _("Outside of it"),
        _("Put the image back"),
        _("Leave it to the model"),
        _("Put back, nothing outside can differ, but an edge may show."),
        initial=DEFAULTS.blend,
    )
    attention = forms.FloatField(
        label=_("Hold the layout"),
        required=False,
        help_text=_("How firmly the model is held to look where it looked; 0 is not at all. Usually 0.1."),
    )
    guidance = forms.FloatField(
        label=_("Guidance"),
        required=False,
        help_text=_("How firmly the change is followed; 1 is as the model draws. Too much looks artificial."),
    )
    image_guidance = forms.FloatField(
        label=_("Guidance by the image"),
        required=False,
        help_text=_("How firmly the image is kept; 1 is as the model draws."),
    )
    negative = forms.CharField(
        label=_("Lead away from"),
        required=False,
        max_length=NEGATIVE_MOST,
        help_text=_("Words for what shall not be seen. Used with a guidance other than 1."),
    )
    regularisation = forms.FloatField(
        label=_("Keep the noise even"),
        required=False,
        help_text=_(
            "Evens out the noise that the image is taken back to, so that more can change and less comes "
            "back; 0 is exact, the authors used 20."
        ),
    )
    sampler = forms.ChoiceField(
        label=_("Sampler"),
        required=False,
        choices=[
            ("", _("The model's own")),
            *((name, SAMPLERS[name].label) for name in INSTRUCTED_SAMPLERS),
        ],
        help_text=_("How each step is computed."),
    )
    drift = forms.FloatField(
        label=_("Drift"),
        initial=DEFAULTS.drift,
        help_text=_(
            "Latent drifting of the way forth, −5 to 5; 0 is none, and right for the shipped models. Small "
            "numbers move much: the panel says how many standard deviations."
        ),
    )
    drift_scheme = forms.ChoiceField(
        label=_("What the drift moves"),
        required=False,
        choices=list(DRIFT_WORDS.items()),
        initial=USUAL_SCHEME,
        widget=HintedRadios(DRIFT_SENTENCES),
        help_text=_("Not used where the drift is 0."),
        error_messages={"invalid_choice": _("Choose one of the four ways to drift that are listed.")},
    )
    count = forms.IntegerField(
        label=_("Number of images"),
        initial=1,
        help_text=_("More than one shows what the image leaves open: a map of their spread."),
    )
    variety = forms.FloatField(
        label=_("Variety"),
        initial=0.5,
        help_text=_("0 to 1: how much differs between several images; not used for one."),
    )
    weight = forms.FloatField(
        label=_("Weight of the outcome"),
        initial=DEFAULTS.weight,
        help_text=_("How much the reader's verdict counts against likeness; 0 leaves the image."),
    )
    reach = forms.FloatField(
        label=_("How sure"),
        initial=DEFAULTS.reach,
        help_text=_("The weight is doubled until the reader is that sure, 0 to 1."),
    )
    undo = yes_no(
        _("Undo the change"),
        _("Yes"),
        _("No"),
        _("Also tries no change, and takes the change back: shows what is lost. Up to three times as long."),
        initial=True,
    )

    def offer_methods(self, recipe: Any) -> None:
        """Offer what a model of that recipe can do; a method that it cannot gives way to its first one."""
        fields: dict[str, Any] = self.fields
        self.offered = methods_of(recipe)
        fields["method"].choices = [(name, COUNTERFACTUALS[name].label) for name in self.offered]
        fields["method"].initial = self.offered[0]
        if not self.is_bound and self.initial.get("method") not in self.offered:
            self.initial["method"] = self.offered[0]
        fields["steps"].initial = steps_of(self.method_name)
        for name, (low, high, step) in RANGES.items():
            within(fields[name], low, high, step)
            fields[name].required = fields[name].required and name in self.method_fields
        fields["strength"].widget.attrs["placeholder"] = _("automatic")
        for name in ("attention", "guidance", "image_guidance", "regularisation"):
            fields[name].widget.attrs["placeholder"] = _("automatic")

    def offer_places(self, recipe: Any, masks: Iterable[Any]) -> None:
        """Offer the places that a change may act in: of the model's structures those that a mask names."""
        known = recipe.get("label_set")
        named = {name for mask in masks for name in label_map(mask.labels, known).mapped.values()}
        structures = [(name, name.capitalize()) for name in label_names(known).values() if name in named]
        fields: dict[str, Any] = self.fields
        fields["where"].choices = [
            (BELONGS, _("Where it belongs")),
            (EVERYWHERE, _("Everywhere")),
            (PAINTED, _("Where I painted")),
            *([(_("In one structure"), structures)] if structures else []),
        ]

    @property
    def method_name(self) -> str:
        """The method that is chosen."""
        return str(self["method"].value() or self.offered[0])

    @property
    def method_fields(self) -> tuple[str, ...]:
        """The options of the chosen method."""
        return METHOD_FIELDS.get(self.method_name, ())

    @property
    def more_options(self) -> list[Any]:
        """The method's fields under "More settings", but for those of the drift."""
        own = [name for name in self.method_fields[1:] if name not in DRIFT_FIELDS]
        return [self[name] for name in ("where", *own, "undo")]

    @property
    def drifting(self) -> list[Any]:
        """How far the method's noise is moved, and what that moves; none where it has no noise."""
        return [self[name] for name in DRIFT_FIELDS if name in self.method_fields]

    @property
    def first_option(self) -> Any:
        """The option that a method is mostly steered by."""
        return self[self.method_fields[0]] if self.method_fields else None

    def method_options(self) -> dict[str, Any]:
        """The cleaned options as `EditOptions` takes them; what was left open is not said."""
        values = self.cleaned_data
        own = [name for name in self.method_fields if name != "count" and values.get(name) not in (None, "")]
        options = {name: values[name] for name in (*own, "undo")}
        options |= {"method": values["method"], "where": values.get("where") or BELONGS}
        if (values.get("count") or 1) == 1 or "variety" not in own:
            options.pop("variety", None)
        if not options.get("drift"):
            options.pop("drift_scheme", None)
        return options


def with_other_method(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a form whose method was just changed: another method's usual steps become its own."""
    usual = {str(steps_of(name)) for name in COUNTERFACTUALS}
    if str(values.get("steps")) in usual:
        values["steps"] = steps_of(str(values.get("method")))
    return values
