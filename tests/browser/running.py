"""The whole of Semblance, started as `make run` starts it, with a home and a port of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 300
ACCOUNT = re.compile(
    r"\b(clinician|annotator|study_lead|data_manager|researcher|administrator)\s{2,}(\S+)\s*$"
)


@dataclass(frozen=True)
class Running:
    """A started installation: its address, where its state lies, and the printed passwords by role."""

    address: str
    home: Path
    passwords: dict[str, str]


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(home: Path) -> Iterator[Running]:
    """Start everything, wait for the printed address, give it, and end everything with Ctrl-C.

    Raises:
        AssertionError: with what was printed, when it does not start, or does not end by itself.
    """
    port = free_port()
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in {"DATABASE_URL", "BROKER_URL", "DJANGO_SETTINGS_MODULE"}
    }
    environment |= {"SEMBLANCE_HOME": str(home), "PORT": str(port), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "webapp.launch"],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    said: list[str] = []
    ready = threading.Event()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if f":{port}" in line:
                ready.set()
        ready.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        assert ready.wait(START_SECONDS), "Semblance did not start:\n" + "".join(said)
        assert process.poll() is None, "Semblance ended at once:\n" + "".join(said)
        listener.join(2)  # the accounts are printed beside the address
        passwords = {found.group(1): found.group(2) for line in said if (found := ACCOUNT.search(line))}
        yield Running(address=address, home=home, passwords=passwords)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise AssertionError("Ctrl-C did not end Semblance:\n" + "".join(said)) from None
