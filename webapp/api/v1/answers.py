"""What the nouns share: links, answers to work that has been handed in, and errors in the schema."""

from typing import Any, cast

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.accounts.models import User


@extend_schema_field(OpenApiTypes.URI)
class LinkField(serializers.Field):
    """The absolute address of the object (or, with `source`, of the one it refers to)."""

    def __init__(self, view: str, **kwargs: Any) -> None:
        self.view = view
        kwargs.setdefault("source", "*")
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: Any) -> str:
        """The address of what has this id."""
        return link(self.context["request"], self.view, getattr(value, "pk", value))


def link(request: Request, view: str, *arguments: Any) -> str:
    """An absolute address within the API."""
    return request.build_absolute_uri(reverse(f"api:{view}", args=arguments))


def caller(request: Request) -> User:
    """Who asks; the permission classes have let nobody in who is not signed in."""
    return cast(User, request.user)


def accepted(request: Request, job: Any, data: Any) -> Response:
    """202: the work is handed in; Location and `job` say where to follow it."""
    return Response(
        data, status=status.HTTP_202_ACCEPTED, headers={"Location": link(request, "job-detail", job.pk)}
    )


class ProblemSerializer(serializers.Serializer):
    """A problem document (RFC 9457)."""

    type = serializers.CharField(help_text="urn:semblance:problem:CODE")
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="A short stable word for programs.")
    detail = serializers.CharField(help_text="What happened and what to do, in plain words.")
    instance = serializers.CharField(required=False)
    errors = serializers.ListField(  # type: ignore[assignment]  # the field's name is RFC 9457's habit
        child=serializers.DictField(child=serializers.CharField()), required=False, help_text="By field."
    )


def problems(*codes: int) -> dict[tuple[int, str], OpenApiResponse]:
    """The problem documents that an operation may answer with (401 and 404 are added to every one)."""
    words = {
        400: "What was asked for cannot be done as asked.",
        403: "You may see this, but not do that.",
        409: "The object is no longer in the state that the request supposed.",
        413: "Too large.",
        429: "You have as many jobs waiting or running as you may.",
    }
    return {
        (code, "application/problem+json"): OpenApiResponse(ProblemSerializer, description=words[code])
        for code in codes
    }


LOCATION = OpenApiParameter(
    "Location", OpenApiTypes.URI, OpenApiParameter.HEADER, response=[202], description="The job to follow."
)
