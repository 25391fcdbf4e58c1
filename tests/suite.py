"""Everything that is checked, in order, with a table of what passed at the end: `python -m tests.suite all`.

One failing step does not hide the next. `make test`, `make lint`, `make types` and `make browser` call this.
Long steps share the machine's cores between two processes (pytest-xdist, see tests/conftest.py); the type
check, which can use one alone, runs beside the steps before it, and what it says is shown in its place.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = (sys.executable,)
PYTEST = (*PYTHON, "-m", "pytest", "--durations=8", "--durations-min=2")
# Two processes: by file, whose tests share what is made once; or by test, where one file is nearly all.
BY_FILE = (*PYTEST, "-n", "2", "--dist", "loadfile")
BY_TEST = (*PYTEST, "-n", "2", "--dist", "load")
# One thread per process: on networks of a few channels more of them only wait for each other.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", **os.environ}
CHECKED = ("synthesis", "webapp", "workers", "training", "docker")
ON_SERVERS = ("tests/unit/webapp", "tests/integration")  # where tests marked `both` or `once` lie
NO_TESTS = 5  # pytest's exit status when nothing was collected


@dataclass(frozen=True)
class Check:
    """One step: the group that it belongs to, what it is called, what is run.

    beside: begun first and run beside the steps that come before it.
    """

    group: str
    name: str
    command: tuple[str, ...]
    beside: bool = False


CHECKS = (
    Check("frontend", "build of the front end", (*PYTHON, "frontend/build.py")),
    Check("lint", "format", (*PYTHON, "-m", "ruff", "format", "--check", ".")),
    Check("lint", "lint", (*PYTHON, "-m", "ruff", "check", ".")),
    Check(
        "lint",
        "migrations complete",
        (
            *PYTHON,
            "manage.py",
            "makemigrations",
            "--check",
            "--dry-run",
            "--settings",
            "webapp.settings.test",
        ),
    ),
    Check("lint", "import directions", (*PYTHON, "-m", "pytest", "-q", "tests/contracts/test_imports.py")),
    Check("lint", "TypeScript", (*PYTHON, "frontend/build.py", "types")),
    Check("contracts", "contracts", (*PYTEST, "tests/contracts")),
    Check("frontend tests", "front end's unit tests", (*PYTHON, "frontend/build.py", "test")),
    Check("types", "mypy", (*PYTHON, "-m", "mypy", *CHECKED), beside=True),
    Check("unit", "unit and property tests", (*BY_FILE, "tests/unit", "tests/property")),
    Check("integration", "integration, SQLite and files", (*BY_FILE, "-m", "not once", "tests/integration")),
    Check(
        "both",
        "integration, PostgreSQL and Redis",
        (*PYTHON, "-m", "tests.servers", "--", *BY_TEST, "-m", "both or once", *ON_SERVERS),
    ),
    Check("browser", "journeys in Chromium", (*BY_FILE, "tests/browser")),
)
GROUPS = {
    "all": {check.group for check in CHECKS},
    "lint": {"lint"},
    "types": {"types"},
    "browser": {"frontend", "browser"},
}


def main(arguments: list[str]) -> int:
    """Run the checks of the named group (or single group); 0 when all of them passed."""
    wanted = arguments[0] if arguments else "all"
    groups = GROUPS.get(wanted, {wanted})
    chosen = [check for check in CHECKS if check.group in groups]
    if not chosen:
        known = ", ".join(sorted(GROUPS | {check.group: set() for check in CHECKS}))
        print(f"There is no group {wanted}; known are {known}.", file=sys.stderr)
        return 2
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        begun = {check.name: pool.submit(run_beside, check) for check in chosen if check.beside}
        outcomes = [
            (check, *(show(check, begun[check.name]) if check.beside else run(check))) for check in chosen
        ]
    print(f"\n{'check':<36} {'result':<8} seconds")
    for check, status, seconds in outcomes:
        print(f"{check.name:<36} {'passed' if status == 0 else 'FAILED':<8} {seconds:7.1f}")
    failed = [check.name for check, status, _ in outcomes if status]
    print(
        f"\n{'FAILED: ' + ', '.join(failed) if failed else 'All passed'} in {time.monotonic() - began:.0f} s."
    )
    return 1 if failed else 0


def run(check: Check) -> tuple[int, float]:
    """Run one check with its output on the terminal; its status and how long it took."""
    print(f"\n=== {check.name}", flush=True)
    began = time.monotonic()
    status = subprocess.run(check.command, cwd=ROOT, env=ENVIRONMENT, check=False).returncode
    if status == NO_TESTS and "pytest" in check.command:
        print(f"No test was found: {' '.join(check.command)}")
    return status, time.monotonic() - began


def run_beside(check: Check) -> tuple[int, float, str]:
    """Run one check beside others; its status, how long it took, and what it said."""
    began = time.monotonic()
    done = subprocess.run(
        check.command,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, time.monotonic() - began, done.stdout.decode(errors="replace")


def show(check: Check, running: Future[tuple[int, float, str]]) -> tuple[int, float]:
    """Wait for a check that runs beside others and print what it said."""
    print(f"\n=== {check.name}", flush=True)
    status, seconds, said = running.result()
    print(said, end="", flush=True)
    return status, seconds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
