"""The forms of the dataset and import pages."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from webapp.cases.importing.tables import value_of
from webapp.cases.models import Case, Dataset, ShareLevel


class DatasetForm(forms.ModelForm):
    """What a dataset says of itself."""

    class Meta:
        model = Dataset
        fields = ["name", "description", "licence", "purpose"]
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}
        help_texts = {
            "name": _("As people will look for it, for example “Abdominal CT, portal phase”."),
            "description": _("Where the cases come from and how they were chosen."),
            "licence": _("Under which terms the cases may be used, for example CC BY 4.0."),
            "purpose": _("What the dataset is kept for."),
        }

    def _get_validation_exclusions(self) -> set[str]:
        # The service answers for the name (its sentence says more than "already exists").
        return super()._get_validation_exclusions() | {"name"}  # type: ignore[misc]  # the stubs omit it


class ShareForm(forms.Form):
    """Give somebody access to a dataset."""

    person = forms.CharField(
        label=_("Sign-in name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    level = forms.ChoiceField(label=_("May"), choices=ShareLevel.choices)


class CaseFilter(forms.Form):
    """Which cases of a dataset are shown."""

    search = forms.CharField(label=_("Search"), required=False, max_length=100)
    modality = forms.ChoiceField(label=_("Modality"), required=False)
    masked = forms.ChoiceField(
        label=_("Mask"),
        required=False,
        choices=[("", _("With or without")), ("yes", _("With a mask")), ("no", _("Without a mask"))],
    )

    def __init__(self, *args: Any, modalities: list[str], **kwargs: Any) -> None:
        """Offer the modalities that the dataset holds."""
        super().__init__(*args, **kwargs)
        choices = [("", _("Any modality")), *((name, name) for name in modalities)]
        self.fields["modality"].choices = choices  # type: ignore[attr-defined]


MODALITIES = {
    **{code: code for code in ("CT", "MR")},
    "PT": _("PT (PET)"),
    **{code: code for code in ("NM", "US", "CR", "DX", "MG", "XA")},
    "OT": _("OT (other)"),
}
SEVERITIES = {
    "": _("Not stated"),
    "none": _("No cirrhosis"),
    "low": _("Low-grade cirrhosis"),
    "mild": _("Mild cirrhosis"),
    "severe": _("Severe cirrhosis"),
}
SEXES = {"": _("Not stated"), "F": _("Female"), "M": _("Male"), "O": _("Other")}
GRADES = {
    "": _("Not stated"),
    "0": _("None"),
    "1": _("Grade 1"),
    "2": _("Grade 2"),
    "3": _("Grade 3"),
}


class CaseForm(forms.Form):
    """What a case is: its name, its modality, and the attributes that have a fixed meaning.

    An attribute left open is not stated. Anything else that is known stands in `AttributeForm` rows.
    """

    name = forms.CharField(label=_("Name"), max_length=120)
    modality = forms.ChoiceField(
        label=_("Modality"),
        help_text=_("Decides windows and units. What the DICOM files themselves say stays as it is."),
    )
    age = forms.FloatField(label=_("Age"), required=False, min_value=0, max_value=120)
    sex = forms.ChoiceField(label=_("Sex"), required=False, choices=list(SEXES.items()))
    diagnosis = forms.CharField(label=_("Diagnosis"), required=False, max_length=500)
    severity = forms.ChoiceField(label=_("Cirrhosis"), required=False, choices=list(SEVERITIES.items()))
    steatosis = forms.TypedChoiceField(
        label=_("Steatosis"), required=False, choices=list(GRADES.items()), coerce=int, empty_value=None
    )

    KNOWN = ("age", "sex", "diagnosis", "severity", "steatosis")

    def __init__(self, data: Any = None, *, case: Case) -> None:
        """Show the case as it is; a value outside the offered ones is offered too."""
        known = {name: case.attributes.get(name) for name in self.KNOWN}
        super().__init__(data, initial={"name": case.name, "modality": case.modality, **known})
        self.fields["age"].unit = _("years")  # type: ignore[attr-defined]
        self.fields["age"].widget.attrs["step"] = "any"
        for name, choices in (("modality", MODALITIES), ("sex", SEXES), ("severity", SEVERITIES)):
            present = self.initial[name]
            own = [] if present in (None, *choices) else [(present, present)]
            self.fields[name].choices = [*choices.items(), *own]  # type: ignore[attr-defined]

    def attributes(self) -> dict[str, Any]:
        """The attributes of fixed meaning that are stated."""
        found = {name: self.cleaned_data[name] for name in self.KNOWN}
        if found["age"] is not None and found["age"] == int(found["age"]):
            found["age"] = int(found["age"])
        return {name: value for name, value in found.items() if value not in (None, "")}


class AttributeForm(forms.Form):
    """One further attribute; without a value it is left out."""

    name = forms.CharField(label=_("Attribute"), required=False, max_length=60)
    value = forms.CharField(label=_("Value"), required=False, max_length=500)

    def clean(self) -> dict[str, Any]:
        """Refuse a value that belongs to nothing."""
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("value") and not cleaned.get("name"):
            raise forms.ValidationError(_("This value needs a name."))
        return cleaned


class _AttributeRows(forms.BaseFormSet):  # type: ignore[type-arg]  # not subscriptable at run time
    def clean(self) -> None:
        """Refuse two attributes of one name."""
        names = [name for name in (_attribute_name(row) for row in self.forms) if name]
        twice = sorted({name for name in names if names.count(name) > 1})
        taken = sorted({name for name in names if name.lower() in CaseForm.KNOWN})
        if twice or taken:
            raise forms.ValidationError(
                _("“%(name)s” is there twice. Nothing was saved.") % {"name": (twice + taken)[0]}
            )

    def attributes(self) -> dict[str, Any]:
        """The attributes that have a value: what was not touched as it was, numbers as numbers, else text."""
        found: dict[str, Any] = {}
        for row in self.forms:
            name, text = _attribute_name(row), row.cleaned_data.get("value", "")
            if name and text:
                found[name] = value_of(text) if row.has_changed() else row.initial["stored"]
        return found


def _attribute_name(row: forms.BaseForm) -> str:
    return "_".join(str(row.cleaned_data.get("name", "")).split()) if row.is_valid() else ""


AttributeRows = forms.formset_factory(AttributeForm, formset=_AttributeRows, extra=2, max_num=60)


def attribute_rows(case: Case, data: Any = None) -> Any:
    """The rows of the attributes that have no fixed meaning, with two empty ones at the end."""
    others = [
        {"name": name, "value": str(value), "stored": value}
        for name, value in case.attributes.items()
        if name not in CaseForm.KNOWN and value not in (None, "")
    ]
    return AttributeRows(data, initial=others, prefix="more")


class _ManyFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class UploadField(forms.FileField):
    """Several files at once."""

    widget = _ManyFiles

    def clean(self, data: Any, initial: Any = None) -> Any:
        """The list of uploads; an empty file is the import's business, which names it in its report."""
        files = data if isinstance(data, (list, tuple)) else [data] if data else []
        if not files:
            raise forms.ValidationError(_("Choose at least one file."), code="required")
        return list(files)


