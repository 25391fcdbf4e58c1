"""Everything that is checked, in order, with a table of what passed at the end: `python -m tests.suite all`.

One failing step does not hide the next. `make test`, `make lint`, `make types` and `make browser` call this.
"""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = (sys.executable,)
PYTEST = (*PYTHON, "-m", "pytest", "--durations=8", "--durations-min=2")
CHECKED = ("synthesis", "webapp", "workers", "training", "docker")
NO_TESTS = 5  # pytest's exit status when nothing was collected


@dataclass(frozen=True)
class Check:
    """One step: the group that it belongs to, what it is called, what is run."""

    group: str
    name: str
    command: tuple[str, ...]


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
    Check("types", "mypy", (*PYTHON, "-m", "mypy", *CHECKED)),
    Check("contracts", "contracts", (*PYTEST, "tests/contracts")),
    Check("frontend tests", "front end's unit tests", (*PYTHON, "frontend/build.py", "test")),
    Check("unit", "unit and property tests", (*PYTEST, "-n", "2", "tests/unit", "tests/property")),
    Check("integration", "integration, SQLite and files", (*PYTEST, "tests/integration")),
    Check(
        "both",
        "integration, PostgreSQL and Redis",
        (*PYTHON, "-m", "tests.servers", "--", *PYTEST, "-m", "both", "tests/unit", "tests/integration"),
    ),
    Check("browser", "journeys in Chromium", (*PYTEST, "tests/browser")),
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
    outcomes = [(check, *run(check)) for check in chosen]
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
    status = subprocess.run(check.command, cwd=ROOT, check=False).returncode
    if status == NO_TESTS and "pytest" in check.command:
        print(f"No test was found: {' '.join(check.command)}")
    return status, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
