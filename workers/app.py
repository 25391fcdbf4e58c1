"""Celery entry point: `celery -A workers.app worker -P solo -Q compute` (or `-Q records`)."""

from __future__ import annotations

from functools import partial
from typing import Any

import django

django.setup()

from celery.signals import celeryd_after_setup, worker_shutdown, worker_shutting_down  # noqa: E402
from django.conf import settings  # noqa: E402

from webapp.celery import app  # noqa: E402
from webapp.jobs.models import Job  # noqa: E402
from workers import tasks  # noqa: E402
from workers.executor import Executor, nothing_to_prepare  # noqa: E402

__all__ = ["app", "tasks"]

_executors: list[Executor] = []


@celeryd_after_setup.connect
def start_executor(sender: str, instance: Any, **_: Any) -> None:
    """Begin to work on the queue that this process was started for.

    Raises ValueError unless it is exactly one known queue: a process holds one device and one job.
    """
    queues = sorted(instance.app.amqp.queues.consume_from)
    if len(queues) != 1 or queues[0] not in Job.Queue.values:
        raise ValueError(f"start a worker with -Q compute or -Q records; got {queues}")
    executor = executor_for(queues[0])
    _executors.append(executor)
    executor.start()


def executor_for(queue: str) -> Executor:
    """The executor of a queue; only the compute queue loads torch."""
    prepare = partial(tasks.preload, queue) if settings.WORKER_PRELOAD else nothing_to_prepare
    if queue != Job.Queue.COMPUTE:
        return Executor(queue=queue, prepare=prepare)
    from synthesis.placement import device_memory
    from workers.models import device_choose, warm

    device = device_choose()
    return Executor(
        queue=queue,
        device=device,
        memory=device_memory(device),
        warm_models=warm.names,
        prepare=prepare,
    )


@worker_shutting_down.connect
def stop_executor(**_: Any) -> None:
    """A signal to stop: the job in hand goes back to the queue at its next step."""
    for executor in _executors:
        executor.stop()


@worker_shutdown.connect
def join_executor(**_: Any) -> None:
    """Leave only when the job in hand has been given back."""
    for executor in _executors:
        executor.stop()
        executor.join(settings.JOB_SHUTDOWN_SECONDS)
