"""Masks: list those of a case, upload, read, download."""

import gzip
from typing import Any
from uuid import UUID

from django.core.files.storage import default_storage
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.api.v1.answers import LinkField, caller, problems
from webapp.api.v1.cases import uuid_of
from webapp.cases.models import Mask, MaskOrigin
from webapp.cases.nifti import mask_from_nifti, mask_to_nifti
from webapp.cases.selectors import case_get_for, mask_get_for, mask_list_for_case
from webapp.cases.services import mask_save
from webapp.core.permissions import require


class LabelSerializer(serializers.Serializer):
    """One structure of a mask."""

    value = serializers.IntegerField(min_value=1, max_value=65535)
    name = serializers.CharField(max_length=80)
    color = serializers.RegexField(r"^#[0-9a-fA-F]{6}$")


class MaskSerializer(serializers.ModelSerializer):
    """A labelled segmentation of a case; each save is a new version."""

    url = LinkField("mask-detail")
    content = LinkField("mask-content")
    labels = LabelSerializer(many=True, read_only=True)
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True)

    class Meta:
        model = Mask
        fields = (
            *("id", "url", "content", "case", "name", "origin", "labels", "shape", "content_sha256"),
            *("version", "replaced_by", "created_by", "created_at"),
        )


class MaskUploadSerializer(serializers.Serializer):
    """A mask to keep: a NIfTI label map that lies on the case's own voxels."""

    case = serializers.UUIDField()
    name = serializers.CharField(max_length=120)
    file = serializers.FileField(help_text=".nii or .nii.gz; its voxels must be those of the case.")
    labels = serializers.JSONField(
        help_text='[{"value": 6, "name": "liver", "color": "#c8713d"}]: every value but 0 that occurs.'
    )
    expected_version = serializers.IntegerField(
        required=False, help_text="The version that this one replaces; 409 where somebody was faster."
    )

    def validate_labels(self, value: Any) -> list[dict[str, Any]]:
        """Each label by its own rules."""
        labels = LabelSerializer(data=value, many=True)
        labels.is_valid(raise_exception=True)
        return [dict(label) for label in labels.validated_data]


class MaskList(APIView):
    """Masks of a case."""

    parser_classes = (MultiPartParser,)

    @extend_schema(
        operation_id="masks_list",
        parameters=[OpenApiParameter("case", OpenApiTypes.UUID, required=True, description="Whose masks.")],
        responses={200: MaskSerializer(many=True), **problems(400)},
    )
    def get(self, request: Request) -> Response:
        """The current masks of one case; replaced versions are left out."""
        wanted = request.query_params.get("case")
        if not wanted:
            raise serializers.ValidationError({"case": "Name the case whose masks you want: ?case=ID"})
        case = case_get_for(user=request.user, id=uuid_of(wanted, "case"))
        masks = mask_list_for_case(case=case)
        return Response(MaskSerializer(masks, many=True, context={"request": request}).data)

    @extend_schema(
        request={"multipart/form-data": MaskUploadSerializer},
        responses={201: OpenApiResponse(MaskSerializer), **problems(400, 403, 409)},
    )
    def post(self, request: Request) -> Response:
        """Keep a mask, or a new version of one (the same name)."""
        form = MaskUploadSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        case = case_get_for(user=request.user, id=given["case"])
        require(request.user, "annotate", case)
        mask = mask_save(
            user=caller(request),
            case=case,
            name=given["name"],
            array=mask_from_nifti(case, given["file"]),
            labels=given["labels"],
            origin=MaskOrigin.IMPORTED,
            expected_version=given.get("expected_version"),
        )
        body = MaskSerializer(mask, context={"request": request}).data
        return Response(body, status=status.HTTP_201_CREATED, headers={"Location": body["url"]})


class MaskDetail(generics.RetrieveAPIView):
    """One mask."""

    serializer_class = MaskSerializer

    def get_object(self) -> Mask:
        """As the person who asks."""
        return mask_get_for(user=self.request.user, id=self.kwargs["id"])


class MaskContent(APIView):
    """The voxels of a mask."""

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "form",
                OpenApiTypes.STR,
                enum=["nifti", "raw"],
                default="nifti",
                description="nifti: .nii.gz in RAS mm; raw: zlib over uint16, little-endian, in stack order",
            )
        ],
        responses={
            (200, "application/gzip"): OpenApiTypes.BINARY,
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            **problems(400),
        },
    )
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        """Download the voxels."""
        mask = mask_get_for(user=request.user, id=id)
        form = request.query_params.get("form", "nifti")
        if form == "raw":
            return FileResponse(
                default_storage.open(mask.file, "rb"), content_type="application/octet-stream"
            )
        if form != "nifti":
            raise serializers.ValidationError({"form": "Ask for nifti or raw."})
        response = HttpResponse(
            gzip.compress(mask_to_nifti(mask), 6, mtime=0), content_type="application/gzip"
        )
        response["Content-Disposition"] = f'attachment; filename="mask-{mask.pk}.nii.gz"'
        return response
