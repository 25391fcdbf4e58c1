"""`manage.py reap_jobs`: take jobs back from dead workers, once or for ever; every worker does it too."""

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from webapp.jobs.services import jobs_reap


class Command(BaseCommand):
    """Runs the reaper."""

    help = "Return jobs of dead or hung workers to their queue; set those aside that killed two."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define `--loop`."""
        parser.add_argument("--loop", action="store_true", help="go on every JOB_REAP_SECONDS until stopped")

    def handle(self, *args: Any, loop: bool = False, **options: Any) -> None:
        """Reap once, or again and again."""
        while True:
            taken = jobs_reap()
            if taken or not loop:
                self.stdout.write(f"{taken} job(s) taken back")
            if not loop:
                return
            close_old_connections()
            time.sleep(settings.JOB_REAP_SECONDS)
