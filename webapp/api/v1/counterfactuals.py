"""Counterfactuals: ask for the same slice with one thing changed, list and read what came of it, strips."""

from typing import Any
from uuid import UUID

from django.db.models import Prefetch, prefetch_related_objects
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from synthesis.request import MODALITIES
from webapp.api.v1.answers import LOCATION, LinkField, accepted, link, problems
from webapp.api.v1.asking import ASKED, AskedSerializer, AskingSerializer, ShownSerializer, handed_in, named
from webapp.api.v1.edit_options import EditOptionsSerializer
from webapp.api.v1.jobs import JobSerializer
from webapp.core.errors import NotVisible
from webapp.core.permissions import require
from webapp.jobs.edits import COUNT_LIMIT, is_edit
from webapp.jobs.models import EDITED_PIXELS, EditStrip, Result, SynthesisRequest
from webapp.jobs.selectors import job_get_for, request_get_for, request_list_for, strip_get_for
from webapp.jobs.services import edit_submit, severity_estimate_submit, strip_submit
from webapp.jobs.strips import strip_cells

WITH_IMAGES = Prefetch(
    "results",
    queryset=Result.objects.select_related("edited").defer(*EDITED_PIXELS).order_by("index"),
)


class EditConditionSerializer(ShownSerializer):
    """What an image shows; the kind of image is the case's."""


class EditParametersSerializer(serializers.Serializer):
    """What the image shows, what it shall show instead, and how."""

    before = EditConditionSerializer()
    condition = EditConditionSerializer(help_text="Say all of it; what is alike in both stays.")
    edit = EditOptionsSerializer(required=False)


class SlicesSerializer(serializers.Serializer):
    """Slices of the case, all of which are changed; those without a mask are kept as they are."""

    first = serializers.IntegerField(min_value=0, help_text="From 0, in stack order.")
    last = serializers.IntegerField(min_value=0, help_text="The last one, included.")


class EditCreateSerializer(AskingSerializer):
    """What is asked of one slice."""

    adapter = serializers.UUIDField(
        required=False, allow_null=True, help_text="An adapter of that model, laid on it for this."
    )
    case = serializers.UUIDField(help_text="Whose slice is changed.")
    mask = serializers.UUIDField(help_text="A mask of that case.")
    mask_after = serializers.UUIDField(
        required=False,
        allow_null=True,
        help_text="Another mask of it, with a lesion more or less, or a place.",
    )
    parameters = EditParametersSerializer()
    count = serializers.IntegerField(default=1, min_value=1, max_value=COUNT_LIMIT)


class CounterfactualCreateSerializer(EditCreateSerializer):
    """What is asked for: one slice changed, or several as one series."""

    slices = SlicesSerializer(
        required=False,
        allow_null=True,
        help_text="Several slices instead of one: each image is then a series, changed slice by slice.",
    )


class StripCreateSerializer(EditCreateSerializer):
    """What is asked for, over all strengths or severities."""

    along = serializers.ChoiceField(choices=EditStrip.Along.choices)


class CounterfactualImageSerializer(serializers.Serializer):
    """One image of a counterfactual."""

    result = serializers.URLField()
    case = serializers.UUIDField(help_text="The synthetic case that holds its DICOM.")
    seed = serializers.IntegerField()
    pixel_sha256 = serializers.CharField()
    numbers = serializers.DictField(help_text="How far it is from its source: see docs/counterfactuals.md.")


class CounterfactualSerializer(AskedSerializer):
    """A counterfactual as it was asked for, and its images once they are there."""

    url = LinkField("counterfactual-detail")
    images = serializers.SerializerMethodField()

    class Meta:
        model = SynthesisRequest
        fields = (*ASKED, "images")

    @extend_schema_field(CounterfactualImageSerializer(many=True))
    def get_images(self, item: SynthesisRequest) -> list[dict[str, Any]]:
        """Every image."""
        return [self._image(result) for result in item.results.all()]

    def _image(self, result: Result) -> dict[str, Any]:
        return {
            "result": link(self.context["request"], "result-detail", result.pk),
            "case": result.case_id,
            "seed": result.seed,
            "pixel_sha256": result.pixel_sha256,
            "numbers": result.edited.numbers,
        }


class StripCellSerializer(serializers.Serializer):
    """One place of a strip."""

    place = serializers.FloatField(help_text="The strength, or the severity from 0 to 3.")
    counterfactual = serializers.URLField()
    job = serializers.URLField()
    result = serializers.URLField(allow_null=True)


class StripSerializer(serializers.ModelSerializer):
    """A strip with its cells in order."""

    url = LinkField("strip-detail")
    cells = serializers.SerializerMethodField()

    class Meta:
        model = EditStrip
        fields = ("id", "url", "along", "cells", "created_at")

    @extend_schema_field(StripCellSerializer(many=True))
    def get_cells(self, strip: EditStrip) -> list[dict[str, Any]]:
        """Every place."""
        request = self.context["request"]
        return [
            {
                "place": cell.place,
                "counterfactual": link(request, "counterfactual-detail", cell.request.pk),
                "job": link(request, "job-detail", cell.job.pk),
                "result": link(request, "result-detail", cell.result.pk) if cell.result else None,
            }
            for cell in strip_cells(strip)
        ]


