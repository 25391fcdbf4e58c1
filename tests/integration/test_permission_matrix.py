"""Role x object x action: who may, who gets 403, who gets 404; by rule and by request."""

from importlib import import_module

import pytest

from tests.integration.permissions.rows import (
    EVERYONE,
    Row,
    outcome_of_request,
    outcome_of_rule,
    person_of,
)
from webapp.core import permissions

pytestmark = [pytest.mark.django_db, pytest.mark.once]

APPS = ("accounts", "cases", "registry", "jobs", "counterfactuals", "readings", "reports", "api")
# A module per app, and one for reports: each holds OBJECTS (name -> (model label, builder)) and ROWS.
MODULES = [import_module(f"tests.integration.permissions.{name}") for name in APPS]
OBJECTS = {name: entry for module in MODULES for name, entry in module.OBJECTS.items()}
ROWS: list[Row] = [row for module in MODULES for row in module.ROWS]


def differences(row: Row, outcome_of) -> dict[str, str]:
    """Per role, what came instead of what the row says."""
    _, build = OBJECTS[row.obj]
    found = {}
    for role in EVERYONE:
        person = person_of(role)
        came = outcome_of(row, person, build(person))
        if came != row.expected(role):
            found[role] = f"{came} instead of {row.expected(role)}"
    return found


@pytest.mark.parametrize("row", [row for row in ROWS if row.action], ids=str)
def test_rule(row: Row) -> None:
    assert not differences(row, outcome_of_rule)


@pytest.mark.parametrize("row", [row for row in ROWS if row.asks], ids=str)
def test_request(row: Row, storage) -> None:
    assert not differences(row, outcome_of_request)


def test_every_rule_has_a_row() -> None:
    covered = {(OBJECTS[row.obj][0], row.action) for row in ROWS}
    stated = {
        (model._meta.label, action) for model, rules in permissions.registered().items() for action in rules
    }
    assert not stated - covered
