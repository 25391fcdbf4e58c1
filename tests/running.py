"""The whole of Semblance as `make run` starts it, for tests and measurements: real site, real workers."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
READY = re.compile(r"Semblance is ready after ([\d.]+) s:\s+(http://\S+)/")
WELCOMED = "Ctrl-C ends it."
PATIENCE = 400.0


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Launched:
    """A started launcher: what it says, where the site is, how long it took."""

    process: subprocess.Popen[str]
    home: Path
    lines: list[str] = field(default_factory=list)
    address: str = ""
    seconds: float = 0.0

    @property
    def said(self) -> str:
        """Everything it has printed so far."""
        return "".join(self.lines)

    @property
    def passwords(self) -> dict[str, str]:
        """The fresh accounts' passwords by sign-in name, from what it printed."""
        rows = re.findall(r"^  \S.*?\s{2,}([a-z_]+)\s+(\S+)$", self.said, re.MULTILINE)
        return dict(row for row in rows if row[0] != "name")

    def wait_until_ready(self, patience: float = PATIENCE) -> None:
        """Return when it has printed the address, the accounts and its last line.

        Raises:
            RuntimeError: with all it said, when it ends first or takes longer.
        """
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            said = self.said
            found = READY.search(said)
            if found and WELCOMED in said:
                self.seconds, self.address = float(found.group(1)), found.group(2)
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        status = self.process.poll()
        why = (
            f"ended with status {status}" if status is not None else f"was not ready within {patience:.0f} s"
        )
        raise RuntimeError(f"Semblance did not start: it {why}. It said:\n{self.said}")

    def stop(self, number: int = signal.SIGINT, patience: float = 90.0) -> int:
        """End it as Ctrl-C does; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(patience)

    def processes(self) -> list[int]:
        """Every living process whose environment names this home: all that it has started."""
        marker = f"SEMBLANCE_HOME={self.home}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marker in environment and state != "Z":
                found.append(int(folder.name))
        return found

    def command_of(self, process: int) -> str:
        """A process's command line."""
        try:
            return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            return ""

    def manage(self, *arguments: str) -> str:
        """Run a management command on this home; what it prints."""
        environment = os.environ | {
            "SEMBLANCE_HOME": str(self.home),
            "DJANGO_SETTINGS_MODULE": "webapp.settings.development",
        }
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def health(self) -> dict[str, Any]:
        """The site's own report, well or not; raises OSError where the site does not answer."""
        try:
            with urllib.request.urlopen(f"{self.address}/healthz", timeout=60) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:  # 503 while a part is missing, with the same document
            return dict(json.load(error))


def launch(home: Path, *, port: int | None = None, **environment: str) -> Launched:
    """Start the launcher; it goes on in the background."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "BROKER_URL"}
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "webapp.launch"],
        cwd=ROOT,
        env=inherited
        | {"SEMBLANCE_HOME": str(home), "PORT": str(port or free_port()), "DJANGO_SETTINGS_MODULE": ""}
        | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    launched = Launched(process, home)

    def listen() -> None:
        assert process.stdout is not None
        launched.lines.extend(iter(process.stdout.readline, ""))

    threading.Thread(target=listen, daemon=True).start()
    return launched


@contextmanager
def semblance(home: Path, *, patience: float = PATIENCE, **environment: str) -> Iterator[Launched]:
    """A running Semblance on `home`, ended when the block ends; `patience` in seconds until it is ready."""
    launched = launch(home, **environment)
    try:
        launched.wait_until_ready(patience)
        yield launched
    finally:
        launched.stop()
