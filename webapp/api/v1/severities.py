"""Grids of severities: one anatomy, seed and sampler under every grade, handed in all or nothing."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.api.v1.answers import LinkField, link, problems
from webapp.api.v1.requests import RequestCreateSerializer, wish_of
from webapp.core.permissions import require
from webapp.jobs.grids import grid_cells, rises
from webapp.jobs.models import SeverityGrid, SynthesisRequest
from webapp.jobs.selectors import grid_get_for, result_get_for
from webapp.jobs.services import grid_submit, grid_submit_like

FOLLOW = OpenApiParameter(
    "Location", OpenApiTypes.URI, OpenApiParameter.HEADER, response=[202], description="The grid to follow."
)


class SeverityCellSerializer(serializers.Serializer):
    """One severity: what was asked for it, and what the judge measures in the image once it is there."""

    severity = serializers.CharField()
    request = serializers.URLField()
    job = serializers.URLField()
    result = serializers.URLField(allow_null=True)
    level = serializers.FloatField(allow_null=True, help_text="0 none to 3 severe, as measured.")
    read = serializers.CharField(allow_null=True, help_text="The grade that the judge reads.")


class SeverityGridSerializer(serializers.ModelSerializer):
    """A grid with its cells, from none to severe."""

    url = LinkField("severity-grid")
    cells = serializers.SerializerMethodField()
    rises = serializers.SerializerMethodField(
        help_text="Whether the measured level goes up from grade to grade; null until all are measured."
    )

    class Meta:
        model = SeverityGrid
        fields = ("id", "url", "cells", "rises", "created_at")

    @extend_schema_field(SeverityCellSerializer(many=True))
    def get_cells(self, grid: SeverityGrid) -> list[dict[str, Any]]:
        """Every severity."""
        request = self.context["request"]
        return [
            {
                "severity": cell.severity,
                "request": link(request, "request-detail", cell.request.pk),
                "job": link(request, "job-detail", cell.job.pk),
                "result": link(request, "result-detail", cell.result.pk) if cell.result else None,
                "level": cell.read["level"] if cell.read else None,
                "read": cell.read["read"] if cell.read else None,
            }
            for cell in grid_cells(grid)
        ]

    def get_rises(self, grid: SeverityGrid) -> bool | None:
        """Whether the measured severity rises."""
        return rises(grid_cells(grid))


def _handed_in(request: Request, grid: SeverityGrid) -> Response:
    grid = grid_get_for(user=request.user, id=grid.pk)
    data = SeverityGridSerializer(grid, context={"request": request}).data
    headers = {"Location": link(request, "severity-grid", grid.pk)}
    return Response(data, status=status.HTTP_202_ACCEPTED, headers=headers)


class SeverityGridList(APIView):
    """Asking for a grid."""

    @extend_schema(
        request=RequestCreateSerializer,
        responses={202: OpenApiResponse(SeverityGridSerializer), **problems(400, 403, 429)},
        parameters=[FOLLOW],
    )
    def post(self, request: Request) -> Response:
        """Ask for one image under each severity; that of the condition shapes a phantom's anatomy."""
        require(request.user, "create", SynthesisRequest)
        return _handed_in(request, grid_submit(user=request.user, **wish_of(request)))


class SeverityGridDetail(generics.RetrieveAPIView):
    """One grid."""

    serializer_class = SeverityGridSerializer

    def get_object(self) -> SeverityGrid:
        """As the person who asks."""
        return grid_get_for(user=self.request.user, id=self.kwargs["id"])


class ResultSeverities(APIView):
    """A grid from a result."""

    @extend_schema(
        request=None,
        responses={202: OpenApiResponse(SeverityGridSerializer), **problems(400, 403, 429)},
        parameters=[FOLLOW],
    )
    def post(self, request: Request, id: UUID) -> Response:
        """Ask for the same mask, seed and settings under every severity."""
        result = result_get_for(user=request.user, id=id)
        return _handed_in(request, grid_submit_like(user=request.user, result=result))
