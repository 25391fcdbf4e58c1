"""Cases: list and read."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.v1.answers import LinkField, caller, link, problems
from webapp.cases.models import Case
from webapp.cases.selectors import case_get_for, case_list_for, dataset_get_for
from webapp.cases.services import case_update
from webapp.core.permissions import require


class CaseSerializer(serializers.ModelSerializer):
    """One image object: a DICOM series, a NIfTI volume or a 2D image. Its pixels are served as DICOMweb."""

    url = LinkField("case-detail")
    masks = serializers.SerializerMethodField()
    dicomweb = serializers.SerializerMethodField()

    class Meta:
        model = Case
        fields = (
            *(
                "id",
                "url",
                "dataset",
                "name",
                "modality",
                "source_format",
                "attributes",
                "series_description",
            ),
            *("study_uid", "series_uid", "rows", "columns", "slice_count", "spacing_mm", "units"),
            *("window_center", "window_width", "is_synthetic", "content_sha256", "masks", "dicomweb"),
            *("created_at",),
        )

    def get_masks(self, case: Case) -> str:
        """Where its masks are listed."""
        return f"{link(self.context['request'], 'mask-list')}?case={case.pk}"

    def get_dicomweb(self, case: Case) -> str:
        """The series as a DICOMweb resource."""
        path = f"/dicomweb/studies/{case.study_uid}/series/{case.series_uid}"
        return self.context["request"].build_absolute_uri(path)


@extend_schema(
    parameters=[
        OpenApiParameter("dataset", OpenApiTypes.UUID, description="Only the cases of this dataset."),
        OpenApiParameter("modality", OpenApiTypes.STR, description="Only this modality: CT, MR ..."),
        OpenApiParameter("search", OpenApiTypes.STR, description="A word in name, patient or description."),
    ],
    responses={200: CaseSerializer(many=True), **problems(400)},
)
class CaseList(generics.ListAPIView):
    """The cases that you may see, newest first."""

    serializer_class = CaseSerializer

    def get_queryset(self) -> Any:
        """As the person who asks, narrowed by the query."""
        require(self.request.user, "view", Case)
        query = self.request.query_params
        user = self.request.user
        wanted = query.get("dataset")
        dataset = dataset_get_for(user=user, id=uuid_of(wanted, "dataset")) if wanted else None
        return case_list_for(
            user=user, dataset=dataset, modality=query.get("modality", ""), search=query.get("search", "")
        )


class CaseChangesSerializer(serializers.Serializer):
    """What to mend; what is left out stays. `attributes` replaces them all, one plain value each."""

    name = serializers.CharField(required=False, max_length=120)
    modality = serializers.CharField(required=False, max_length=16)
    attributes = serializers.DictField(required=False)


class CaseDetail(generics.RetrieveAPIView):
    """One case."""

    serializer_class = CaseSerializer

    def get_object(self) -> Case:
        """As the person who asks."""
        return case_get_for(user=self.request.user, id=self.kwargs["id"])

    @extend_schema(request=CaseChangesSerializer, responses={200: CaseSerializer, **problems(400, 403)})
    def patch(self, request: Request, id: UUID) -> Response:
        """Mend its name, modality or attributes; pixels and files stay."""
        case = self.get_object()
        require(request.user, "manage", case)
        form = CaseChangesSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        present = {"name": case.name, "modality": case.modality, "attributes": case.attributes}
        case_update(user=caller(request), case=case, **(present | form.validated_data))
        return Response(self.get_serializer(case).data)


def uuid_of(text: str, field: str) -> UUID:
    """An id from the query.

    Raises:
        ValidationError: when it is none.
    """
    try:
        return UUID(text)
    except ValueError as error:
        raise serializers.ValidationError({field: f"{text[:60]!r} is not an id."}) from error
