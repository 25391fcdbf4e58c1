"""The audit trail can only be added to: by Python's guard, and by the database where Python is passed by."""

import pytest
from django.db import IntegrityError, connection, transaction

from tests import factories
from webapp.core.models import AppendOnlyError, AuditEvent
from webapp.core.selectors import audit_list_for
from webapp.core.services import audit_record

pytestmark = [pytest.mark.django_db, pytest.mark.both]


def test_an_event_says_who_what_and_to_which_object() -> None:
    actor, person = factories.person("administrator", display_name="Ada"), factories.person("clinician")
    event = audit_record(actor=actor, action="role.given", obj=person, detail={"role": "clinician"})
    event.refresh_from_db()
    assert (event.actor, event.actor_name, event.action) == (actor, "Ada", "role.given")
    assert (event.object_type, event.object_id) == ("accounts.User", str(person.pk))
    assert event.object_label == str(person)
    assert event.detail == {"role": "clinician"}


def test_without_a_person_or_an_object() -> None:
    event = audit_record(actor=None, action="site.started")
    assert (event.actor, event.actor_name, event.object_type, event.detail) == (None, "", "", {})


@pytest.mark.parametrize(
    "attempt",
    [
        lambda event: event.save(),
        lambda event: event.delete(),
        lambda event: AuditEvent.objects.all().delete(),
        lambda event: AuditEvent.objects.update(action="x"),
        lambda event: AuditEvent.objects.filter(pk=event.pk).update(actor=None),
        lambda event: AuditEvent.objects.bulk_update([event], ["action"]),
    ],
    ids=["save", "delete", "delete all", "update", "forget the actor", "bulk update"],
)
def test_python_refuses(attempt) -> None:
    event = audit_record(actor=None, action="test.happened")
    with pytest.raises(AppendOnlyError):
        attempt(event)
    assert AuditEvent.objects.get(pk=event.pk).action == "test.happened"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE core_auditevent SET action = 'forged'",
        "UPDATE core_auditevent SET detail = '{}'",
        "UPDATE core_auditevent SET at = NULL",
        "UPDATE core_auditevent SET actor_name = 'somebody else', actor_id = NULL",
        "UPDATE core_auditevent SET actor_id = (SELECT id FROM accounts_user LIMIT 1)",
        "DELETE FROM core_auditevent",
    ],
)
def test_the_database_refuses(statement: str) -> None:
    event = audit_record(actor=factories.person("administrator"), action="test.happened")
    with (
        pytest.raises(IntegrityError, match="only be added"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert AuditEvent.objects.get(pk=event.pk).action == "test.happened"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL can truncate")
def test_the_database_refuses_to_truncate() -> None:
    with (
        pytest.raises(IntegrityError, match="only be added"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("TRUNCATE core_auditevent CASCADE")


def test_deleting_a_person_keeps_what_they_did_and_their_name() -> None:
    person = factories.person("clinician", display_name="Jonas")
    event = audit_record(actor=person, action="test.happened")
    person.delete()
    event = AuditEvent.objects.get(pk=event.pk)
    assert (event.actor, event.actor_name) == (None, "Jonas")


def test_filters() -> None:
    administrator = factories.person("administrator", display_name="Ada")
    jonas = factories.person("clinician", display_name="Jonas")
    audit_record(actor=jonas, action="case.opened", obj=administrator)
    audit_record(actor=administrator, action="role.given", obj=jonas)

    def found(**filters) -> list[str]:
        return [event.action for event in audit_list_for(user=administrator, **filters)]

    assert found() == ["role.given", "case.opened"]
    assert found(person="jon") == ["case.opened"]
    assert found(person=jonas.username) == ["case.opened"]
    assert found(action="role.given") == ["role.given"]
    assert found(about="Jonas") == ["role.given"]
    assert found(about=str(administrator.pk)) == ["case.opened"]
    day = AuditEvent.objects.first().at.date()
    assert len(found(since=day, until=day)) == 2
    assert found(until=day.replace(year=day.year - 1)) == []
    assert list(audit_list_for(user=jonas)) == []
