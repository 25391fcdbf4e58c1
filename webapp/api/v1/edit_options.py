"""How a change is to be made, as a body of the API says it."""

from rest_framework import serializers

from synthesis.catalog import COUNTERFACTUALS
from synthesis.edit_request import INSTRUCTED_SAMPLERS, NEGATIVE_MOST
from webapp.api.v1.drift_field import DriftSchemeField
from webapp.jobs.edit_preparation import STEPS_MOST


def _open(low: float, high: float, words: str) -> serializers.FloatField:
    """A number that null leaves to the method."""
    return serializers.FloatField(
        required=False, allow_null=True, min_value=low, max_value=high, help_text=words
    )


class EditOptionsSerializer(serializers.Serializer):
    """How the change is made; what is left out has its default."""

    method = serializers.ChoiceField(
        choices=list(COUNTERFACTUALS),
        required=False,
        help_text="One that the model offers: most offer flow_inversion; see docs/counterfactuals.md.",
    )
    strength = _open(0, 1, "0 leaves the image, 1 starts from the noise; null: as the change demands.")
    steps = serializers.IntegerField(required=False, min_value=1, max_value=STEPS_MOST)
    contrast = _open(0, 10, "Null: as the change demands.")
    where = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=100,
        help_text="Where the change may act: belongs (as usual), everywhere, the name of one of the model's "
        "labels, or painted: where mask_after, which then only marks the place, differs from mask.",
    )
    confined = serializers.BooleanField(
        required=False, help_text="true: where belongs, false: everywhere; not used beside where."
    )
    blend = serializers.BooleanField(required=False, help_text="Put the image itself back outside of it.")
    variety = serializers.FloatField(
        required=False, min_value=0, max_value=1, help_text="What several images differ by."
    )
    drift = serializers.FloatField(required=False, min_value=-5, max_value=5)
    drift_scheme = DriftSchemeField(required=False)
    weight = serializers.FloatField(
        required=False, min_value=0, max_value=1e6, help_text="guided: of the outcome against likeness."
    )
    reach = _open(0.01, 0.99, "guided: how sure.")
    guidance = _open(
        0, 100, "pix2pix_zero, instruct_pix2pix: how firmly the change is followed; null: as usual."
    )
    image_guidance = _open(
        0, 100, "instruct_pix2pix: how firmly the image is kept; null: as the model was calibrated."
    )
    sampler = serializers.ChoiceField(
        choices=INSTRUCTED_SAMPLERS, required=False, allow_null=True, help_text="instruct_pix2pix."
    )
    attention = _open(
        0, 100, "pix2pix_zero: how firmly the model is held to look where it looked; 0: not at all."
    )
    regularisation = _open(
        0, 100, "pix2pix_zero: how white the noise is kept on the way back; 0: the exact way back."
    )
    negative = serializers.CharField(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=NEGATIVE_MOST,
        help_text="pix2pix_zero: words that guidance leads away from.",
    )
    undo = serializers.BooleanField(required=False, help_text="Take the change back as well.")
