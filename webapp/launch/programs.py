"""The programs that make up a running Semblance: started together, watched, ended together."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from webapp.launch.steps import Failed, say

GRACE_SECONDS = 30.0  # the workers' supervisors give a job time to stop between two steps
LOG_BYTES = 10_000_000
RESTARTS = 5  # within the window: more is not bad luck but a fault
WINDOW_SECONDS = 120.0
PR_SET_PDEATHSIG = 1


@dataclass
class Program:
    """One long-running program: what to start, where its words go, and how often it fell over lately."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    falls: deque[float] = field(default_factory=deque)

    def start(self) -> None:
        """Start it as leader of its own process group, so that all of it can be ended at once."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )

    def signal(self, number: int) -> None:
        """Send a signal to the program and everything it started."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def _end_with_parent() -> None:
    """Ask Linux to end this program should the launcher itself be killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Group:
    """All programs: a fallen one is started again; one that keeps falling ends the group."""

    def __init__(self, programs: list[Program]) -> None:
        self.programs = programs

    def start(self) -> None:
        """Start every program."""
        for program in self.programs:
            program.start()

    def check(self) -> None:
        """Start again whatever fell.

        Raises:
            Failed: when one program fell more than `RESTARTS` times within `WINDOW_SECONDS`.
        """
        for program in self.programs:
            if program.process is None or program.process.poll() is None:
                continue
            status = program.process.returncode
            program.signal(signal.SIGKILL)  # whatever it left behind in its group
            now = time.monotonic()
            program.falls.append(now)
            while program.falls and now - program.falls[0] > WINDOW_SECONDS:
                program.falls.popleft()
            if len(program.falls) > RESTARTS:
                raise Failed(
                    f"The {program.name} keeps ending (status {status}), so everything is being stopped. "
                    f"Its last words, from {program.log}:\n{program.last_words()}"
                )
            say(f"The {program.name} ended ({_status(status)}); starting it again.")
            program.start()

    def stop(self) -> None:
        """End every program: politely first, then, after `GRACE_SECONDS`, by force."""
        for program in self.programs:
            program.signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for program in self.programs:
            if program.process is None:
                continue
            try:
                program.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                say(f"The {program.name} did not end within {GRACE_SECONDS:.0f} s and is ended by force.")
            program.signal(signal.SIGKILL)
            program.process.wait()


def _status(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
