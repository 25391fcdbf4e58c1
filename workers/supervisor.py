"""Starts the worker processes and starts anew whichever ends: `python -m workers.supervisor`.

One process for the records queue, one per device for the compute queue. Ends them all on Ctrl-C or a
termination signal. A worker whose pulse file is no longer touched (it hangs so hard that none of its
threads runs) is killed; its job's lease runs out and the reaper takes the job back.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import django
from django.conf import settings

logger = logging.getLogger("workers.supervisor")
PULSE_LIMIT = 120.0  # seconds without a sign of life, loading of libraries included
CALM = 30.0  # a process that lived this long is started anew at once
LONGEST_WAIT = 30.0
KILL_AFTER = 15.0  # seconds that a process gets to end in good order


@dataclass
class Post:
    """One worker process that shall always run."""

    queue: str
    device: str
    number: int
    pulse: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    not_before: float = field(default=0.0)

    @property
    def name(self) -> str:
        """Queue and number, as in the log and in Celery's node name."""
        return f"{self.queue}-{self.number}"

    def start(self) -> None:
        """Start the process."""
        environment = os.environ | {
            "WORKER_DEVICE": self.device,
            "WORKER_PULSE_FILE": str(self.pulse),
            "WORKER_PARENT": str(os.getpid()),
            "OMP_NUM_THREADS": str(max(1, settings.WORKER_THREADS)),
            "OMP_WAIT_POLICY": "passive",
        }
        self.pulse.touch()
        self.started = time.monotonic()
        self.process = subprocess.Popen(command(self), env=environment, start_new_session=True)
        logger.info("started %s (process %d) %s", self.name, self.process.pid, self.device)

    def tend(self) -> None:
        """Start the process where it is not running, kill it where it shows no life."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.not_before:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            if time.time() - self.pulse.stat().st_mtime > PULSE_LIMIT:
                logger.error("%s shows no life; killing it", self.name)
                self.process.kill()
            return
        self.failures = 0 if now - self.started > CALM else self.failures + 1
        wait = 0.0 if self.failures == 0 else min(LONGEST_WAIT, 0.5 * 2**self.failures)
        logger.warning("%s ended with code %s; starting it anew in %.0f s", self.name, code, wait)
        self.process, self.not_before = None, now + wait

    def end(self) -> None:
        """Ask the process to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def reap(self, deadline: float) -> None:
        """Wait for the process until the deadline, then kill it."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            logger.error("%s did not end in time; killing it", self.name)
            self.process.kill()
            self.process.wait()


def command(post: Post) -> list[str]:
    """The command line of one worker process."""
    return [
        sys.executable, "-m", "celery", "-A", "workers.app", "worker",
        "-P", "solo", "-Q", post.queue, "-n", f"{post.name}@%h",
        "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO",
    ]  # fmt: skip


def devices() -> list[str]:
    """One compute process each: what the settings name, else every GPU, else the CPU.

    GPUs are counted in a process of their own, so that the supervisor never loads torch.
    """
    if settings.WORKER_DEVICES:
        return list(settings.WORKER_DEVICES)
    counting = "import torch; print(torch.cuda.device_count())"
    found = subprocess.run([sys.executable, "-c", counting], capture_output=True, text=True, check=False)
    number = int(found.stdout) if found.returncode == 0 and found.stdout.strip().isdigit() else 0
    return [f"cuda:{index}" for index in range(number)] or ["cpu"]


def supervise(queues: Sequence[str], *, stop: threading.Event) -> None:
    """Keep the workers of these queues running until `stop` is set, then end them."""
    with tempfile.TemporaryDirectory(prefix="semblance-pulse-") as folder:
        posts = []
        for queue in queues:
            for number, device in enumerate(devices() if queue == "compute" else [""]):
                posts.append(
                    Post(queue=queue, device=device, number=number, pulse=Path(folder) / f"{queue}-{number}")
                )
        try:
            while not stop.is_set():
                for post in posts:
                    post.tend()
                stop.wait(0.5)
        finally:
            deadline = time.monotonic() + settings.JOB_SHUTDOWN_SECONDS + KILL_AFTER
            for post in posts:
                post.end()
            for post in posts:
                post.reap(deadline)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal says to stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--queue", action="append", choices=("compute", "records"), help="default: both; may be repeated"
    )
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings.development")
    django.setup()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    supervise(chosen.queue or ["records", "compute"], stop=stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
