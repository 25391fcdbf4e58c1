"""Bring database, static files, model and demo data up to date: one process, run before the programs start.

Each part is skipped where it is done already, so that a later start takes seconds. `--without-demo` leaves
out the demo data and the demo accounts (a real deployment has its own people and cases).
"""

import argparse
import hashlib
import io
import os
import sys
from pathlib import Path

import django
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command

SHIPPED_MODEL = "abdomen-2d"


def main(arguments: list[str]) -> int:
    """Do all of it in order; 0 when it is done, 1 after a plain sentence where something cannot be."""
    django.setup()
    options = _options(arguments)
    try:
        call_command("migrate", interactive=False, verbosity=0)
        _collect_static()
        _install_models()
        if not options.without_demo:
            _make_accounts(options.accounts_to)
            call_command("make_demo", verbosity=1)
            call_command("make_demo_reading", verbosity=1)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="webapp.launch.prepare", description=__doc__)
    parser.add_argument("--without-demo", action="store_true")
    parser.add_argument(
        "--accounts-to", type=int, help="file descriptor for what is to be said of the accounts"
    )
    return parser.parse_args(arguments)


def _make_accounts(descriptor: int | None) -> None:
    """One account per role. The passwords go to the terminal or the launcher, and into no file."""
    said = io.StringIO()
    call_command("make_accounts", verbosity=1, stdout=said)
    if descriptor is None:
        print(said.getvalue(), flush=True)
    else:
        with os.fdopen(descriptor, "w", encoding="utf-8") as launcher:
            launcher.write(said.getvalue())


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


def _install_models() -> None:
    """Install the shipped model, whatever else lies as a model beside it, and then their adapters."""
    folder = Path(settings.WEIGHTS_DIR) / SHIPPED_MODEL
    if not (folder / "model.safetensors").is_file():
        print(f"The shipped model is not in {folder}: `make train-demo` makes it.", flush=True)
    others = sorted(path.parent for path in folder.parent.glob("*/model.safetensors"))
    adapters = sorted(path.parent for path in folder.parent.glob("*/adapter_model.safetensors"))
    for one in [*sorted(others, key=lambda path: path != folder), *adapters]:
        _install_model(one)


def _install_model(folder: Path) -> None:
    try:
        call_command("install_model", str(folder), now=True, verbosity=1)
    except CommandError as error:
        if not apps.get_model("registry.GenerativeModel").objects.filter(is_active=True).exists():
            raise
        print(f"The model in {folder} was not installed: {error} The earlier ones stay.", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
