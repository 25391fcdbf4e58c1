"""People, roles and passwords: what is done, what is refused, and what the audit trail says of it."""

import threading

import pytest
from django.db import connection

from tests import factories
from webapp.accounts.models import Role, RoleGrant, User
from webapp.accounts.selectors import person_get_for, person_list_for
from webapp.accounts.services import (
    password_make,
    password_reset,
    person_activate,
    person_create,
    person_deactivate,
    roles_set,
)
from webapp.core.errors import ApplicationError, Conflict, NotVisible
from webapp.core.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.both]


def audited() -> list[tuple[str, str]]:
    return [(event.action, event.object_label) for event in AuditEvent.objects.order_by("at")]


def test_a_person_is_made_with_roles_and_a_password_that_must_be_changed() -> None:
    administrator = factories.person("administrator")
    person, password = person_create(
        actor=administrator, username="ada", display_name="Ada", roles=["clinician", "researcher"]
    )
    person = User.objects.get(pk=person.pk)
    assert person.check_password(password)
    assert password not in person.password
    assert person.must_change_password
    assert person.roles == {Role.CLINICIAN, Role.RESEARCHER}
    assert set(person.role_grants.values_list("granted_by", flat=True)) == {administrator.pk}
    assert audited() == [("person.created", "Ada"), ("role.given", "Ada"), ("role.given", "Ada")]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"username": "ada"}, "username"),
        ({"username": ""}, "username"),
        ({"username": "with blank"}, "username"),
        ({"username": "bo", "email": "not an address"}, "email"),
        ({"username": "bo", "password": "short"}, "password"),
        ({"username": "bo", "roles": ["emperor"]}, "roles"),
    ],
)
def test_what_cannot_be_is_refused_in_words(values: dict, field: str) -> None:
    factories.person(username="ada")
    with pytest.raises(ApplicationError) as refused:
        person_create(actor=None, **values)
    assert refused.value.field == field
    assert refused.value.message.endswith(".")
    assert User.objects.count() == 1


def test_passwords_are_long_and_differ() -> None:
    made = {password_make() for _ in range(200)}
    assert len(made) == 200
    assert all(len(password) == 19 and not set(password) & set("0O1lI") for password in made)


def test_roles_are_given_and_taken() -> None:
    person = factories.person("clinician", "annotator")
    roles_set(actor=None, user=person, roles=["clinician", "researcher"])
    assert person.roles == {Role.CLINICIAN, Role.RESEARCHER}
    assert [(event.action, event.detail) for event in AuditEvent.objects.order_by("at")] == [
        ("role.given", {"role": "researcher"}),
        ("role.taken", {"role": "annotator"}),
    ]


def test_a_role_is_held_once() -> None:
    person = factories.person("clinician")
    roles_set(actor=None, user=person, roles=["clinician", "clinician"])
    assert RoleGrant.objects.filter(user=person).count() == 1


def test_the_last_administrator_stays() -> None:
    last = factories.person("administrator")
    factories.person("administrator", is_active=False)
    with pytest.raises(Conflict, match="last active administrator"):
        roles_set(actor=last, user=last, roles=[])
    with pytest.raises(Conflict, match="last active administrator"):
        person_deactivate(actor=factories.person("clinician"), user=last)
    last.refresh_from_db()
    assert last.is_active
    assert last.has_role("administrator")


def test_with_a_second_administrator_the_first_may_go() -> None:
    first, second = factories.person("administrator"), factories.person("administrator")
    roles_set(actor=first, user=first, roles=["clinician"])
    assert first.roles == {Role.CLINICIAN}
    with pytest.raises(Conflict):
        roles_set(actor=first, user=second, roles=[])


def test_nobody_closes_their_own_account() -> None:
    first = factories.person("administrator")
    factories.person("administrator")
    with pytest.raises(Conflict, match="yourself"):
        person_deactivate(actor=first, user=first)


def test_an_account_is_closed_and_opened() -> None:
    administrator, person = factories.person("administrator"), factories.person("clinician")
    person_deactivate(actor=administrator, user=person)
    assert not User.objects.get(pk=person.pk).is_active
    person_activate(actor=administrator, user=person)
    assert User.objects.get(pk=person.pk).is_active
    assert [action for action, _ in audited()] == ["person.deactivated", "person.activated"]


def test_a_password_reset_ends_the_old_one() -> None:
    person = factories.person("clinician")
    password = password_reset(actor=None, user=person)
    person.refresh_from_db()
    assert person.check_password(password)
    assert not person.check_password(factories.PASSWORD)
    assert person.must_change_password


@pytest.mark.django_db(transaction=True)
def test_two_administrators_cannot_remove_each_other_at_once() -> None:
    pair = [factories.person("administrator"), factories.person("administrator")]
    together = threading.Barrier(2, timeout=120)
    outcomes: list[str] = []

    def remove(actor: User, other: User) -> None:
        try:
            together.wait()
            person_deactivate(actor=actor, user=User.objects.get(pk=other.pk))
            outcomes.append("done")
        except Conflict:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [
        threading.Thread(target=remove, args=(pair[0], pair[1])),
        threading.Thread(target=remove, args=(pair[1], pair[0])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=240)
    assert sorted(outcomes) == ["done", "refused"]
    assert User.objects.filter(is_active=True).count() == 1


def test_who_sees_whom() -> None:
    administrator, clinician = factories.person("administrator"), factories.person("clinician")
    assert set(person_list_for(user=administrator)) == {administrator, clinician}
    assert set(person_list_for(user=clinician)) == {clinician}
    with pytest.raises(NotVisible):
        person_get_for(user=administrator, id="00000000-0000-0000-0000-000000000000")


def test_people_are_found_by_name_role_and_state() -> None:
    administrator = factories.person("administrator")
    ada = factories.person("clinician", "researcher", display_name="Ada Reyes", email="ada@example.org")
    closed = factories.person("clinician", is_active=False)

    def found(**filters) -> set[User]:
        return set(person_list_for(user=administrator, **filters))

    assert found(search="reyes") == found(search="example.org") == found(role="researcher") == {ada}
    assert found(role="clinician") == {ada, closed}
    assert found(role="clinician", state="active") == {ada}
    assert found(state="closed") == {closed}
