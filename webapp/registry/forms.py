"""The form that installs a model from files."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

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
        weights = self.cleaned_data["weights"]
        if any(weights.name.lower().endswith(suffix) for suffix in PICKLED):
            raise forms.ValidationError(
                _("This is a pickled checkpoint. Opening one can run hidden code, so it is refused unopened.")
            )
        return weights

    def clean_card(self) -> Any:
        """Refuse a card that is no card."""
        card = self.cleaned_data["card"]
        if card is not None and card.size > CARD_BYTES:
            raise forms.ValidationError(_("A model card has at most 1 MB."))
        return card
