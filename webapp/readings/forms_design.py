"""The forms that decide a study's design, and that plan its size."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from webapp.readings.harmonising import Options
from webapp.readings.protocol import Margin, Protocol, Repeats, Sessions

MEASURES = [("auc", _("AUC")), ("accuracy", _("Accuracy"))]


class DesignForm(forms.Form):
    """Repeats, sessions, blocks, the margin, and how the images are brought to one form."""

    repeat_share = forms.FloatField(
        label=_("Hidden repeats"),
        min_value=0,
        max_value=50,
        help_text=_(
            "Share of the items that each reader sees twice, to measure repeatability. 10 to 20 is usual."
        ),
    )
    repeat_gap = forms.IntegerField(
        label=_("At least this many items in between"), min_value=1, max_value=1000
    )
    session_count = forms.IntegerField(
        label=_("Sessions"),
        min_value=1,
        max_value=20,
        help_text=_("Sittings into which the items are parted."),
    )
    washout_hours = forms.FloatField(
        label=_("Washout between sessions"),
        min_value=0,
        max_value=8784,
        help_text=_("The next session opens no sooner; hidden repeats then lie in a later session."),
    )
    block_size = forms.IntegerField(
        label=_("Block size"),
        min_value=2,
        max_value=1000,
        help_text=_("Even. Within a block both arms, and every stratum of each, have equal shares."),
    )
    stratify = forms.CharField(
        label=_("Strata"),
        required=False,
        max_length=200,
        help_text=_("Attributes by which blocks are balanced, with commas: modality, severity."),
    )
    one_per_patient = forms.BooleanField(
        label=_("At most one real item of each patient"),
        required=False,
        help_text=_(
            "Several items of one patient say less than as many patients; the statistics allow for it."
        ),
    )
    margin_measure = forms.ChoiceField(
        label=_("Margin on"),
        choices=MEASURES,
        help_text=_("AUC: how well the confidence sorts the images. Accuracy: the share of right answers."),
    )
    margin_value = forms.FloatField(
        label=_("Margin of equivalence"),
        min_value=0.01,
        max_value=0.49,
        help_text=_(
            "How far from guessing (0.5) still counts as indistinguishable. Fixed before anybody reads."
        ),
    )
    alpha = forms.FloatField(
        label=_("Level of the test"), min_value=0.001, max_value=0.2, help_text=_("Usually 0.05.")
    )
    spacing_mm = forms.FloatField(
        label=_("Pixel size"),
        required=False,
        min_value=0.1,
        max_value=20,
        help_text=_("Left open: chosen from the items."),
    )
    field_mm = forms.FloatField(
        label=_("Field of view"),
        required=False,
        min_value=10,
        max_value=1000,
        help_text=_("Left open: chosen from the items."),
    )
    frames = forms.IntegerField(
        label=_("Slices"),
        required=False,
        min_value=1,
        max_value=1000,
        help_text=_("Left open: as many as all items have."),
    )
    mask_outside = forms.BooleanField(
        label=_("Blank out everything outside the body"),
        required=False,
        help_text=_(
            "Tables, clothes and the noise of air tell arms apart; leave this on unless they matter."
        ),
    )

    STRUCTURE = ("repeat_share", "repeat_gap", "session_count", "washout_hours", "block_size", "stratify")
    MEASURE = ("margin_measure", "margin_value", "alpha")
    COMMON_FORM = ("spacing_mm", "field_mm", "frames", "mask_outside")

    def __init__(self, *args: Any, protocol: Protocol, **kwargs: Any) -> None:
        """Show what the protocol says."""
        options = Options.from_json(dict(protocol.harmonise))
        initial = {
            "repeat_share": round(100 * protocol.repeats.share, 2),
            "repeat_gap": protocol.repeats.gap,
            "session_count": protocol.sessions.count,
            "washout_hours": protocol.sessions.washout_hours,
            "block_size": protocol.block_size,
            "stratify": ", ".join(protocol.stratify),
            "one_per_patient": protocol.one_per_patient,
            "margin_measure": protocol.margin.measure,
            "margin_value": protocol.margin.value,
            "alpha": protocol.alpha,
        } | {name: getattr(options, name) for name in self.COMMON_FORM}
        super().__init__(*args, initial=initial, **kwargs)  # type: ignore[misc]
        units = {"repeat_share": "%", "washout_hours": _("hours"), "spacing_mm": "mm", "field_mm": "mm"}
        for name, unit in units.items():
            self.fields[name].unit = unit  # type: ignore[attr-defined]

    def group(self, names: tuple[str, ...]) -> list[forms.BoundField]:
        """These fields, to be drawn."""
        return [self[name] for name in names]

    @property
    def structure(self) -> list[forms.BoundField]:
        """Repeats, sessions and blocks."""
        return self.group(self.STRUCTURE)

    @property
    def measure(self) -> list[forms.BoundField]:
        """What is tested."""
        return self.group(self.MEASURE)

    def change(self, protocol: Protocol) -> Protocol:
        """The protocol with what the form says. Raises ApplicationError for what makes no sound study."""
        values = self.cleaned_data
        strata = [word.strip() for word in values["stratify"].split(",") if word.strip()]
        harmonise = {name: values[name] for name in self.COMMON_FORM if values[name] is not None}
        Options.from_json(harmonise)
        return protocol.changed(
            repeats=Repeats(share=values["repeat_share"] / 100, gap=values["repeat_gap"]),
            sessions=Sessions(count=values["session_count"], washout_hours=values["washout_hours"]),
            block_size=values["block_size"],
            stratify=tuple(dict.fromkeys(strata)),
            one_per_patient=values["one_per_patient"],
            margin=Margin(measure=values["margin_measure"], value=values["margin_value"]),
            alpha=values["alpha"],
            harmonise=harmonise,
        )


class PlannerForm(forms.Form):
    """What the sample-size planner is asked."""

    MOST_CURVES, MOST_READERS, MOST_ITEMS = 3, 12, 600

    measure = forms.ChoiceField(label=_("Margin on"), choices=MEASURES)
    margin = forms.FloatField(label=_("Margin"), min_value=0.02, max_value=0.45)
    alpha = forms.FloatField(label=_("Level"), min_value=0.001, max_value=0.2)
    true = forms.FloatField(
        label=_("True share of right answers"),
        min_value=0.5,
        max_value=0.9,
        help_text=_("0.5 is guessing."),
    )
    readers = forms.CharField(
        label=_("Numbers of readers"), max_length=40, help_text=_("Up to three, up to 12 each: 1, 3, 6.")
    )
    items = forms.IntegerField(label=_("Up to this many items"), min_value=20, max_value=MOST_ITEMS)

    def __init__(self, data: Any = None, *, protocol: Protocol) -> None:
        """Begin with the study's own margin."""
        initial = {
            "measure": protocol.margin.measure,
            "margin": protocol.margin.value,
            "alpha": protocol.alpha,
            "true": 0.5,
            "readers": "1, 3, 6" if protocol.margin.measure == "accuracy" else "3, 6, 10",
            "items": 300,
        }
        super().__init__(data or initial)

    def clean_readers(self) -> tuple[int, ...]:
        """Different whole numbers."""
        words = self.cleaned_data["readers"].replace(",", " ").split()
        if not words or not all(word.isascii() and word.isdecimal() for word in words):
            raise forms.ValidationError(_("Write whole numbers with commas, such as 1, 3, 6."))
        numbers = tuple(sorted({int(word) for word in words}))
        if len(numbers) > self.MOST_CURVES or not 1 <= numbers[0] <= numbers[-1] <= self.MOST_READERS:
            raise forms.ValidationError(_("Write up to three numbers from 1 to 12."))
        return numbers

    def clean(self) -> dict[str, Any]:
        """One reader has no curve for the AUC; somebody whose accuracy lies outside the margin needs none."""
        values = super().clean() or {}
        if values.get("measure") == "auc" and values.get("readers") == (1,):
            self.add_error("readers", _("For the AUC the planner needs two readers or more."))
        return values
