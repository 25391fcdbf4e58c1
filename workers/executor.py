"""The one thread of a worker process that does jobs, and the one that shows the process is alive."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone

from webapp.jobs.services import (
    Claim,
    LeaseLost,
    heartbeat_record,
    heartbeat_remove,
    job_claim,
    job_release,
    jobs_reap,
)
from workers import tasks

logger = logging.getLogger(__name__)


def _no_models() -> Sequence[str]:
    return ()


def nothing_to_prepare() -> None:
    """What a worker does before its first job where there is nothing to be done."""


class Executor:
    """Claims and does jobs of one queue, one at a time, until it is stopped.

    It looks when a Celery message wakes it, and by itself every JOB_POLL_SECONDS: an emptied or broken
    broker makes jobs start later and loses none. It has a thread of its own so that Celery's main
    thread stays free for messages, pings and signals even in the middle of a job.

    prepare: called once, before the first job is claimed and while the process already shows that it is
    alive: what takes long and is needed by every job must not use up the first one's lease.
    """

    def __init__(
        self,
        *,
        queue: str,
        device: str = "",
        memory: int | None = None,
        warm_models: Callable[[], Sequence[str]] = _no_models,
        prepare: Callable[[], None] = nothing_to_prepare,
    ) -> None:
        self.queue = queue
        self.device = device
        self.memory = memory
        self.host = socket.gethostname()
        self.worker = f"{queue}@{self.host}:{os.getpid()}"
        self._warm_models = warm_models
        self._prepare = prepare
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._started_at = timezone.now()
        self._claim: Claim | None = None
        self._threads = [
            threading.Thread(target=self._run, name=f"executor-{queue}", daemon=True),
            threading.Thread(target=self._live, name=f"pulse-{queue}", daemon=True),
        ]

    def start(self) -> None:
        """Begin to look for work."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask the current job to stop at its next step and claim no other; returns at once."""
        self._stopping.set()
        tasks.awake.set()

    def join(self, timeout: float) -> None:
        """Wait for the current job to stop; after `timeout` seconds give it back and end the process.

        A job that does not stop (it is in the middle of one long call) loses its lease, so nothing that
        it still does can be written.
        """
        if self._ended.wait(timeout):
            self._threads[1].join(timeout=2)
            return
        claim = self._claim
        if claim is not None:
            try:
                job_release(job_id=claim.job_id, token=claim.token, note="its worker was shut down")
            except LeaseLost:
                logger.info("job %s had already been taken over", claim.job_id)
            except DatabaseError:
                logger.exception("could not give job %s back; the reaper will", claim.job_id)
        os._exit(0)

    @property
    def _job_id(self) -> UUID | None:
        return self._claim.job_id if self._claim is not None else None

    def _run(self) -> None:
        try:
            self._prepared()
            while not self._stopping.is_set():
                tasks.awake.clear()
                if not self._looked():
                    tasks.awake.wait(settings.JOB_POLL_SECONDS)
        finally:
            connection.close()
            self._ended.set()

    def _prepared(self) -> None:
        """`prepare`, whatever happens in it: the job that needs what failed will say so itself."""
        began = time.monotonic()
        try:
            self._prepare()
        except Exception:
            logger.exception("%s could not prepare itself and works all the same", self.worker)
        else:
            logger.info("%s was ready for jobs after %.1f s", self.worker, time.monotonic() - began)

    def _looked(self) -> bool:
        """`_next`, whatever happens in it: a worker that is alive and never looks again would be worse."""
        try:
            return self._next()
        except Exception:
            logger.exception("%s stumbled and goes on; the reaper takes back what it held", self.worker)
            connection.close()
            return False

    def _next(self) -> bool:
        """Do one job; False when there was none or the database did not answer."""
        close_old_connections()
        try:
            self._claim = job_claim(
                queue=self.queue, worker=self.worker, ran_on=f"{self.host} {self.device}".strip()
            )
        except DatabaseError as error:
            logger.warning("could not look for work on %s: %s", self.queue, error)
            connection.close()
            return False
        if self._claim is None:
            return False
        try:
            tasks.perform(self._claim, stopping=self._stopping)
        finally:
            self._claim = None
        return True

    def _live(self) -> None:
        """Heartbeat, pulse file and reaper, until the executor has ended."""
        reaped = 0.0
        try:
            while not self._ended.is_set():
                self._touch()
                try:
                    self._beat()
                    if time.monotonic() - reaped >= settings.JOB_REAP_SECONDS:
                        reaped = time.monotonic()
                        jobs_reap()
                except DatabaseError as error:
                    logger.warning("heartbeat: %s", error)
                    connection.close()
                self._end_with_parent()
                self._ended.wait(settings.JOB_HEARTBEAT_SECONDS)
            heartbeat_remove(worker=self.worker)
        except DatabaseError as error:
            logger.warning("could not take back the heartbeat: %s", error)
        finally:
            connection.close()

    def _touch(self) -> None:
        if settings.WORKER_PULSE_FILE:
            Path(settings.WORKER_PULSE_FILE).touch()

    def _beat(self) -> None:
        close_old_connections()
        heartbeat_record(
            worker=self.worker,
            queue=self.queue,
            host=self.host,
            device=self.device,
            memory=self.memory,
            warm_models=self._warm_models(),
            job_id=self._job_id,
            started_at=self._started_at,
        )

    def _end_with_parent(self) -> None:
        """A worker whose supervisor was killed must not go on alone: nobody would ever stop it."""
        if settings.WORKER_PARENT and os.getppid() != settings.WORKER_PARENT and not self._stopping.is_set():
            logger.error("the supervisor is gone; ending this worker")
            self.stop()
            threading.Thread(target=self._exit_soon, daemon=True).start()

    def _exit_soon(self) -> None:
        self.join(settings.JOB_SHUTDOWN_SECONDS)
        os._exit(0)
