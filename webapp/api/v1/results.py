"""Results: list, read, judge, download, make again."""

from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.api.v1.answers import LOCATION, LinkField, accepted, link, problems
from webapp.api.v1.jobs import JobSerializer
from webapp.core.negotiation import OwnNegotiation
from webapp.core.permissions import require
from webapp.jobs.downloads import FORMS, result_download
from webapp.jobs.models import Result
from webapp.jobs.selectors import job_get_for, result_get_for, result_list_for
from webapp.jobs.services import result_decide, result_reproduce
from webapp.jobs.uncertainty import uncertainty_of, unit_of


class ResultSerializer(serializers.ModelSerializer):
    """One synthetic image: its case, its mask, the recipe that made it, its quality and the verdict."""

    url = LinkField("result-detail")
    request = serializers.SerializerMethodField(help_text="What was asked for.")
    download = LinkField("result-download")
    uncertainty = serializers.SerializerMethodField(
        help_text="Where and how closely the uncertainty map was measured; null where none was asked for."
    )
    decided_by = serializers.CharField(source="decided_by.username", default=None, read_only=True)

    class Meta:
        model = Result
        fields = (
            *("id", "url", "request", "job", "index", "case", "mask", "seed", "recipe", "pixel_sha256"),
            *(
                "quality",
                "uncertainty",
                "decision",
                "decision_note",
                "decided_by",
                "decided_at",
                "download",
                "created_at",
            ),
        )

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_uncertainty(self, result: Result) -> dict[str, Any] | None:
        """The map's summary; its values lie in the download."""
        found = uncertainty_of(result)
        return None if found is None else {**found.about, "unit": unit_of(result)}

    @extend_schema_field(serializers.URLField())
    def get_request(self, result: Result) -> str:
        """The address of the request."""
        return link(self.context["request"], "request-detail", result.request_id)


class DecisionSerializer(serializers.Serializer):
    """Your verdict; an empty decision takes the earlier one back."""

    decision = serializers.ChoiceField(choices=Result.Decision.choices, allow_blank=True)
    note = serializers.CharField(required=False, allow_blank=True, max_length=1000, default="")


class ResultList(generics.ListAPIView):
    """Your results, newest first."""

    serializer_class = ResultSerializer

    def get_queryset(self) -> Any:
        """As the person who asks."""
        require(self.request.user, "view", Result)
        return result_list_for(user=self.request.user)


class ResultDetail(generics.RetrieveAPIView):
    """One result."""

    serializer_class = ResultSerializer

    def get_object(self) -> Result:
        """As the person who asks."""
        return result_get_for(user=self.request.user, id=self.kwargs["id"])


class ResultDecision(APIView):
    """The verdict on one result."""

    @extend_schema(request=DecisionSerializer, responses={200: ResultSerializer, **problems(400)})
    def put(self, request: Request, id: UUID) -> Response:
        """Accept or reject it, with a note."""
        result = result_get_for(user=request.user, id=id)
        form = DecisionSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        result_decide(user=request.user, result=result, **form.validated_data)
        result = result_get_for(user=request.user, id=id)
        return Response(ResultSerializer(result, context={"request": request}).data)


class ResultDownload(APIView):
    """The files of one result."""

    content_negotiation_class = OwnNegotiation

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "form",
                OpenApiTypes.STR,
                enum=list(FORMS),
                default="dicom",
                description="dicom: a zip of the CT or MR images, the mask as DICOM SEG and the recipe; "
                "nifti: image and mask as NIfTI.",
            )
        ],
        responses={(200, "application/zip"): OpenApiTypes.BINARY, **problems(400)},
    )
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        """Download it."""
        form = request.query_params.get("form", "dicom")
        if form not in FORMS:
            raise serializers.ValidationError({"form": f"Ask for one of {', '.join(FORMS)}."})
        return result_download(user=request.user, result=result_get_for(user=request.user, id=id), form=form)


class ResultReproduction(APIView):
    """Making exactly this image again."""

    @extend_schema(
        request=None,
        responses={202: OpenApiResponse(JobSerializer), **problems(403, 429)},
        parameters=[LOCATION],
    )
    def post(self, request: Request, id: UUID) -> Response:
        """Have a worker make it again and compare the pixels; the job's `outcome` says how it went."""
        job = result_reproduce(user=request.user, result=result_get_for(user=request.user, id=id))
        job = job_get_for(user=request.user, id=job.pk)
        return accepted(request, job, JobSerializer(job, context={"request": request}).data)
