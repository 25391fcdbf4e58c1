"""The probe: real work of no use, told by its payload to take its time, die, hang or fail.

Payload: {"log": file, "steps": number, "pause": seconds per step, "at": {"step": number, "do": what}}, with
what = kill | hang | deaf | error | refuse. Every step appends one line "WHAT JOB TOKEN PID STEP" to the log.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from synthesis.errors import SynthesisError
from webapp.jobs.selectors import job_for_worker
from workers.lease import Work


def tell(log: str, what: str, work: Work, step: int = 0) -> None:
    """One line, written in one call, so that processes cannot mix theirs."""
    line = f"{what} {work.job_id} {work.token} {os.getpid()} {step}\n"
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def probe(work: Work) -> dict[str, Any]:
    """Do as the payload says."""
    payload = job_for_worker(work.job_id).payload
    steps, pause, at = payload.get("steps", 1), payload.get("pause", 0.0), payload.get("at", {})
    tell(payload["log"], "begin", work)
    work.stage("probing", seconds=payload.get("limit", 60.0))
    for step in range(1, steps + 1):
        if at.get("step") == step and not _spared(at):
            _misbehave(at["do"], payload["log"], work, step)
        time.sleep(pause)
        tell(payload["log"], "step", work, step)
        work.step(step, steps)
    tell(payload["log"], "end", work)
    loaded = [name for name in ("torch", "diffusers", "transformers", "peft") if name in sys.modules]
    return {"torch": "torch" in loaded, "loaded": loaded, "pid": os.getpid()}


def _spared(at: dict[str, Any]) -> bool:
    """Misbehave only once where the payload names a file to remember it by."""
    once = at.get("once")
    if not once:
        return False
    try:
        Path(once).touch(exist_ok=False)
    except FileExistsError:
        return True
    return False


def _misbehave(what: str, log: str, work: Work, step: int) -> None:
    if what == "kill":
        tell(log, "kill", work, step)
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang":
        time.sleep(3600)
    while what == "linger":  # at work in this step until somebody ends it
        time.sleep(0.05)
        work.step(step, step + 1)
    if what == "error":
        raise OSError("the disk is full")
    if what == "refuse":
        raise SynthesisError("This mask has no liver.")
