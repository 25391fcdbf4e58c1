"""Start all of Semblance and stay until Ctrl-C: `python3.11 -m webapp.launch`, which is what `make run` does.

Port, environment, viewer, database and demo data first; then two workers and the site; then, once all of
them answer, the address and the accounts. `python3.11 -m webapp.launch environment` makes `.venv` and ends.
"""

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from webapp.launch.environment import NO_NETWORK, PYTHON, ROOT, ensure_environment
from webapp.launch.programs import Group, Program
from webapp.launch.steps import Failed, Interrupted, ignore_signals, interrupt_on_signals, run_step, say

READY_STATES = {"ok", "empty"}  # empty: well, with nothing to offer yet, such as no model
READY_SECONDS = 1800.0  # a slow or busy machine needs minutes; a program that keeps ending is noticed at once
WAITING_SECONDS = 60.0  # between two words about what is still missing
OLDEST_PYTHON = (3, 11)


def main(arguments: list[str]) -> int:
    """Do what the arguments ask; 0 when it ended as it should."""
    began = time.monotonic()
    interrupt_on_signals()
    try:
        if sys.version_info < OLDEST_PYTHON:
            raise Failed(f"Semblance needs Python 3.11; this is {sys.version.split()[0]}.")
        if arguments == ["environment"]:
            ensure_environment()
        elif not arguments:
            _run(began)
        else:
            raise Failed(f"webapp.launch knows `environment` and nothing else; got {' '.join(arguments)}.")
    except Failed as error:
        say(f"\n{error}")
        return 1
    except Interrupted as reason:
        say(f"\nStopped ({reason}).")
        return 130
    return 0


def _run(began: float) -> None:
    host, port = _address()
    _port_is_free(host, port)
    home = Path(os.environ.get("SEMBLANCE_HOME", "").strip() or ROOT / "var").expanduser().resolve()
    _make_home(home)
    with _only_one(home):
        ensure_environment()
        environment = _environment(home)
        _build_viewer(home, environment)
        accounts = _prepare(environment)
        group = Group(_programs(host, port, home, environment))
        try:
            group.start()
            _wait_until_ready(group, host, port)
            _welcome(home, host, port, accounts, time.monotonic() - began)
            while True:
                group.check()
                time.sleep(0.5)
        except Interrupted:
            say("\nEnding Semblance.")
        finally:
            ignore_signals()
            group.stop()
        say("Everything has ended.")


# --- where


def _address() -> tuple[str, int]:
    host = os.environ.get("BIND", "").strip() or "127.0.0.1"
    text = os.environ.get("PORT", "").strip() or "8000"
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise Failed(f"PORT must be a number between 1 and 65535; it is {text!r}.")
    return host, int(text)


def _make_home(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / "logs").mkdir(exist_ok=True)
    except OSError as error:
        raise Failed(f"Semblance cannot write to {home} ({error.strerror}). Set SEMBLANCE_HOME.") from error


def _only_one(home: Path) -> IO[str]:
    """Hold the home for this launcher as long as the returned file is open."""
    file = (home / "launch.lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise Failed(
            f"Semblance is already running on {home}. End it first (Ctrl-C where it runs), "
            "or name another folder with SEMBLANCE_HOME and another PORT."
        ) from error
    return file


def _port_is_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise Failed(
                f"This user may not open port {port}. Try PORT=8000 or another above 1023."
            ) from error
        except OSError as error:
            raise Failed(
                f"Port {port} on {host} is in use already ({error.strerror}). "
                f"Start Semblance on another one: make run PORT={port + 1}"
            ) from error


# --- what


def _environment(home: Path) -> dict[str, str]:
    """This environment, the home, and threads that do not spin while they wait."""
    environment = dict(os.environ)
    environment["SEMBLANCE_HOME"] = str(home)
    if not environment.get("DJANGO_SETTINGS_MODULE"):
        environment["DJANGO_SETTINGS_MODULE"] = "webapp.settings.development"
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def _build_viewer(home: Path, environment: dict[str, str]) -> None:
    build = [str(PYTHON), "frontend/build.py"]
    if subprocess.run([*build, "--check"], cwd=ROOT, env=environment, check=False).returncode == 0:
        return
    say("Building the viewer")
    run_step(
        build,
        cwd=ROOT,
        env=environment,
        failure=f"The viewer could not be built; its last words are above. {NO_NETWORK}",
        log=home / "logs" / "viewer.log",
    )


def _prepare(environment: dict[str, str]) -> str:
    """Bring the records up to date; what is to be said of the accounts, which no file ever holds."""
    reading, writing = os.pipe()
    try:
        run_step(
            [str(PYTHON), "-m", "webapp.launch.prepare", "--accounts-to", str(writing)],
            cwd=ROOT,
            env=environment,
            failure="Preparing failed; the message is above.",
            pass_fds=(writing,),
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as accounts:
        return accounts.read()


def _programs(host: str, port: int, home: Path, environment: dict[str, str]) -> list[Program]:
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    site = ["-m", "gunicorn", "webapp.wsgi:application", "--bind", bind, "--worker-class", "gthread"]
    site += [
        "--workers",
        "2",
        "--threads",
        "8",
        "--timeout",
        "120",
        "--graceful-timeout",
        "5",
        "--keep-alive",
        "15",
    ]
    site += ["--no-control-socket", "--access-logfile", "-"]
    commands = {
        "site": site,
        "compute worker": ["-m", "workers.supervisor", "--queue", "compute"],
        "records worker": ["-m", "workers.supervisor", "--queue", "records"],
    }
    return [
        Program(name, [str(PYTHON), *command], home / "logs" / f"{name.split()[0]}.log", environment, ROOT)
        for name, command in commands.items()
    ]


# --- when


def _wait_until_ready(group: Group, host: str, port: int) -> None:
    """Return once the site answers and reports every part well; say now and then what is missing.

    Raises:
        Failed: naming the parts that did not come up in time.
    """
    say("Starting the site and the workers")
    begun = told = time.monotonic()
    missing = "the site"
    while time.monotonic() - begun < READY_SECONDS:
        group.check()
        parts = _health(host, port)
        if parts and set(parts.values()) <= READY_STATES:
            return
        missing = ", ".join(sorted(name for name, state in parts.items() if state not in READY_STATES))
        missing = missing or "the site"
        if time.monotonic() - told >= WAITING_SECONDS:
            told = time.monotonic()
            say(f"Still starting after {told - begun:.0f} s: {missing} is not there yet")
        time.sleep(0.3)
    raise Failed(
        f"Semblance did not become ready within {READY_SECONDS:.0f} s; not working: {missing}. "
        f"What the programs said is in {group.programs[0].log.parent}."
    )


def _health(host: str, port: int) -> dict[str, str]:
    """Each part of /healthz with its state; empty while the site does not answer."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        try:
            with opener.open(f"http://{name}:{port}/healthz", timeout=5) as answer:
                body = json.load(answer)
        except urllib.error.HTTPError as error:  # 503 while a part is missing, with the same document
            body = json.load(error)
    except (OSError, ValueError):
        return {}
    return {part: str(state.get("state", "")) for part, state in body.items() if isinstance(state, dict)}


def _welcome(home: Path, host: str, port: int, accounts: str, seconds: float) -> None:
    name = "localhost" if host in {"127.0.0.1", "0.0.0.0", "::", "::1"} else host  # noqa: S104
    say(f"\nSemblance is ready after {seconds:.1f} s:  http://{name}:{port}/\n")
    say(accounts.rstrip() + "\n")
    say(f"Everything it stores is in {home}. Ctrl-C ends it.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
