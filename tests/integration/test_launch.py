"""`make run` itself: it opens, starts again in place, ends all it started, and says what is in its way."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.jobs.conftest import wait_for
from tests.running import ROOT, Launched, free_port, launch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose path has a space."""
    return tmp_path_factory.mktemp("a home")


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Launched]:
    """A started Semblance."""
    launched = launch(home)
    try:
        launched.wait_until_ready()
        yield launched
    finally:
        launched.stop()


def report(running: Launched) -> dict[str, Any]:
    """The site's report, or why there is none."""
    try:
        return running.health()
    except OSError as error:
        return {"state": repr(error)}


def wait_until_well(running: Launched) -> None:
    """Each process of the site remembers its report for half a second, also that of a while ago."""
    wait_for(
        lambda: report(running)["state"] == "ok", why=lambda: f"not well: {report(running)}\n{running.said}"
    )


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # As from a terminal: below `make test` this would be a sub-make, which speaks of directories.
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=outside | environment, capture_output=True, text=True, timeout=300
    )


def test_it_says_where_it_is_and_who_can_sign_in(running: Launched) -> None:
    roles = {"clinician", "annotator", "study_lead", "data_manager", "researcher", "administrator"}
    assert set(running.passwords) == roles
    assert len(set(running.passwords.values())) == len(roles)
    wait_until_well(running)
    assert {"database", "broker", "storage", "worker", "model"} <= set(running.health())


def test_all_state_lies_in_the_home(running: Launched, home: Path) -> None:
    held = {path.name for path in home.iterdir()}
    assert {"db.sqlite3", "storage", "broker", "static", "logs", "secret-key"} <= held
    assert (home / "secret-key").stat().st_mode & 0o077 == 0
    passwords = [password.encode() for password in running.passwords.values()]
    for path in home.rglob("*"):
        if path.is_file() and path.stat().st_size < 50_000_000:
            content = path.read_bytes()
            assert not any(password in content for password in passwords), f"{path} holds a password"


def test_a_second_launcher_on_the_same_home_is_refused(running: Launched, home: Path) -> None:
    second = make("run", SEMBLANCE_HOME=str(home), PORT=str(free_port()))
    assert second.returncode != 0
    assert "already running" in second.stdout


def test_a_fallen_site_is_started_again(running: Launched) -> None:
    master = [
        process
        for process in running.processes()
        if "gunicorn" in running.command_of(process) and os.getpgid(process) == process
    ]
    assert len(master) == 1
    os.kill(master[0], signal.SIGKILL)
    wait_for(lambda: "The site ended (SIGKILL); starting it again." in running.said, why="nobody says so")

    wait_until_well(running)


def test_ctrl_c_ends_everything_and_the_next_start_finds_it_done(running: Launched, home: Path) -> None:
    assert len(running.processes()) >= 5
    status = running.stop(signal.SIGINT)
    assert status == 0
    assert "Everything has ended." in running.said
    assert running.processes() == []

    again = launch(home)
    try:
        again.wait_until_ready()
        assert "Collecting" not in again.said
        assert "Installing" not in again.said
        assert again.passwords == {}
        assert "make_accounts --reset" in again.said
        assert again.stop(signal.SIGTERM) == 0
    finally:
        again.stop()
    wait_for(lambda: again.processes() == [], why="something is left")


def test_a_killed_launcher_leaves_nothing_behind(home: Path) -> None:
    launched = launch(home)
    launched.wait_until_ready()
    launched.process.kill()
    launched.process.wait()
    wait_for(lambda: launched.processes() == [], why="not every program ended with it")


def test_a_port_in_use_is_said_before_anything_else(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = make("run", PORT=str(port), SEMBLANCE_HOME=str(tmp_path / "untouched"))
    assert done.returncode != 0
    assert done.stdout.strip().startswith(f"Port {port} on 127.0.0.1 is in use already")
    assert f"make run PORT={port + 1}" in done.stdout
    assert not (tmp_path / "untouched").exists()


@pytest.mark.parametrize("port", ["0", "abc", "99999"])
def test_a_port_that_is_none(port: str, tmp_path: Path) -> None:
    done = make("run", PORT=port, SEMBLANCE_HOME=str(tmp_path))
    assert done.returncode != 0
    assert "PORT must be a number between 1 and 65535" in done.stdout


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = make("run", PORT=str(free_port()), SEMBLANCE_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode != 0
    assert "cannot write to" in done.stdout


def test_without_a_python_make_says_what_to_install() -> None:
    done = make("run", "PYTHON=")
    assert done.returncode != 0
    assert "Semblance needs Python 3.11" in done.stdout
