"""One account per role on the first start; a second start changes nothing."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from tests import factories
from webapp.accounts.models import User

pytestmark = pytest.mark.django_db


def run(*options: str) -> str:
    out = StringIO()
    call_command("make_accounts", *options, stdout=out)
    return out.getvalue()


def passwords(text: str) -> dict[str, str]:
    return {entry["username"]: entry["password"] for entry in json.loads(text)["accounts"]}


def test_every_role_gets_an_account_whose_password_works() -> None:
    made = passwords(run("--json"))
    assert set(made) == set(factories.ROLES)
    for username, password in made.items():
        user = User.objects.get(username=username)
        assert user.check_password(password)
        assert [str(role) for role in user.roles] == [username]
        assert not user.must_change_password
        assert not user.is_superuser


def test_the_table_shows_each_name_and_password() -> None:
    text = run()
    for user in User.objects.all():
        line = next(line for line in text.splitlines() if f" {user.username} " in line)
        assert user.check_password(line.split()[-1])


def test_a_second_start_changes_nothing_and_says_how_to_get_new_passwords() -> None:
    first = passwords(run("--json"))
    again = json.loads(run("--json"))
    assert again["fresh"] is False
    assert {entry["password"] for entry in again["accounts"]} == {None}
    text = run()
    assert "--reset" in text
    assert not any(password in text for password in first.values())
    assert all(User.objects.get(username=name).check_password(word) for name, word in first.items())


def test_reset_gives_new_passwords() -> None:
    first = passwords(run("--json"))
    second = passwords(run("--json", "--reset"))
    assert set(first.values()).isdisjoint(second.values())
    assert all(User.objects.get(username=name).check_password(word) for name, word in second.items())


def test_a_missing_account_is_made_beside_the_others() -> None:
    run()
    User.objects.get(username="annotator").delete()
    made = passwords(run("--json"))
    assert [name for name, password in made.items() if password] == ["annotator"]
