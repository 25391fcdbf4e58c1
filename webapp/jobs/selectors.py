"""Reads of the jobs app."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, Prefetch, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.http import Http404
from django.utils import timezone

from webapp.core.permissions import require
from webapp.jobs.models import EditStrip, Job, QueueShare, Result, SeverityGrid, SynthesisRequest
from webapp.jobs.rules import may_request, oversees_jobs


def job_list_for(*, user: Any, everybody: bool = False) -> QuerySet[Job]:
    """The person's jobs, newest first; everybody's for an administrator who asks for them."""
    jobs = Job.objects.select_related("owner", "request__model", "request__adapter")
    if everybody and oversees_jobs(user):
        return jobs
    return jobs.filter(owner=user)


def job_get_for(*, user: Any, id: UUID) -> Job:
    """The job, if the person may see it; Http404 otherwise."""
    related = ("owner", "request__model", "request__adapter", "retry_of")
    job = Job.objects.select_related(*related).filter(pk=id).first()
    if job is None:
        raise Http404("This job does not exist, or it is not yours.")
    require(user, "view", job)
    return job


def job_for_worker(job_id: UUID) -> Job:
    """The job with what a worker's handler reads, without a permission check."""
    return Job.objects.select_related(
        *("owner", "request__model", "request__adapter__base", "request__case", "request__mask")
    ).get(pk=job_id)


def jobs_running_for(*, user: Any) -> QuerySet[Job]:
    """What the drawer in the top bar shows."""
    return job_list_for(user=user).filter(state__in=Job.ACTIVE)


def request_list_for(*, user: Any) -> QuerySet[SynthesisRequest]:
    """The person's requests, newest first."""
    if not may_request(user):
        return SynthesisRequest.objects.none()
    return (
        SynthesisRequest.objects.filter(owner=user)
        .defer("labels")
        .select_related("model", "adapter", "case", "mask")
        .prefetch_related(Prefetch("jobs", queryset=Job.objects.order_by("created_at")))
    )


def request_get_for(*, user: Any, id: UUID) -> SynthesisRequest:
    """The request, if the person may see it; Http404 otherwise."""
    related = ("model", "adapter__base", "case", "mask", "owner")
    item = SynthesisRequest.objects.select_related(*related).filter(pk=id).first()
    if item is None:
        raise Http404("This request does not exist, or it is not yours.")
    require(user, "view", item)
    return item


def grid_get_for(*, user: Any, id: UUID) -> SeverityGrid:
    """The grid of severities, if the person may see it; Http404 otherwise."""
    grid = SeverityGrid.objects.filter(pk=id).first()
    if grid is None:
        raise Http404("This grid does not exist, or it is not yours.")
    require(user, "view", grid)
    return grid


def strip_get_for(*, user: Any, id: UUID) -> EditStrip:
    """The strip of counterfactuals, if the person may see it; Http404 otherwise."""
    strip = EditStrip.objects.filter(pk=id).first()
    if strip is None:
        raise Http404("This strip does not exist, or it is not yours.")
    require(user, "view", strip)
    return strip


def result_list_for(*, user: Any) -> QuerySet[Result]:
    """The person's results: the newest request first, within a request image 1 first."""
    if not may_request(user):
        return Result.objects.none()
    results = Result.objects.filter(request__owner=user)
    return results.select_related("case", "mask", "request__model", "request__case").order_by(
        "-request__created_at", "request_id", "index"
    )


def result_get_for(*, user: Any, id: UUID) -> Result:
    """The result, if the person may see it; Http404 otherwise."""
    result = (
        Result.objects.select_related(
            *("case", "mask", "job", "decided_by"),
            *("request__model", "request__adapter", "request__case", "request__mask"),
        )
        .filter(pk=id)
        .first()
    )
    if result is None:
        raise Http404("This result does not exist, or it is not yours.")
    require(user, "view", result)
    return result


def result_for_worker(result_id: UUID | str) -> Result:
    """The result with what making it again needs, without a permission check."""
    return Result.objects.select_related("case", "request__model", "request__adapter__base").get(pk=result_id)


def queue_position(job: Job) -> int | None:
    """How many jobs will start before this one if nothing else is handed in; None unless it waits.

    Simulates the round robin of `claims.job_claim` on what waits now: in round r every person's r-th
    job is taken, in the order in which people were last served.
    """
    if job.state != Job.State.QUEUED:
        return None
    ahead = queue_order(job.queue)
    return ahead.index(job.pk) if job.pk in ahead else 0


def queue_order(queue: str) -> list[UUID]:
    """Waiting jobs of a queue in the order in which one free worker would take them."""
    return [job_id for job_id, _ in _turns(queue)]


def queue_ahead(user: Any, queue: str) -> int:
    """How many jobs would start before one that this person handed in now."""
    newest = _turns(queue, newcomer=user.pk)
    return next(place for place, (job_id, _) in enumerate(newest) if job_id == NEWCOMER)


NEWCOMER = UUID(int=0)


def _turns(queue: str, newcomer: Any = None) -> list[tuple[UUID, Any]]:
    """(job, owner) of what waits, in order; a newcomer's job that is not handed in yet stands last of his."""
    turn = Window(
        RowNumber(), partition_by=F("owner"), order_by=[F("priority").desc(), F("created_at"), F("pk")]
    )
    waiting = list(
        Job.objects.filter(queue=queue, state=Job.State.QUEUED)
        .order_by()
        .annotate(turn=turn)
        .values_list("pk", "owner_id", "turn", "created_at")
    )
    if newcomer is not None:
        own = sum(1 for row in waiting if row[1] == newcomer)
        waiting.append((NEWCOMER, newcomer, own + 1, timezone.now()))
    owners = {row[1] for row in waiting}
    served = dict(QueueShare.objects.filter(queue=queue, owner__in=owners).values_list("owner", "served"))
    held = list(Job.objects.filter(queue=queue, state__in=Job.HELD).values_list("owner", flat=True))
    first: dict[Any, datetime] = {}
    for _, owner, _, created in waiting:
        first[owner] = min(created, first.get(owner, created))
    waiting.sort(key=lambda row: (row[2] + held.count(row[1]), served.get(row[1], 0), first[row[1]]))
    return [(row[0], row[1]) for row in waiting]


def retries_of(job: Job) -> QuerySet[Job]:
    """Newer jobs that do the same work again."""
    return Job.objects.filter(Q(retry_of=job)).order_by("created_at")
