"""Signs of life of the workers, and what the health page makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from webapp.jobs.clock import database_now
from webapp.jobs.models import Job, WorkerHeartbeat


def heartbeat_record(
    *,
    worker: str,
    queue: str,
    host: str,
    device: str,
    warm_models: Sequence[str],
    job_id: UUID | None,
    started_at: datetime,
    memory: int | None = None,
) -> None:
    """Write that this worker is alive, what it holds in memory and what it is doing.

    `memory` is what its device has in all, in bytes.
    """
    WorkerHeartbeat.objects.update_or_create(
        worker=worker,
        defaults={
            "queue": queue,
            "host": host,
            "device": device,
            "memory": memory,
            "warm_models": list(warm_models),
            "job_id": job_id,
            "started_at": started_at,
            "seen_at": database_now(),
        },
    )


def heartbeat_remove(*, worker: str) -> None:
    """Forget a worker that ended in good order."""
    WorkerHeartbeat.objects.filter(worker=worker).delete()


def workers_alive(queue: str | None = None) -> list[WorkerHeartbeat]:
    """Workers whose last sign of life is recent."""
    silence = timedelta(seconds=max(10.0, 5 * settings.JOB_HEARTBEAT_SECONDS))
    chosen = Q(seen_at__gte=database_now() - silence)
    if queue is not None:
        chosen &= Q(queue=queue)
    return list(WorkerHeartbeat.objects.filter(chosen).order_by("queue", "worker"))


def workers_busy(queue: str) -> bool:
    """Whether every living worker of a queue has a job in hand, so that a new one waits for one of them."""
    held = Job.objects.filter(queue=queue, state__in=Job.HELD).count()
    return 0 < len(workers_alive(queue)) <= held


def worker_health() -> dict[str, object]:
    """For /healthz: whether each queue has a living worker, and how many jobs wait."""
    alive = workers_alive()
    queues = {}
    for queue in Job.Queue.values:
        mine = [row for row in alive if row.queue == queue]
        queues[queue] = {
            "workers": len(mine),
            "devices": sorted({row.device for row in mine if row.device}),
            "warm_models": sorted({name for row in mine for name in row.warm_models}),
            "waiting": Job.objects.filter(queue=queue, state=Job.State.QUEUED).count(),
        }
    return {"ok": all(entry["workers"] for entry in queues.values()), "queues": queues}
