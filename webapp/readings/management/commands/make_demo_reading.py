"""`manage.py make_demo_reading` makes the demo reader study: simulated readers on phantom cases."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.accounts.models import Role, User
from webapp.readings.demo import demo_reading_make


class Command(BaseCommand):
    """A finished study for the study lead's account; a second run finds it and makes nothing."""

    help = "Make the demo reader study: finished, with simulated readers on phantom cases."

    def add_arguments(self, parser: CommandParser) -> None:
        """Options."""
        parser.add_argument(
            "--owner",
            default=Role.DATA_MANAGER.value,
            help="sign-in name of the person who will own the dataset of its slices (default: %(default)s)",
        )
        parser.add_argument(
            "--lead",
            default=Role.STUDY_LEAD.value,
            help="sign-in name of the person who will lead the study (default: %(default)s)",
        )

    def handle(self, *args: Any, owner: str, lead: str, verbosity: int, **options: Any) -> None:
        """Make it where it is missing, and say so."""
        made: list[str] = []
        reading = demo_reading_make(owner=_person(owner), lead=_person(lead), report=made.append)
        if verbosity:
            self.stdout.write(made[0] if made else f"The reader study '{reading.title}' is there.")


def _person(name: str) -> User:
    person = User.objects.filter(username=name).first()
    if person is None:
        raise CommandError(
            f"Nobody is named {name}. Run manage.py make_accounts first, or name somebody else."
        )
    return person
