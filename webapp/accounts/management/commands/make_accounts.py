"""`manage.py make_accounts` makes one account per role and prints their passwords, this once."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from webapp.accounts.models import Role, User
from webapp.accounts.services import password_reset, person_create, roles_set


def reset_command() -> str:
    """The whole line to type for new passwords, from any folder."""
    manage = Path(settings.BASE_DIR) / "manage.py"
    is_moved = Path(settings.SEMBLANCE_HOME) != Path(settings.BASE_DIR) / "var"
    home = f"SEMBLANCE_HOME={shlex.quote(str(settings.SEMBLANCE_HOME))} " if is_moved else ""
    return home + shlex.join([sys.executable, str(manage), "make_accounts", "--reset"])


class Command(BaseCommand):
    """One account per role, named after it. A second run makes nothing and says how to get new passwords."""

    help = "Make one account per role and print their fresh passwords once; they are stored only hashed."

    def add_arguments(self, parser: CommandParser) -> None:
        """Options."""
        parser.add_argument("--reset", action="store_true", help="give every one of them a new password")
        parser.add_argument("--json", action="store_true", help="print JSON instead of a table")

    def handle(self, *args: Any, reset: bool, **options: Any) -> None:
        """Make what is missing and print what is new."""
        with transaction.atomic():
            fresh = {role: password for role in Role if (password := self._account(role, reset))}
        if options["json"]:
            self._print_json(fresh)
        else:
            self._print_table(fresh)

    def _account(self, role: Role, reset: bool) -> str:
        """The role's account as it should be; its password where that is new, else nothing."""
        user = User.objects.filter(username=role.value).first()
        if user is None:
            _user, password = person_create(
                actor=None,
                username=role.value,
                display_name=f"Demo {role.label.lower()}",
                roles=[role],
                must_change_password=False,
            )
            return password
        if not reset:
            return ""
        roles_set(actor=None, user=user, roles={*map(str, user.roles), str(role)})
        return password_reset(actor=None, user=user, must_change_password=False)

    def _print_json(self, fresh: dict[Role, str]) -> None:
        accounts = [{"role": str(role), "username": str(role), "password": fresh.get(role)} for role in Role]
        self.stdout.write(json.dumps({"fresh": bool(fresh), "accounts": accounts, "reset": reset_command()}))

    def _print_table(self, fresh: dict[Role, str]) -> None:
        if not fresh:
            names = ", ".join(str(role) for role in Role)
            self.stdout.write(
                f"The accounts exist: {names}. Their passwords are stored only hashed; "
                f"for new ones run\n  {reset_command()}"
            )
            return
        self.stdout.write("Accounts (shown this once):")
        self.stdout.write(f"  {'role':<16}{'sign-in name':<16}password")
        for role, password in fresh.items():
            self.stdout.write(f"  {role.label!s:<16}{role.value:<16}{password}")
