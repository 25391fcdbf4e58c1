"""What requests for images have in common: their fields, the objects that they name, the answer to them."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from synthesis.control.patient_prompts import MOST_WORDS
from synthesis.request import MODALITIES, SEVEREST, SEVERITIES, SEXES, STEATOSIS_GRADES
from webapp.api.v1.answers import accepted, link
from webapp.cases.selectors import case_get_for, mask_get_for
from webapp.jobs.models import SynthesisRequest
from webapp.jobs.selectors import job_get_for, request_get_for
from webapp.registry.selectors import adapter_by_id_for, model_by_id_for

FINDERS: dict[str, Callable[..., Any]] = {
    "model": model_by_id_for,
    "adapter": adapter_by_id_for,
    "case": case_get_for,
    "mask": mask_get_for,
    "mask_after": mask_get_for,
}
"""Fields of a body that name an object, and who finds it."""
ASKED = (
    *("id", "url", "model", "adapter", "case", "mask", "slice_index", "parameters", "grid", "prepared"),
    *("seed", "count", "note", "jobs", "created_at"),
)
"""The fields of a request as it is kept."""


class ShownSerializer(serializers.Serializer):
    """What an image shows."""

    modality = serializers.ChoiceField(choices=MODALITIES)
    severity = serializers.ChoiceField(choices=SEVERITIES, required=False, help_text="Of the cirrhosis.")
    severity_level = serializers.FloatField(
        required=False, min_value=0, max_value=SEVEREST, help_text="The same from 0 to 3, also between."
    )
    steatosis = serializers.ChoiceField(choices=STEATOSIS_GRADES, required=False)
    age = serializers.FloatField(required=False, allow_null=True, min_value=0, max_value=120)
    sex = serializers.ChoiceField(choices=SEXES, required=False, allow_null=True)
    diagnosis = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=MOST_WORDS,
        help_text="For models that are told patients in words: one of the diagnoses of their recipe.",
    )


class AskingSerializer(serializers.Serializer):
    """Which model, which slice, which noise."""

    model = serializers.UUIDField(help_text="The id of a model that is offered.")
    slice_index = serializers.IntegerField(required=False, min_value=0, help_text="From 0, in stack order.")
    seed = serializers.IntegerField(required=False, min_value=0, help_text="Drawn where it is left out.")
    note = serializers.CharField(required=False, max_length=500, allow_blank=True)


class AskedSerializer(serializers.ModelSerializer):
    """A request as it was handed in."""

    jobs = serializers.SerializerMethodField(help_text="The work for it, retries last.")

    @extend_schema_field(serializers.ListField(child=serializers.URLField()))
    def get_jobs(self, item: SynthesisRequest) -> list[str]:
        """The addresses of the jobs."""
        return [link(self.context["request"], "job-detail", job.pk) for job in item.jobs.all()]


def named(user: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The fields of a body, ids replaced by their objects; NotVisible for what the person may not see."""
    return {
        field: FINDERS[field](user=user, id=value) if value is not None and field in FINDERS else value
        for field, value in given.items()
    }


def handed_in(request: Request, item: SynthesisRequest, serializer: type[AskedSerializer]) -> Response:
    """202 with the request as it is kept, and its job to follow."""
    item = request_get_for(user=request.user, id=item.pk)
    job = job_get_for(user=request.user, id=item.jobs.earliest("created_at").pk)
    return accepted(request, job, serializer(item, context={"request": request}).data)
