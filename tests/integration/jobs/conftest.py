"""Who asks, of what and through what; real workers on the broker and database that the environment names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from tests import factories
from tests.factories_edits import phantom_case
from webapp.celery import app
from webapp.jobs.models import Job, WorkerHeartbeat
from webapp.jobs.services import job_submit

ROOT = Path(__file__).resolve().parents[3]
DEADLINE = 300.0  # seconds; these machines are shared, and who waits for what comes waits no longer
SHORT = {
    "JOB_LEASE_SECONDS": "6",  # what a busy machine may keep a worker waiting for
    "JOB_POLL_SECONDS": "0.2",
    "JOB_REAP_SECONDS": "0.3",
    "JOB_RETRY_SECONDS": "0.1",
    "JOB_HEARTBEAT_SECONDS": "0.3",
    "JOB_SHUTDOWN_SECONDS": "3",
}
UNPREPARED = {"WORKER_PRELOAD": "0"}  # probes need no library that takes seconds to import


def database_url() -> str:
    """The URL of the test database that this very process uses."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite://{quote(str(values['NAME']))}"
    host = quote(str(values["HOST"] or values["OPTIONS"].get("host", "")), safe="")
    return f"postgresql://{values['USER']}:{values['PASSWORD']}@/{values['NAME']}?host={host}"


def wait_for(what: Callable[[], Any], *, why: str | Callable[[], str], seconds: float = DEADLINE) -> Any:
    """Poll until `what()` is true and return it; fail with the reason after the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = what()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"waited {seconds:.0f} s in vain: {why() if callable(why) else why}")


class Workers:
    """Starts worker processes, and ends what is left of them after the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, queue: str = "compute", **environment: str) -> subprocess.Popen[bytes]:
        """One worker of a queue, ready to take jobs."""
        process, log = self._spawn(queue, environment)
        wait_for(
            lambda: process.poll() is not None or self.is_alive(process),
            why=f"the worker did not come up:\n{log.read_text()[-2000:]}",
        )
        assert process.poll() is None, log.read_text()[-4000:]
        return process

    def start_and_see_it_die(self, queue: str = "compute") -> int:
        """A worker that a waiting job will end; returns its exit code."""
        process, log = self._spawn(queue, {})
        try:
            return process.wait(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the worker did not die:\n{log.read_text()[-2000:]}")

    def _spawn(self, queue: str, environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], Path]:
        number = len(self._running)
        log = self._folder / f"worker-{number}.log"
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "workers.app",
                "worker",
                "-P",
                "solo",
                "-Q",
                queue,
                "-n",
                f"{queue}-{number}@%h",
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
                "--loglevel",
                "INFO",
            ],
            cwd=ROOT,
            env=os.environ
            | {
                "DJANGO_SETTINGS_MODULE": "webapp.settings.test",
                "DATABASE_URL": database_url(),
                "SEMBLANCE_HOME": str(settings.SEMBLANCE_HOME),
                "OMP_NUM_THREADS": "1",
                "WORKER_DEVICE": "cpu",
                "C_FORCE_ROOT": "1",
            }
            | SHORT
            | UNPREPARED
            | environment,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        self._running.append(process)
        return process, log

    def is_alive(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the worker has shown a sign of life."""
        return WorkerHeartbeat.objects.filter(worker__endswith=f":{process.pid}").exists()

    def logs(self) -> str:
        """What all workers said, for a failing test."""
        return "\n".join(path.read_text()[-3000:] for path in sorted(self._folder.glob("worker-*.log")))

    def end(self) -> None:
        """End every worker that this test started."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


class Probes:
    """Hands in probe jobs and reads what the workers did with them."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "probe.log"
        self.log.touch()

    def submit(self, owner: Any = None, *, queue: str = "compute", priority: int = 0, **payload: Any) -> Job:
        """One probe job."""
        return job_submit(
            kind="probe",
            owner=owner or factories.person("researcher"),
            payload={"log": str(self.log), **payload},
            queue=queue,
            priority=priority,
        )

    def lines(self, what: str, job: Job | None = None) -> list[list[str]]:
        """The log's lines of one sort, of one job."""
        rows = [line.split() for line in self.log.read_text().splitlines()]
        return [row for row in rows if row[0] == what and (job is None or row[1] == str(job.pk))]

    def counts(self, what: str) -> Counter[str]:
        """How often each job has this sort of line."""
        return Counter(row[1] for row in self.lines(what))

    def wait(self, job: Job, *states: str, seconds: float = DEADLINE) -> Job:
        """The job once it is in one of the states."""

        def look() -> Job | None:
            job.refresh_from_db()
            return job if job.state in states else None

        def why() -> str:
            stands = f"{job.state}, stage {job.stage!r}, attempts {job.attempts}, held by {job.lease_owner!r}"
            said = "\n".join(path.read_text()[-2000:] for path in self.log.parent.glob("worker-*.log"))
            return f"{job} never became {' or '.join(states)}; it is {stands}\n{said}"

        return wait_for(look, why=why, seconds=seconds)

    def wait_begun(self, job: Job) -> Job:
        """The job once it has made a step."""

        def look() -> bool:
            job.refresh_from_db()
            return job.step > 0

        wait_for(look, why=f"{job} did not begin")
        return job


@pytest.fixture
def clinician(db: None) -> Any:
    """Who asks for images."""
    return factories.person("clinician")


@pytest.fixture
def browser(client_of: Callable[[Any], Client], clinician: Any) -> Client:
    """The clinician's own."""
    return client_of(clinician)


@pytest.fixture
def case(clinician: Any) -> Any:
    """A phantom of three slices that the clinician may change."""
    return phantom_case(clinician)


@pytest.fixture
def model(db: None) -> Any:
    """The record of a model, for pages: it has no weights."""
    return factories.generative_model()


@pytest.fixture
def tiny(db: None, tmp_path: Path) -> Any:
    """The tiny model with its weights, installed like any other."""
    from tests.factories_models import tiny_model
    from webapp.registry.services import model_install

    return model_install(path=tiny_model(tmp_path / "tiny"))


@pytest.fixture
def short(settings: Any) -> Any:
    """The workers' short times in this process too."""
    for name, value in SHORT.items():
        setattr(settings, name, float(value))
    return settings


@pytest.fixture
def empty_broker() -> None:
    """No message of an earlier test."""
    purge()


def purge() -> None:
    """Empty every queue of the broker."""
    with app.connection_for_write() as link:
        for queue in Job.Queue.values:
            channel = link.channel()
            bound = app.amqp.queues[queue].bind(channel)
            bound.declare()
            bound.purge()
            channel.close()


@pytest.fixture
def workers(transactional_db: None, short: Any, empty_broker: None, tmp_path: Path) -> Iterator[Workers]:
    """Worker processes, ended after the test."""
    made = Workers(tmp_path)
    yield made
    made.end()


@pytest.fixture
def probes(transactional_db: None, short: Any, tmp_path: Path) -> Probes:
    """Probe jobs and their log."""
    return Probes(tmp_path)
