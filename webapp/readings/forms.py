"""The forms of the lead's pages: basics, questions, items, readers."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any

from django import forms
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from webapp.core.errors import ApplicationError
from webapp.readings.models import ItemTruth, ReadingItem
from webapp.readings.protocol import NAME, Protocol, Question
from webapp.readings.questions import QUESTION_TYPES, question_options

SLICE_CHOICES = [
    ("middle", _("The middle slice")),
    ("mask", _("The slice that shows most of the liver or mask")),
    ("index", _("One slice by its number")),
    ("range", _("A stack of slices about the middle")),
    ("all", _("The whole volume")),
]


class TitleForm(forms.Form):
    """A new study."""

    title = forms.CharField(
        label=_("Title"),
        max_length=160,
        help_text=_("Readers see it too, so say nothing by which they could tell the images apart."),
    )
    summary = forms.CharField(
        label=_("What it is to find out"),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("For yourself and the report; readers do not see it."),
    )


class BasicsForm(TitleForm):
    """What readers are told, and how the reading page behaves."""

    instructions = forms.CharField(
        label=_("Instructions to readers"),
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text=_("What they will see, what to judge by, how long it takes."),
    )
    prevalence_told = forms.BooleanField(
        label=_("Tell readers what share of the images is synthetic"),
        required=False,
        help_text=_("Readers who know the share adjust their answers to it; the report states which it was."),
    )
    window = forms.ChoiceField(
        label=_("Window and level"),
        choices=[("free", _("Readers may change them")), ("fixed", _("Fixed, the same for every item"))],
    )
    going_back = forms.BooleanField(
        label=_("Let readers go back to items that they answered"),
        required=False,
        help_text=_(
            "Every answer is kept; the last one counts. Usually off: a second look unblinds repeats."
        ),
    )

    def change(self, protocol: Protocol) -> Protocol:
        """The protocol with what the form says."""
        names = ("instructions", "prevalence_told", "window", "going_back")
        return protocol.changed(**{name: self.cleaned_data[name] for name in names})


def _option_field(option: Field[Any]) -> forms.Field:
    """The form field of one option of a question type, by its type and metadata."""
    meta = dict(option.metadata)
    label, help_text = meta.get("label", option.name), meta.get("help", "")
    default = None if option.default is MISSING else option.default
    common: dict[str, Any] = {"label": label, "help_text": help_text, "initial": default}
    if "choices" in meta:
        return forms.ChoiceField(choices=meta["choices"], **common)
    if isinstance(default, bool):
        return forms.BooleanField(required=False, **common)
    if isinstance(default, int):
        low, high = meta.get("range", (None, None))
        return forms.IntegerField(min_value=low, max_value=high, **common)
    if isinstance(default, tuple):
        widget = forms.Textarea(attrs={"rows": 5})
        return forms.CharField(widget=widget, **common | {"initial": "\n".join(default)})
    return forms.CharField(max_length=200, required=not meta.get("is_optional"), **common)


class QuestionForm(forms.Form):
    """One question; the fields of its type come from the type itself."""

    label = forms.CharField(
        label=_("Question"), max_length=300, help_text=_("As readers see it beside every image.")
    )
    required = forms.BooleanField(label=_("Must be answered"), required=False, initial=True)
    name = forms.CharField(
        label=_("Short name"),
        max_length=40,
        required=False,
        help_text=_("For exports: small letters, digits, underscores. Left open, made from the question."),
    )

    def __init__(self, *args: Any, type: str, question: Question | None = None, **kwargs: Any) -> None:
        """Ask for the options of that type, filled from the question that is being changed."""
        initial: dict[str, Any] = {}
        if question is not None:
            initial = {"label": question.label, "required": question.required, "name": question.name}
            initial |= {
                name: "\n".join(value) if isinstance(value, list) else value
                for name, value in question_options(question.kind).items()
            }
        super().__init__(*args, initial=initial or None, **kwargs)  # type: ignore[misc]
        self.type, self.question = type, question
        self.options = fields(QUESTION_TYPES[type].load())
        for option in self.options:
            self.fields[option.name] = _option_field(option)
        order = ["label", *(option.name for option in self.options), "required", "name"]
        self.order_fields(order)

    def make(self, taken: list[str]) -> Question:
        """The question that the form describes; `taken` are the short names of the others.

        Raises ApplicationError for what the type does not allow.
        """
        values = self.cleaned_data
        options: dict[str, Any] = {}
        for option in self.options:
            value = values[option.name]
            if isinstance(option.default, tuple):
                value = tuple(line.strip() for line in value.splitlines() if line.strip())
            options[option.name] = value
        name = values["name"].strip() or self._free_name(values["label"], taken)
        return Question.make(
            type=self.type, name=name, label=values["label"], required=values["required"], **options
        )

    def _free_name(self, label: str, taken: list[str]) -> str:
        stem = slugify(label).replace("-", "_").strip("_")[:34]
        stem = stem if NAME.fullmatch(stem) else f"q_{stem}".rstrip("_")
        return next(name for name in (stem, *(f"{stem}_{n}" for n in range(2, 100))) if name not in taken)


class CandidateFilter(forms.Form):
    """Which real cases or synthetic results are offered for choosing."""

    search = forms.CharField(label=_("Search"), required=False, max_length=100)
    dataset = forms.ChoiceField(label=_("Dataset"), required=False)
    modality = forms.ChoiceField(label=_("Modality"), required=False)
    attribute = forms.ChoiceField(label=_("Attribute"), required=False)
    decision = forms.ChoiceField(
        label=_("Decision"),
        required=False,
        choices=[("", _("Any")), ("accepted", _("Accepted")), ("rejected", _("Rejected"))],
    )

    def __init__(
        self,
        *args: Any,
        arm: str,
        datasets: list[tuple[str, str]],
        modalities: list[str],
        attributes: list[tuple[str, str]],
        **kwargs: Any,
    ) -> None:
        """Offer what there is."""
        super().__init__(*args, **kwargs)
        offered: dict[str, Any] = self.fields
        offered["dataset"].choices = [("", _("Any dataset")), *datasets]
        offered["modality"].choices = [("", _("Any modality")), *((name, name) for name in modalities)]
        offered["attribute"].choices = [("", _("Any")), *attributes]
        for name in ("decision",) if arm == ItemTruth.Arm.REAL else ("dataset",):
            del self.fields[name]


class AddForm(forms.Form):
    """How chosen cases or results become items."""

    rule = forms.ChoiceField(label=_("Show"), choices=SLICE_CHOICES)
    first = forms.IntegerField(
        label=_("Slice number"), required=False, min_value=1, help_text=_("For one slice; counted from 1.")
    )
    count = forms.IntegerField(
        label=_("Slices"), required=False, min_value=1, max_value=500, help_text=_("For a stack.")
    )
    role = forms.ChoiceField(label=_("As"), choices=ReadingItem.Role.choices)
    draw = forms.IntegerField(
        label=_("Draw at random"),
        required=False,
        min_value=1,
        max_value=2000,
        help_text=_("How many of those that match; left open, all."),
    )


class InviteForm(forms.Form):
    """Somebody to read."""

    reader = forms.CharField(
        label=_("Sign-in name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    confirm = forms.BooleanField(label=_("I accept that this reader may know some images"), required=False)


class AcceptForm(forms.Form):
    """Why a study is sound although simple statistics tell the arms apart."""

    note = forms.CharField(
        label=_("Why the study is sound all the same"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("It is kept with your name, frozen with the protocol and printed in the report."),
    )


def explain(form: forms.BaseForm, error: ApplicationError) -> None:
    """Put an error beside the field that it concerns, else above the form."""
    form.add_error(error.field if error.field in form.fields else None, str(error))
