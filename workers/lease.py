"""A job in this process's hands: its lease kept alive, its stages timed, its progress told."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection

from synthesis.errors import Cancelled
from webapp.jobs.services import (
    Claim,
    LeaseLost,
    Signal,
    job_lost,
    job_progress,
    job_renew,
    job_signal,
    job_stage,
)

logger = logging.getLogger(__name__)
PROGRESS_SECONDS = 0.25  # between two writes of progress; the cancel flag is read at every step
MARK_SECONDS = 5.0  # for telling the database, before a hung process is ended anyway
EXIT_HUNG = 70


class Stopping(Exception):
    """This worker is being shut down in good order; the job goes back to the queue."""


class Work:
    """What a handler sees of its job: where to report stages and steps, and whether to go on.

    `stage`, `step` and `check` raise `Cancelled`, `LeaseLost` or `Stopping`; a handler lets them pass.
    """

    def __init__(self, claim: Claim, *, stopping: threading.Event | None = None) -> None:
        self.claim = claim
        self.finished = False
        self.timings: dict[str, float] = {}
        self._stopping = stopping or threading.Event()
        self._lost = threading.Event()
        self._closing = False
        self._deadline = time.monotonic() + settings.JOB_STAGE_SECONDS
        self._stage = "starting"
        self._stage_began = time.monotonic()
        self._told = 0.0

    @property
    def job_id(self) -> UUID:
        """The job's id."""
        return self.claim.job_id

    @property
    def token(self) -> int:
        """The fencing token under which this worker holds the job."""
        return self.claim.token

    def stage(self, name: str, *, seconds: float | None = None, message: str = "") -> None:
        """Enter a stage that must end within `seconds`, or this process is taken for hung."""
        limit = settings.JOB_STAGE_SECONDS if seconds is None else seconds
        self.check()
        self._note_timing(name)
        self._deadline = time.monotonic() + limit
        job_stage(job_id=self.job_id, token=self.token, stage=name, seconds=limit, message=message)

    def step(self, step: int, total: int, *, message: str | None = None, preview: str | None = None) -> None:
        """Report that `step` of `total` steps of the whole job are done."""
        now = time.monotonic()
        if preview is None and now - self._told < PROGRESS_SECONDS and step < total:
            self.check()
            return
        self._told = now
        self._obey(
            job_progress(
                job_id=self.job_id,
                token=self.token,
                step=step,
                steps_total=total,
                message=message,
                preview=preview,
            )
        )

    def check(self) -> None:
        """Ask whether to go on."""
        self._obey(job_signal(job_id=self.job_id, token=self.token))

    @property
    def wants_preview(self) -> bool:
        """Whether enough time has passed since the last report to make a preview worth its while."""
        return time.monotonic() - self._told >= PROGRESS_SECONDS

    def seconds_left(self) -> float:
        """Until the stage's limit; negative once it has passed."""
        return self._deadline - time.monotonic()

    @property
    def stage_name(self) -> str:
        """The stage that the work is in."""
        return self._stage

    @contextmanager
    def closing(self) -> Iterator[None]:
        """The final transaction: the lease's end is then no longer a loss, since this very code ends it."""
        self._closing = True
        try:
            yield
        except BaseException:
            self._closing = False
            raise

    @property
    def is_closing(self) -> bool:
        """Whether the final transaction has begun."""
        return self._closing

    @property
    def is_lost(self) -> bool:
        """Whether the lease is known to be lost."""
        return self._lost.is_set()

    def lose(self) -> None:
        """Note that the lease is lost; the next report raises, and the watchdog waits one more lease."""
        if not self._lost.is_set():
            self._lost.set()
            self._deadline = min(self._deadline, time.monotonic() + self.claim.lease_seconds)

    def end_stage(self) -> None:
        """Close the last stage's timing."""
        self._note_timing("")

    def _note_timing(self, name: str) -> None:
        now = time.monotonic()
        spent = self.timings.get(self._stage, 0.0) + now - self._stage_began
        self.timings[self._stage] = round(spent, 4)
        self._stage, self._stage_began = name, now

    def _obey(self, signal: Signal) -> None:
        if self._lost.is_set() or signal is Signal.LOST:
            self._lost.set()
            raise LeaseLost(f"token {self.token} no longer holds job {self.job_id}")
        if signal is Signal.CANCEL:
            raise Cancelled("The job was cancelled.")
        if self._stopping.is_set():
            raise Stopping("This worker is shutting down.")


class LeaseKeeper:
    """Two threads beside one job: one renews the lease on its own connection, one watches the clock.

    The watchdog ends the whole process when a stage outlives its limit, or when a lost lease did not
    stop the work: threads cannot be ended from outside, processes can, and the supervisor starts anew.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._renew, name="lease", daemon=True),
            threading.Thread(target=self._watch, name="watchdog", daemon=True),
        ]

    def __enter__(self) -> LeaseKeeper:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=MARK_SECONDS)

    def _renew(self) -> None:
        lease = self._work.claim.lease_seconds
        valid_until = time.monotonic() + lease
        while not self._over.wait(lease / 3):
            asked = time.monotonic()
            try:
                held = job_renew(job_id=self._work.job_id, token=self._work.token)
            except DatabaseError as error:
                logger.warning("could not renew the lease of job %s: %s", self._work.job_id, error)
                connection.close()
                held = asked < valid_until
            else:
                valid_until = asked + lease if held else valid_until
            if not held and not self._work.is_closing and not self._over.is_set():
                logger.error("lost the lease of job %s", self._work.job_id)
                self._work.lose()
                break
        connection.close()

    def _watch(self) -> None:
        while not self._over.wait(min(1.0, max(0.02, self._work.seconds_left()))):
            if self._work.seconds_left() < 0:
                self._end_process()

    def _end_process(self) -> None:
        note = f"no end of the stage '{self._work.stage_name}' within its time limit"
        logger.critical("job %s: %s; ending this worker", self._work.job_id, note)
        if not self._work.is_lost:
            teller = threading.Thread(target=self._tell, args=(note,), daemon=True)
            teller.start()
            teller.join(timeout=MARK_SECONDS)
        os._exit(EXIT_HUNG)

    def _tell(self, note: str) -> None:
        try:
            job_lost(job_id=self._work.job_id, token=self._work.token, note=note)
        except LeaseLost:
            pass
        except DatabaseError:
            logger.exception("could not mark job %s; the reaper will", self._work.job_id)


def handler_outcome(work: Work, outcome: dict[str, Any] | None) -> dict[str, Any]:
    """What the job reports when it is done: the handler's own words and how long each stage took."""
    work.end_stage()
    return {**(outcome or {}), "seconds": dict(work.timings)}
