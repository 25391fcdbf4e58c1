"""Running one program after another, and saying in plain words what is done and what went wrong."""

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import FrameType

LAST_LINES = 25


class Failed(Exception):
    """Semblance cannot be started; the message says why and what to do."""


class Interrupted(BaseException):
    """Someone asked the launcher to end (Ctrl-C, SIGTERM, a closed terminal)."""


def say(text: str) -> None:
    """One line to the person who typed the command."""
    print(text, flush=True)


def interrupt_on_signals() -> None:
    """Turn SIGINT, SIGTERM and SIGHUP into `Interrupted`, also where a shell had them ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def ignore_signals() -> None:
    """Let nothing disturb the ending itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(signal.Signals(number).name)


def run_step(
    command: list[str],
    *,
    cwd: Path,
    failure: str,
    env: dict[str, str] | None = None,
    pass_fds: tuple[int, ...] = (),
    log: Path | None = None,
) -> None:
    """Run a program to its end. Its output goes to the terminal, or to `log`, whose end is shown on failure.

    Raises:
        Failed: with `failure` when it ends badly.
        Interrupted: passed on, after the program has ended too.
    """
    # A group of its own, so that an interruption ends the program's own children too (npm, pip's builds).
    with log.open("wb") if log else nullcontext() as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        try:
            status = process.wait()
        except BaseException:
            _end_group(process)
            raise
    if status:
        if log:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            say("\n".join(f"    {line}" for line in lines[-LAST_LINES:]))
        sys.stdout.flush()
        raise Failed(failure)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program and whatever it started: politely, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
