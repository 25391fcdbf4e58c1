"""`manage.py install_model PATH`: check a model or an adapter and offer it to all who may ask for images."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from webapp.accounts.models import Role, User
from webapp.core.errors import ApplicationError
from webapp.registry.adapter_files import is_adapter, read_about
from webapp.registry.services import model_install, model_install_submit
from webapp.registry.services_adapters import adapter_install, adapter_install_submit

OFFERED = "It is installed, and offered in the form."
WITHDRAWN = "It is installed, but not offered: it, or its model, was withdrawn. Offer it on its page."


class Command(BaseCommand):
    """Hand the installation to a worker and wait for it, or do it here with --now."""

    help = (
        "Install a model: a folder with model.safetensors and card.md, or a .safetensors file. Or an adapter "
        "of an installed model: a folder with adapter_model.safetensors, adapter_config.json and "
        "recipe.json. A folder of diffusers, or a .safetensors file from elsewhere, is converted first "
        "(docs/backbones.md)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The command line."""
        parser.add_argument("path", type=Path)
        parser.add_argument("--about", type=Path, help="YAML with what files from elsewhere do not say")
        parser.add_argument("--now", action="store_true", help="install in this process, without a worker")
        parser.add_argument("--user", help="in whose name (default: the first data manager)")
        parser.add_argument("--timeout", type=float, default=3600.0, help="seconds to wait for the worker")

    def handle(self, *args: Any, **options: Any) -> None:
        """Install, and say what came of it."""
        path = Path(options["path"]).expanduser().resolve()
        try:
            about = read_about(options["about"]) if options["about"] else {}
            if options["now"]:
                user = _person(options["user"]) if options["user"] else None
                done: Any
                if is_adapter(path):
                    done = adapter_install(path=path, user=user, about=about)
                else:
                    done = model_install(path=path, user=user)
                self._say(options, f"{done} is installed (SHA-256 {done.weights_sha256[:12]}…).")
                return
            person = _person(options["user"])
            if is_adapter(path):
                job = adapter_install_submit(user=person, path=path, about=about)
            else:
                folder = str(options["about"].resolve().parent) if options["about"] else ""
                job = model_install_submit(user=person, path=path, about=about, about_folder=folder)
        except ApplicationError as error:
            raise CommandError(error.message) from error
        self._say(options, f"Job {job.pk} is waiting for a worker.")
        self._wait(job, options)

    def _wait(self, job: Any, options: dict[str, Any]) -> None:
        deadline = time.monotonic() + options["timeout"]
        told = ""
        while time.monotonic() < deadline:
            job.refresh_from_db()
            if job.message not in ("", told):
                told = job.message
                self._say(options, f"{told} …")
            if job.state == "succeeded":
                self._say(options, OFFERED if job.outcome.get("offered") else WITHDRAWN)
                return
            if job.state in {"failed", "cancelled"}:
                raise CommandError(job.error_message or f"The job ended as {job.state}.")
            time.sleep(0.2)
        raise CommandError(
            f"The job is {job.state} after {options['timeout']:.0f} s. See it on the Jobs page. "
            "If it still waits, no compute worker is running."
        )

    def _say(self, options: dict[str, Any], text: str) -> None:
        if options["verbosity"]:
            self.stdout.write(text)


def _person(username: str | None) -> User:
    if username:
        found = User.objects.filter(username=username).first()
        if found is None:
            raise CommandError(f"There is no account named {username}.")
        return found
    holders = User.objects.filter(is_active=True, role_grants__role=Role.DATA_MANAGER).order_by("created_at")
    found = holders.first() or User.objects.filter(is_active=True, is_superuser=True).first()
    if found is None:
        raise CommandError("There is no data manager yet: name a person with --user, or use --now.")
    return found