class UploadForm(forms.Form):
    """Files to import. `paths` (JSON, optional) has the place of each in its folder, in the same order."""

    files = UploadField(  # type: ignore[assignment]  # a form has `files` too; the class takes it as a field
        label=_("Files"), help_text=_("DICOM, NIfTI, PNG or JPEG, CSV tables, or a zip.")
    )
    paths = forms.CharField(required=False, widget=forms.HiddenInput)

    def named_files(self) -> list[tuple[str, UploadedFile]]:
        """(path as the person sees it, file) for each upload; their bare names where no paths came."""
        files: list[UploadedFile] = self.cleaned_data["files"]
        try:
            paths = json.loads(self.cleaned_data["paths"] or "[]")
        except ValueError:
            paths = []
        if not isinstance(paths, list) or len(paths) != len(files):
            paths = [file.name for file in files]
        return [(str(path) or str(file.name), file) for path, file in zip(paths, files, strict=True)]


class DeleteForm(forms.Form):
    """Typing the name says that the deletion is meant."""

    name = forms.CharField(
        label=_("Type the dataset's name"), widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, dataset: Dataset, **kwargs: Any) -> None:
        """Know which name is expected."""
        super().__init__(*args, **kwargs)
        self.dataset = dataset

    def clean_name(self) -> str:
        """The name, where it is the dataset's."""
        name = str(self.cleaned_data["name"]).strip()
        if name != self.dataset.name:
            raise forms.ValidationError(_("This is not the dataset's name; nothing was deleted."))
        return name
