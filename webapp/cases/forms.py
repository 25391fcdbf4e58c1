"""The forms of the dataset and import pages."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from webapp.cases.models import Dataset, ShareLevel


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
