"""Adapters of generative models: list, read, install."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.v1.answers import LOCATION, LinkField, accepted, problems
from webapp.api.v1.jobs import JobSerializer
from webapp.core.permissions import require
from webapp.jobs.selectors import job_get_for
from webapp.registry.models import Adapter
from webapp.registry.selectors import adapter_by_id_for, adapter_list_for, model_by_id_for
from webapp.registry.services_adapters import adapter_upload_submit

MODEL = OpenApiParameter("model", OpenApiTypes.UUID, description="Only the adapters of this model.")


class AdapterSerializer(serializers.ModelSerializer):
    """A low-rank adapter (LoRA): small weights that change what one model draws."""

    url = LinkField("adapter-detail")
    base = LinkField("model-detail", source="base_id", help_text="The model that it belongs to.")
    modalities = serializers.ListField(child=serializers.CharField(), read_only=True)
    is_offered = serializers.BooleanField(
        read_only=True, help_text="Whether it, and its model, can be asked for."
    )

    class Meta:
        model = Adapter
        fields = (
            *("id", "url", "base", "name", "version", "title", "method", "modalities", "summary", "licence"),
            *("rank", "alpha", "weights_sha256", "weights_size", "parameters", "label_set", "measures"),
            *("card", "is_active", "is_offered", "created_at"),
        )


class AdapterUploadSerializer(serializers.Serializer):
    """The files of an adapter's folder, as peft and training write them."""

    weights = serializers.FileField(help_text="adapter_model.safetensors")
    config = serializers.FileField(help_text="adapter_config.json")
    recipe = serializers.FileField(help_text="recipe.json: base, name, version, title, licence.")
    conditioning = serializers.FileField(
        required=False, help_text="conditioning.safetensors, if there is one."
    )
    card = serializers.FileField(required=False, help_text="card.md")


@extend_schema_view(get=extend_schema(parameters=[MODEL]))
class AdapterList(generics.ListAPIView):
    """The adapters that are installed."""

    serializer_class = AdapterSerializer
    parser_classes = (MultiPartParser,)

    def get_queryset(self) -> Any:
        """As the person who asks."""
        user = self.request.user
        require(user, "view", Adapter)
        wanted = self.request.query_params.get("model")
        return adapter_list_for(user=user, model=_model(user, wanted) if wanted else None)

    @extend_schema(
        request={"multipart/form-data": AdapterUploadSerializer},
        responses={202: OpenApiResponse(JobSerializer), **problems(400, 403, 429)},
        parameters=[LOCATION],
    )
    def post(self, request: Request) -> Response:
        """Hand in an adapter; a worker checks it, draws one image with it and installs it."""
        require(request.user, "install", Adapter)
        form = AdapterUploadSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        job = adapter_upload_submit(user=request.user, **form.validated_data)
        job = job_get_for(user=request.user, id=job.pk)
        return accepted(request, job, JobSerializer(job, context={"request": request}).data)


def _model(user: Any, wanted: str) -> Any:
    try:
        return model_by_id_for(user=user, id=UUID(wanted))
    except ValueError as error:
        raise serializers.ValidationError({"model": "This is not the id of a model."}) from error


class AdapterDetail(generics.RetrieveAPIView):
    """One version of an adapter."""

    serializer_class = AdapterSerializer

    def get_object(self) -> Adapter:
        """As the person who asks."""
        return adapter_by_id_for(user=self.request.user, id=self.kwargs["id"])
