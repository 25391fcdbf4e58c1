"""Generative models: list, read, install."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.v1.answers import LOCATION, LinkField, accepted, problems
from webapp.api.v1.jobs import JobSerializer
from webapp.core.permissions import require
from webapp.jobs.selectors import job_get_for
from webapp.registry.models import GenerativeModel
from webapp.registry.selectors import model_by_id_for, model_list_for
from webapp.registry.services import model_upload_submit


class ModelSerializer(serializers.ModelSerializer):
    """An installed, versioned, hashed set of weights with its card."""

    url = LinkField("model-detail")
    modalities = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = GenerativeModel
        fields = (
            *(
                "id",
                "url",
                "name",
                "version",
                "title",
                "method",
                "backbone",
                "modalities",
                "summary",
                "licence",
            ),
            *("weights_sha256", "weights_size", "parameters", "label_set", "field", "measures", "card"),
            *("is_active", "created_at"),
        )


class ModelUploadSerializer(serializers.Serializer):
    """A checkpoint to install: safetensors with its recipe inside, and its card."""

    weights = serializers.FileField()
    card = serializers.FileField(required=False)


class ModelList(generics.ListAPIView):
    """The models that are installed."""

    serializer_class = ModelSerializer
    parser_classes = (MultiPartParser,)

    def get_queryset(self) -> Any:
        """As the person who asks."""
        require(self.request.user, "view", GenerativeModel)
        return model_list_for(user=self.request.user)

    @extend_schema(
        request={"multipart/form-data": ModelUploadSerializer},
        responses={202: OpenApiResponse(JobSerializer), **problems(400, 403, 429)},
        parameters=[LOCATION],
    )
    def post(self, request: Request) -> Response:
        """Hand in a checkpoint; a worker checks, installs and tries it."""
        require(request.user, "install", GenerativeModel)
        form = ModelUploadSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        job = model_upload_submit(
            user=request.user, weights=form.validated_data["weights"], card=form.validated_data.get("card")
        )
        job = job_get_for(user=request.user, id=job.pk)
        return accepted(request, job, JobSerializer(job, context={"request": request}).data)


class ModelDetail(generics.RetrieveAPIView):
    """One version of a model."""

    serializer_class = ModelSerializer

    def get_object(self) -> GenerativeModel:
        """As the person who asks."""
        return model_by_id_for(user=self.request.user, id=self.kwargs["id"])
