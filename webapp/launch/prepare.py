"""Bring database, static files, model and demo data up to date: one process, run before the programs start.

Each part is skipped where it is done already, so that a later start takes seconds. `--without-demo` leaves
out the demo data and the demo accounts (a real deployment has its own people and cases).
"""

import hashlib
import io
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import CommandError, call_command

SHIPPED_MODEL = "abdomen-2d"


def main(arguments: list[str]) -> int:
    """Do all of it in order; 0 when it is done, 1 after a plain sentence where something cannot be."""
    django.setup()
    try:
        call_command("migrate", interactive=False, verbosity=0)
        _collect_static()
        _install_model()
        if "--without-demo" not in arguments:
            call_command("make_accounts", verbosity=1)
            call_command("make_demo", verbosity=1)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _collect_static() -> None:
    """Collect the static files when the viewer, the packages or the site's own files changed."""
    stamp = Path(settings.STATIC_ROOT) / ".collected"
    wanted = _static_fingerprint()
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return
    print("Collecting the static files", flush=True)
    call_command("collectstatic", interactive=False, clear=True, verbosity=0, stdout=io.StringIO())
    stamp.write_text(wanted, encoding="ascii")


def _static_fingerprint() -> str:
    root = Path(settings.BASE_DIR)
    digest = hashlib.sha256()
    sources = [root / "requirements.txt", root / "frontend" / "dist" / ".inputs"]
    sources += [path for path in (root / "webapp").glob("*/static/**/*") if path.is_file()]
    for path in sorted(sources):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes() if path.is_file() else b"absent")
    return digest.hexdigest()


def _install_model() -> None:
    folder = Path(settings.WEIGHTS_DIR) / SHIPPED_MODEL
    if not (folder / "model.safetensors").is_file():
        print(f"The shipped model is not in {folder}: `make train-demo` makes it.", flush=True)
        return
    call_command("install_model", str(folder), now=True, verbosity=1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
