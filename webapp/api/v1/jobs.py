"""Jobs: list, follow, cancel, try again."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.api.v1.answers import LOCATION, LinkField, accepted, link, problems
from webapp.core.permissions import require
from webapp.jobs.estimates import job_eta
from webapp.jobs.models import Job
from webapp.jobs.selectors import job_get_for, job_list_for, queue_position
from webapp.jobs.services import job_cancel, job_retry


class JobSerializer(serializers.ModelSerializer):
    """One unit of work. Follow it until `state` is succeeded, failed or cancelled."""

    url = LinkField("job-detail")
    request = serializers.SerializerMethodField(help_text="The request that it works for.")
    retry_of = serializers.SerializerMethodField(help_text="The job that it repeats.")
    queue_position = serializers.SerializerMethodField(help_text="How many jobs start before it.")
    seconds_left = serializers.SerializerMethodField(help_text="Until it is done, as far as can be told.")
    results = serializers.SerializerMethodField(help_text="What it made.")

    class Meta:
        model = Job
        fields = (
            *("id", "url", "kind", "queue", "state", "sequence", "request", "retry_of", "queue_position"),
            *("step", "steps_total", "progress", "seconds_left", "message", "error_code", "error_message"),
            *("reason", "attempts", "max_attempts", "outcome", "results"),
            *("created_at", "started_at", "finished_at"),
        )

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_request(self, job: Job) -> str | None:
        """The address of the request."""
        return link(self.context["request"], "request-detail", job.request_id) if job.request_id else None

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_retry_of(self, job: Job) -> str | None:
        """The address of the earlier job."""
        return link(self.context["request"], "job-detail", job.retry_of_id) if job.retry_of_id else None

    def get_queue_position(self, job: Job) -> int | None:
        """Null unless it waits."""
        return queue_position(job)

    def get_seconds_left(self, job: Job) -> float | None:
        """Null where nothing is known."""
        return job_eta(job)

    @extend_schema_field(serializers.ListField(child=serializers.URLField()))
    def get_results(self, job: Job) -> list[str]:
        """The addresses of the results."""
        if job.state != Job.State.SUCCEEDED or job.request_id is None:
            return []
        request = self.context["request"]
        made = job.results.order_by("index").values_list("pk", flat=True)
        return [link(request, "result-detail", result) for result in made]


class JobList(generics.ListAPIView):
    """Your jobs, newest first."""

    serializer_class = JobSerializer

    @extend_schema(
        parameters=[OpenApiParameter("state", OpenApiTypes.STR, enum=Job.State.values)],
        responses={200: JobSerializer(many=True), **problems(400)},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Your jobs, newest first."""
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> Any:
        """As the person who asks, narrowed to a state."""
        require(self.request.user, "view", Job)
        jobs = job_list_for(user=self.request.user)
        state = self.request.query_params.get("state")
        if state and state not in Job.State.values:
            raise serializers.ValidationError({"state": f"Ask for one of {', '.join(Job.State.values)}."})
        return jobs.filter(state=state) if state else jobs


class JobDetail(generics.RetrieveAPIView):
    """One job: its state, place in the queue, step, time left and results."""

    serializer_class = JobSerializer

    def get_object(self) -> Job:
        """As the person who asks."""
        return job_get_for(user=self.request.user, id=self.kwargs["id"])


class JobCancel(APIView):
    """Cancelling one job."""

    @extend_schema(request=None, responses={200: JobSerializer, **problems(403, 409)})
    def post(self, request: Request, id: UUID) -> Response:
        """Cancel exactly this job: at once while it waits, otherwise at the worker's next step."""
        job = job_get_for(user=request.user, id=id)
        job_cancel(user=request.user, job=job)
        job = job_get_for(user=request.user, id=id)
        return Response(JobSerializer(job, context={"request": request}).data)


class JobRetry(APIView):
    """Doing one job again."""

    @extend_schema(
        request=None,
        responses={202: OpenApiResponse(JobSerializer), **problems(403, 409, 429)},
        parameters=[LOCATION],
    )
    def post(self, request: Request, id: UUID) -> Response:
        """Hand in the same work once more as a new job, which names this one."""
        again = job_retry(user=request.user, job=job_get_for(user=request.user, id=id))
        again = job_get_for(user=request.user, id=again.pk)
        return accepted(request, again, JobSerializer(again, context={"request": request}).data)
