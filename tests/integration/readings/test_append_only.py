"""The database itself refuses to change or delete what a reader said or did."""

import uuid

import pytest
from django.db import DatabaseError, connection, transaction

from tests import factories_readings
from webapp.core.models import AppendOnlyError
from webapp.readings.models import Answer, PlaceEvent, ViewingLog

pytestmark = [pytest.mark.django_db, pytest.mark.both]


@pytest.fixture
def rows(storage):
    """One row of each sort."""
    study = factories_readings.launched(1, 1, 1)
    place = study.place(1)
    assignment = place.assignments.first()
    answer = Answer.objects.create(
        assignment=assignment, question="q", value={"score": 1}, seconds=1.0, submission=uuid.uuid4()
    )
    log = ViewingLog.objects.create(assignment=assignment, submission=uuid.uuid4(), log={})
    return {
        "answer": answer,
        "viewinglog": log,
        "placeevent": PlaceEvent.objects.create(place=place, kind="began"),
    }


@pytest.mark.parametrize("name", ["answer", "viewinglog", "placeevent"])
@pytest.mark.parametrize(
    "statement", ["UPDATE readings_{} SET at = at WHERE id = %s", "DELETE FROM readings_{} WHERE id = %s"]
)
def test_sql_is_refused(rows, name, statement) -> None:
    refused = pytest.raises(DatabaseError, match="can only be added to")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(name), [rows[name].pk])
    assert type(rows[name]).objects.filter(pk=rows[name].pk).exists()


@pytest.mark.parametrize("name", ["answer", "viewinglog", "placeevent"])
def test_models_refuse_too(rows, name) -> None:
    row = rows[name]
    with pytest.raises(AppendOnlyError):
        row.save()
    with pytest.raises(AppendOnlyError):
        row.delete()
    with pytest.raises(AppendOnlyError):
        type(row).objects.all().delete()
