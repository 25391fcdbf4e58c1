"""`manage.py create_api_token USER` prints a new API token of that person, this once."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from webapp.accounts.models import User
from webapp.accounts.services import token_create
from webapp.core.errors import ApplicationError


class Command(BaseCommand):
    """Prints the token alone, so that a script can keep it: TOKEN=$(manage.py create_api_token ada)."""

    help = "Print a new API token for USER. It is shown this once; only its hash is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        """USER and options."""
        parser.add_argument("username", metavar="USER", help="the person's sign-in name")
        parser.add_argument("--name", default="command line", help="what the token is for")
        parser.add_argument("--days", type=int, default=None, help="valid for so many days; no end otherwise")

    def handle(self, *args: Any, username: str, name: str, days: int | None, **options: Any) -> None:
        """Make the token and print it.

        Raises:
            CommandError: when there is no such person, or they are deactivated.
        """
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is nobody called “{username}”.")
        if days is not None and days < 1:
            raise CommandError("--days must be 1 or more.")
        expires_at = timezone.now() + timedelta(days=days) if days is not None else None
        try:
            _, plaintext = token_create(user=user, name=name, expires_at=expires_at)
        except ApplicationError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(plaintext)
