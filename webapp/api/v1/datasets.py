"""Datasets: list, make, read, and import files into them."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.api.v1.answers import LOCATION, LinkField, accepted, caller, link, problems
from webapp.cases.models import Dataset, ImportEntry, ImportRun
from webapp.cases.selectors import dataset_get_for, dataset_list_for, import_get_for
from webapp.cases.services import dataset_create, import_start
from webapp.core.permissions import require
from webapp.jobs.selectors import job_get_for


class DatasetSerializer(serializers.ModelSerializer):
    """A curated collection of cases."""

    url = LinkField("dataset-detail")
    owner = serializers.CharField(source="owner.username", read_only=True)
    case_count = serializers.IntegerField(read_only=True, required=False)

    class Meta:
        model = Dataset
        fields = (
            *("id", "url", "name", "description", "licence", "purpose", "version", "owner", "case_count"),
            *("created_at", "updated_at"),
        )
        read_only_fields = ("id", "version", "created_at", "updated_at")


class ImportEntrySerializer(serializers.ModelSerializer):
    """What became of one file."""

    class Meta:
        model = ImportEntry
        fields = ("path", "outcome", "reason", "case")


class ImportSerializer(serializers.ModelSerializer):
    """One import: its state, its counts and, when it is read alone, its report file by file."""

    url = LinkField("import-detail")
    job = serializers.SerializerMethodField()
    entries = ImportEntrySerializer(many=True, read_only=True)

    class Meta:
        model = ImportRun
        fields = (
            *("id", "url", "dataset", "source_name", "state", "taken", "changed", "refused", "duplicate"),
            *("message", "job", "entries", "created_at", "finished_at"),
        )

    def get_job(self, run: ImportRun) -> str | None:
        """Where to follow it."""
        return link(self.context["request"], "job-detail", run.job_id) if run.job_id else None


class ImportFilesSerializer(serializers.Serializer):
    """Files to import: DICOM, NIfTI, PNG or JPEG with a CSV, or zips of these."""

    files = serializers.ListField(child=serializers.FileField(), allow_empty=False)
    source_name = serializers.CharField(required=False, max_length=300)


class DatasetList(generics.ListAPIView):
    """The datasets that you may see."""

    serializer_class = DatasetSerializer

    def get_queryset(self) -> Any:
        """As the person who asks."""
        require(self.request.user, "view", Dataset)
        return dataset_list_for(user=self.request.user)

    @extend_schema(responses={201: DatasetSerializer, **problems(400, 403)})
    def post(self, request: Request) -> Response:
        """Make a dataset of your own."""
        require(request.user, "create", Dataset)
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        made = dataset_create(user=caller(request), **form.validated_data)
        body = self.get_serializer(dataset_get_for(user=request.user, id=made.pk)).data
        return Response(body, status=status.HTTP_201_CREATED, headers={"Location": body["url"]})


class DatasetDetail(generics.RetrieveAPIView):
    """One dataset."""

    serializer_class = DatasetSerializer

    def get_object(self) -> Dataset:
        """As the person who asks."""
        return dataset_get_for(user=self.request.user, id=self.kwargs["id"])


class DatasetImports(APIView):
    """Imports into one dataset."""

    parser_classes = (MultiPartParser,)

    @extend_schema(
        request={"multipart/form-data": ImportFilesSerializer},
        responses={202: OpenApiResponse(ImportSerializer), **problems(400, 403, 413, 429)},
        parameters=[LOCATION],
    )
    def post(self, request: Request, id: UUID) -> Response:
        """Hand in files; a worker imports them, and the import ends with a report per file."""
        dataset = dataset_get_for(user=request.user, id=id)
        require(request.user, "manage", dataset)
        form = ImportFilesSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        files = form.validated_data["files"]
        name = form.validated_data.get("source_name") or files[0].name
        brought = [(file.name, file) for file in files]
        run = import_start(user=caller(request), dataset=dataset, files=brought, source_name=name)
        run = import_get_for(user=request.user, id=run.pk)
        job = job_get_for(user=request.user, id=UUID(str(run.job_id)))
        return accepted(request, job, ImportSerializer(run, context={"request": request}).data)


class ImportDetail(generics.RetrieveAPIView):
    """One import with its report: what was taken, changed and refused, and why."""

    serializer_class = ImportSerializer

    def get_object(self) -> ImportRun:
        """As the person who asks."""
        return import_get_for(user=self.request.user, id=self.kwargs["id"])
