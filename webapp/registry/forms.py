"""The forms that install a model, or an adapter of one, from files."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from synthesis.plain_yaml import read_plain_yaml
from webapp.registry.adapter_files import JSON_BYTES
from webapp.registry.weights import CARD_BYTES, PICKLED


class ModelUploadForm(forms.Form):
    """The weights as safetensors, and the card that describes them."""

    weights = forms.FileField(
        label=_("Weights"),
        help_text=_("One .safetensors file that carries its recipe, as `training.export` writes it."),
        widget=forms.ClearableFileInput(attrs={"accept": ".safetensors"}),
    )
    card = forms.FileField(
        label=_("Model card"),
        required=False,
        help_text=_("Markdown: what the model is for, its data, its licence, what was measured."),
        widget=forms.ClearableFileInput(attrs={"accept": ".md,.txt"}),
    )

    def clean_weights(self) -> Any:
        """Refuse a pickle by its name at once; a worker looks into everything else."""
        return _not_pickled(self.cleaned_data["weights"])

    def clean_card(self) -> Any:
        """Refuse a card that is no card."""
        return _short_enough(self.cleaned_data["card"])


class ModelFolderForm(forms.Form):
    """A folder or file that was laid where the workers can read it, and what its files do not say."""

    folder = forms.CharField(
        label=_("Folder or file"),
        max_length=500,
        help_text=_(
            "Its name below the folder for incoming models: a folder of this project or of diffusers, or a "
            ".safetensors file in the layout of Stable Diffusion 1.x, SDXL, SD3, PixArt or Flux."
        ),
    )
    about = forms.CharField(
        label=_("About"),
        required=False,
        max_length=20_000,
        help_text=_(
            "For models from elsewhere, what their files do not say, as YAML: name, version, title, licence, "
            "rows, columns, spacing_mm, modalities. Left empty, semblance.yaml in the folder is read."
        ),
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false"}),
    )

    def clean_about(self) -> dict[str, Any]:
        """The text as names and values."""
        try:
            found = read_plain_yaml(self.cleaned_data["about"] or "{}")
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        if not isinstance(found, dict):
            raise forms.ValidationError(_("Write names and values, such as “licence: CC0-1.0”."))
        return found


class AdapterUploadForm(forms.Form):
    """The files of an adapter's folder."""

    weights = forms.FileField(
        label=_("Weights"),
        help_text=_("adapter_model.safetensors, as peft and `training.export` write it."),
        widget=forms.ClearableFileInput(attrs={"accept": ".safetensors"}),
    )
    config = forms.FileField(
        label=_("Settings"),
        help_text=_("adapter_config.json: rank and strength."),
        widget=forms.ClearableFileInput(attrs={"accept": ".json"}),
    )
    recipe = forms.FileField(
        label=_("Recipe"),
        help_text=_("recipe.json: the model that it belongs to, name, version, title, licence."),
        widget=forms.ClearableFileInput(attrs={"accept": ".json"}),
    )
    conditioning = forms.FileField(
        label=_("Conditioning"),
        required=False,
        help_text=_("conditioning.safetensors, where the folder has one."),
        widget=forms.ClearableFileInput(attrs={"accept": ".safetensors"}),
    )
    card = forms.FileField(
        label=_("Card"),
        required=False,
        help_text=_("Markdown: what the adapter is for, its data, its licence, what was measured."),
        widget=forms.ClearableFileInput(attrs={"accept": ".md,.txt"}),
    )

    def clean_weights(self) -> Any:
        """Refuse a pickle by its name at once; a worker looks into everything else."""
        return _not_pickled(self.cleaned_data["weights"])

    def clean_config(self) -> Any:
        """Refuse settings that are no settings."""
        return _short_enough(self.cleaned_data["config"], JSON_BYTES)

    def clean_recipe(self) -> Any:
        """Refuse a recipe that is no recipe."""
        return _short_enough(self.cleaned_data["recipe"], JSON_BYTES)

    def clean_card(self) -> Any:
        """Refuse a card that is no card."""
        return _short_enough(self.cleaned_data["card"])


def _not_pickled(weights: Any) -> Any:
    if any(weights.name.lower().endswith(suffix) for suffix in PICKLED):
        raise forms.ValidationError(
            _("This is a pickled checkpoint. Opening one can run hidden code, so it is refused unopened.")
        )
    return weights


def _short_enough(file: Any, limit: int = CARD_BYTES) -> Any:
    if file is not None and file.size > limit:
        raise forms.ValidationError(_("This file has at most %(limit)d MB.") % {"limit": limit // 2**20})
    return file
