"""`manage.py make_demo` makes the demo dataset: phantom series with their exact labels."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.accounts.models import Role, User
from webapp.cases.demo import demo_make


class Command(BaseCommand):
    """The demo cases that are missing are made; a second run finds them and makes nothing."""

    help = "Make the demo dataset of phantom series (CT, T1, T2) with their labels."

    def add_arguments(self, parser: CommandParser) -> None:
        """Options."""
        parser.add_argument(
            "--owner",
            default=Role.DATA_MANAGER.value,
            help="sign-in name of the person who will own the dataset (default: %(default)s)",
        )

    def handle(self, *args: Any, owner: str, verbosity: int, **options: Any) -> None:
        """Make what is missing and say so."""
        person = User.objects.filter(username=owner).first()
        if person is None:
            raise CommandError(
                f"Nobody is named {owner}. Run manage.py make_accounts first, or name the owner (--owner)."
            )
        made: list[str] = []
        dataset = demo_make(owner=person, report=made.append)
        if verbosity and made:
            for sentence in made:
                self.stdout.write(sentence)
        elif verbosity:
            self.stdout.write(f"The dataset '{dataset.name}' is complete.")