def _wish(user: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The ids of a body as what the person may see, NotVisible otherwise."""
    slices = given.pop("slices", None)
    return named(user, given) | ({"slices": (slices["first"], slices["last"])} if slices else {})


EXAMPLE = OpenApiExample(
    "Severe cirrhosis in a healthy liver",
    request_only=True,
    value={
        "model": "7e6b0c2e-6b0f-4a8c-9d38-0f4d6f9d2c11",
        "case": "0f0d5a3a-2f4c-4d0e-8f7e-8a7f0f1f2d3c",
        "mask": "b1c7c9a2-4a8e-4e47-9e2b-0d9c4b8f7a66",
        "slice_index": 30,
        "parameters": {
            "before": {"modality": "CT", "severity": "none", "age": 58, "sex": "M"},
            "condition": {"modality": "CT", "severity": "severe", "age": 58, "sex": "M"},
            "edit": {"strength": 0.5, "undo": True},
        },
        "seed": 7,
    },
)


class CounterfactualList(generics.ListAPIView):
    """Your counterfactuals, newest first."""

    serializer_class = CounterfactualSerializer

    def get_queryset(self) -> Any:
        """As the person who asks."""
        require(self.request.user, "view", SynthesisRequest)
        edits = request_list_for(user=self.request.user).filter(edit__isnull=False)
        return edits.prefetch_related(WITH_IMAGES)

    @extend_schema(
        request=CounterfactualCreateSerializer,
        responses={202: OpenApiResponse(CounterfactualSerializer), **problems(400, 403, 429)},
        parameters=[LOCATION],
        examples=[EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Ask for a slice with something changed: 202, and the job to follow in Location."""
        require(request.user, "create", SynthesisRequest)
        form = CounterfactualCreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        item = edit_submit(user=request.user, **_wish(request.user, dict(form.validated_data)))
        return handed_in(request, item, CounterfactualSerializer)


class CounterfactualDetail(generics.RetrieveAPIView):
    """One counterfactual."""

    serializer_class = CounterfactualSerializer

    def get_object(self) -> SynthesisRequest:
        """As the person who asks."""
        item = request_get_for(user=self.request.user, id=self.kwargs["id"])
        if not is_edit(item):
            raise NotVisible
        prefetch_related_objects([item], WITH_IMAGES)
        return item


class SeverityEstimateCreateSerializer(serializers.Serializer):
    """Which slice is read."""

    model = serializers.UUIDField(help_text="The id of the model whose view of the slice is read.")
    case = serializers.UUIDField()
    mask = serializers.UUIDField(help_text="A mask of that case; its liver is read.")
    slice_index = serializers.IntegerField(required=False, min_value=0, help_text="From 0, in stack order.")
    modality = serializers.ChoiceField(choices=MODALITIES)


class SeverityEstimates(APIView):
    """Having the severity of a liver read off an image."""

    @extend_schema(
        request=SeverityEstimateCreateSerializer,
        responses={202: OpenApiResponse(JobSerializer), **problems(400, 403, 429)},
        parameters=[LOCATION],
    )
    def post(self, request: Request) -> Response:
        """Have the reader look: 202, the job in Location, whose outcome has `severity` when it is done.

        The reader was trained on phantoms; what it says is no diagnosis, and is not kept with the case.
        """
        require(request.user, "create", SynthesisRequest)
        form = SeverityEstimateCreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        job = severity_estimate_submit(user=request.user, **_wish(request.user, dict(form.validated_data)))
        job = job_get_for(user=request.user, id=job.pk)
        return accepted(request, job, JobSerializer(job, context={"request": request}).data)


class StripList(APIView):
    """Asking for a strip."""

    @extend_schema(
        request=StripCreateSerializer,
        responses={202: OpenApiResponse(StripSerializer), **problems(400, 403, 429)},
        parameters=[LOCATION],
    )
    def post(self, request: Request) -> Response:
        """Hand in the change over every strength or severity, all or none: 202, the strip in Location."""
        require(request.user, "create", SynthesisRequest)
        form = StripCreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        strip = strip_submit(user=request.user, **_wish(request.user, dict(form.validated_data)))
        data = StripSerializer(strip, context={"request": request}).data
        headers = {"Location": link(request, "strip-detail", strip.pk)}
        return Response(data, status=status.HTTP_202_ACCEPTED, headers=headers)


class StripDetail(APIView):
    """One strip."""

    @extend_schema(responses={200: StripSerializer})
    def get(self, request: Request, id: UUID) -> Response:
        """The strip, as far as it is filled."""
        strip = strip_get_for(user=request.user, id=id)
        return Response(StripSerializer(strip, context={"request": request}).data)
