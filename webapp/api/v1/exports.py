"""Exports of datasets: ask for one, follow it, fetch its archive while it is kept."""

from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.api.v1.answers import LOCATION, LinkField, accepted, caller, link, problems
from webapp.cases.exporting.write import FORMS
from webapp.cases.models import Dataset
from webapp.cases.selectors import dataset_get_for
from webapp.cases.services import dataset_export_start
from webapp.core.negotiation import OwnNegotiation
from webapp.core.permissions import require
from webapp.jobs.exports import (
    export_download,
    export_get_for,
    export_is_ready,
    export_kept_until,
    export_list_for,
)
from webapp.jobs.models import Job


class ExportSerializer(serializers.ModelSerializer):
    """One export of a dataset: its job, and its archive once that has succeeded."""

    url = LinkField("export-detail")
    job = LinkField("job-detail")
    dataset = serializers.SerializerMethodField(help_text="What is exported.")
    form = serializers.ChoiceField(source="payload.form", choices=FORMS, read_only=True)
    cases = serializers.IntegerField(
        source="outcome.cases", default=None, read_only=True, help_text="Cases in the archive."
    )
    masks = serializers.IntegerField(
        source="outcome.masks", default=None, read_only=True, help_text="Masks in the archive."
    )
    left_out = serializers.IntegerField(
        source="outcome.left_out", default=None, read_only=True, help_text="Cases that this form cannot hold."
    )
    size = serializers.IntegerField(
        source="outcome.size", default=None, read_only=True, help_text="Of the archive, in bytes."
    )
    kept_until = serializers.SerializerMethodField(help_text="When the archive is deleted.")
    download = serializers.SerializerMethodField(help_text="The archive; null where there is none (yet).")

    class Meta:
        model = Job
        fields = (
            *("id", "url", "job", "dataset", "form", "state", "progress", "error_message"),
            *("cases", "masks", "left_out", "size", "kept_until", "download", "created_at", "finished_at"),
        )

    @extend_schema_field(serializers.URLField())
    def get_dataset(self, job: Job) -> str:
        """The address of the dataset."""
        return link(self.context["request"], "dataset-detail", job.payload["dataset_id"])

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_kept_until(self, job: Job) -> Any:
        """Null until there is an archive."""
        return export_kept_until(job)

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_download(self, job: Job) -> str | None:
        """The address of the archive."""
        return link(self.context["request"], "export-download", job.pk) if export_is_ready(job) else None


class ExportWishSerializer(serializers.Serializer):
    """How a dataset is to be exported."""

    form = serializers.ChoiceField(choices=FORMS, default="dicom")


class DatasetExports(generics.ListAPIView):
    """Your exports of one dataset, newest first."""

    serializer_class = ExportSerializer

    def get_queryset(self) -> Any:
        """As the person who asks."""
        return export_list_for(user=self.request.user, dataset=self._dataset())

    @extend_schema(
        request=ExportWishSerializer,
        responses={202: OpenApiResponse(ExportSerializer), **problems(400, 403, 429)},
        parameters=[LOCATION],
    )
    def post(self, request: Request, id: UUID) -> Response:
        """Have a worker write all cases, masks, attributes and splits into one archive."""
        dataset = self._dataset()
        form = ExportWishSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        job = dataset_export_start(user=caller(request), dataset=dataset, form=form.validated_data["form"])
        job = export_get_for(user=request.user, id=job.pk)
        return accepted(request, job, ExportSerializer(job, context={"request": request}).data)

    def _dataset(self) -> Dataset:
        dataset = dataset_get_for(user=self.request.user, id=self.kwargs["id"])
        require(self.request.user, "export", dataset)
        return dataset


class ExportDetail(generics.RetrieveAPIView):
    """One export of your own."""

    serializer_class = ExportSerializer

    def get_object(self) -> Job:
        """As the person who asks."""
        return export_get_for(user=self.request.user, id=self.kwargs["id"])


class ExportDownload(APIView):
    """The archive of one export."""

    content_negotiation_class = OwnNegotiation

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY, **problems(403)})
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        """Download it, while it is kept."""
        return export_download(user=request.user, job=export_get_for(user=request.user, id=id))
