"""Requests: ask for synthetic images, list and read what was asked for, ask again."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from synthesis.catalog import SAMPLERS
from synthesis.options import options_of, samplers_with
from synthesis.request import SEVEREST, SEVERITIES, STEATOSIS_GRADES
from webapp.api.v1.answers import LOCATION, LinkField, link, problems
from webapp.api.v1.asking import ASKED, AskedSerializer, AskingSerializer, ShownSerializer, handed_in, named
from webapp.core.permissions import require
from webapp.jobs.models import SynthesisRequest
from webapp.jobs.sampling import OPTION_NAMES
from webapp.jobs.selectors import request_get_for, request_list_for
from webapp.jobs.services import request_again, request_submit


class ConditionSerializer(ShownSerializer):
    """What the image shall show."""

    severity = serializers.ChoiceField(choices=SEVERITIES, default="none", help_text="Of the cirrhosis.")
    severity_level = serializers.FloatField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=SEVEREST,
        help_text="The same on a scale: 0 none, 1 low, 2 mild, 3 severe, and all between. It decides where "
        "it is given; severity then becomes the nearest word. The shipped models were trained on the four "
        "grades alone.",
    )
    steatosis = serializers.ChoiceField(choices=STEATOSIS_GRADES, default=0)


class SamplerSerializer(serializers.Serializer):
    """How it is made. Each option belongs to the samplers that it names; left out, its default is used."""

    name = serializers.ChoiceField(choices=list(SAMPLERS), default="rft")
    steps = serializers.IntegerField(min_value=1, max_value=200, default=4)
    guidance = serializers.FloatField(required=False, min_value=0, max_value=10)

    def get_fields(self) -> dict[str, serializers.Field]:
        """The common fields, and every option of every sampler."""
        return super().get_fields() | {name: _option_field(name) for name in sorted(OPTION_NAMES)}


def _option_field(name: str) -> serializers.Field:
    """One option as the table of `synthesis.options` has it, with all values of all its samplers."""
    known = [(sampler, one) for sampler in samplers_with(name) for one in options_of(sampler)]
    own = {sampler: option for sampler, option in known if option.name == name}
    first = next(iter(own.values()))
    sentences = dict.fromkeys(option.sentence for option in own.values())
    words: dict[str, Any] = {"required": False, "help_text": f"{', '.join(own)}: {' '.join(sentences)}"}
    values = dict.fromkeys(value for option in own.values() for value, _words in option.choices)
    if all(isinstance(value, bool) for value in values) and values:
        return serializers.BooleanField(**words)
    if values:
        return serializers.ChoiceField(choices=list(values), **words)
    return serializers.FloatField(allow_null=True, min_value=first.low, max_value=first.high, **words)


class ParametersSerializer(serializers.Serializer):
    """Condition and sampler; `phantom_seed` draws the anatomy of a phantom where no case is named."""

    condition = ConditionSerializer()
    sampler = SamplerSerializer(required=False)
    phantom_seed = serializers.IntegerField(required=False, min_value=0)
    phantom_severity = serializers.CharField(
        required=False,
        help_text="none, low, mild or severe: whose outline the phantom's liver has, where it is not to be "
        "that of the severity drawn.",
    )
    uncertainty = serializers.BooleanField(
        required=False,
        help_text="How far each pixel may still differ; takes about 64 more network calls an image.",
    )


class RequestCreateSerializer(AskingSerializer):
    """What is asked for."""

    adapter = serializers.UUIDField(
        required=False, allow_null=True, help_text="The id of an adapter of that model, laid on it."
    )
    parameters = ParametersSerializer()
    case = serializers.UUIDField(required=False, help_text="The source of the anatomy.")
    mask = serializers.UUIDField(required=False, help_text="A mask of that case.")
    count = serializers.IntegerField(default=1, min_value=1, help_text="How many images.")


class RequestSerializer(AskedSerializer):
    """A request as it was handed in; it never changes."""

    url = LinkField("request-detail")
    results = serializers.SerializerMethodField(help_text="The images that were made.")

    class Meta:
        model = SynthesisRequest
        fields = (*ASKED, "results")

    @extend_schema_field(serializers.ListField(child=serializers.URLField()))
    def get_results(self, item: SynthesisRequest) -> list[str]:
        """The addresses of the results."""
        made = item.results.order_by("index").values_list("pk", flat=True)
        return [link(self.context["request"], "result-detail", result) for result in made]


class AgainSerializer(serializers.Serializer):
    """Another seed makes another image of the same wish; the same seed makes the same one."""

    seed = serializers.IntegerField(required=False, min_value=0)


class RequestList(generics.ListAPIView):
    """What you have asked for, newest first."""

    serializer_class = RequestSerializer

    def get_queryset(self) -> Any:
        """As the person who asks."""
        require(self.request.user, "view", SynthesisRequest)
        return request_list_for(user=self.request.user)

    @extend_schema(
        request=RequestCreateSerializer,
        responses={202: OpenApiResponse(RequestSerializer), **problems(400, 403, 429)},
        parameters=[LOCATION],
        examples=[
            OpenApiExample(
                "Severe cirrhosis from a slice",
                request_only=True,
                value={
                    "model": "7e6b0c2e-6b0f-4a8c-9d38-0f4d6f9d2c11",
                    "case": "0f0d5a3a-2f4c-4d0e-8f7e-8a7f0f1f2d3c",
                    "mask": "b1c7c9a2-4a8e-4e47-9e2b-0d9c4b8f7a66",
                    "slice_index": 30,
                    "parameters": {
                        "condition": {"modality": "CT", "severity": "severe"},
                        "sampler": {"steps": 4},
                    },
                    "count": 2,
                    "seed": 7,
                },
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Ask for synthetic images: 202, and the job to follow in Location."""
        require(request.user, "create", SynthesisRequest)
        return handed_in(request, request_submit(user=request.user, **wish_of(request)), RequestSerializer)


def wish_of(request: Request) -> dict[str, Any]:
    """What a body asks for, as `request_submit` takes it; ValidationError for one that makes no sense."""
    form = RequestCreateSerializer(data=request.data)
    form.is_valid(raise_exception=True)
    return named(request.user, form.validated_data)


class RequestDetail(generics.RetrieveAPIView):
    """One request."""

    serializer_class = RequestSerializer

    def get_object(self) -> SynthesisRequest:
        """As the person who asks."""
        return request_get_for(user=self.request.user, id=self.kwargs["id"])


class RequestAgain(APIView):
    """Asking for the same once more."""

    @extend_schema(
        request=AgainSerializer,
        responses={202: OpenApiResponse(RequestSerializer), **problems(400, 403, 429)},
        parameters=[LOCATION],
    )
    def post(self, request: Request, id: UUID) -> Response:
        """Hand in the same settings as a new request, with another seed where one is given."""
        item = request_get_for(user=request.user, id=id)
        form = AgainSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        again = request_again(user=request.user, request=item, seed=form.validated_data.get("seed"))
        return handed_in(request, again, RequestSerializer)
