"""Triggers that let the database itself refuse to change or delete rows of the audit trail.

The one change allowed is what deleting a person does: the reference to them becomes empty, while
their name stays. SQLite drops triggers whenever a migration rebuilds a table, so they are put
back after every `migrate`.
"""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "core_auditevent"
REFERENCE = "actor_id"
COLUMNS = ("id", "actor_name", "action", "object_type", "object_id", "object_label", "detail", "at")
MESSAGE = "the audit trail can only be added to"
_LISTED = ", ".join(f'"{column}"' for column in COLUMNS)
_FUNCTION = f"{TABLE}_refuse"


def _events(vendor: str) -> dict[str, str]:
    """Trigger name to what it fires on."""
    events = {
        f"{TABLE}_no_update": f'BEFORE UPDATE OF {_LISTED} ON "{TABLE}"',
        f"{TABLE}_no_actor": f'BEFORE UPDATE OF "{REFERENCE}" ON "{TABLE}"',
        f"{TABLE}_no_delete": f'BEFORE DELETE ON "{TABLE}"',
    }
    if vendor == "postgresql":
        events[f"{TABLE}_no_truncate"] = f'BEFORE TRUNCATE ON "{TABLE}"'
    return events


def create_statements(vendor: str) -> list[str]:
    """The SQL that makes the triggers anew.

    Raises:
        ValueError: for a database that is neither SQLite nor PostgreSQL.
    """
    if vendor not in {"sqlite", "postgresql"}:
        raise ValueError(f"the audit trail is guarded on sqlite and postgresql; got {vendor!r}")
    statements = drop_statements(vendor)
    if vendor == "postgresql":
        statements.append(
            f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
    for name, event in _events(vendor).items():
        condition = f'WHEN (NEW."{REFERENCE}" IS NOT NULL)' if name.endswith("_no_actor") else ""
        if vendor == "sqlite":
            body = f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
            statements.append(f"CREATE TRIGGER {name} {event} FOR EACH ROW {condition} {body}")
        else:
            scope = "STATEMENT" if name.endswith("_no_truncate") else "ROW"
            statements.append(
                f"CREATE TRIGGER {name} {event} FOR EACH {scope} {condition} EXECUTE FUNCTION {_FUNCTION}()"
            )
    return statements


def drop_statements(vendor: str) -> list[str]:
    """The SQL that takes the triggers away, if they are there."""
    place = f' ON "{TABLE}"' if vendor == "postgresql" else ""
    return [f"DROP TRIGGER IF EXISTS {name}{place}" for name in _events(vendor)]


def install(connection: BaseDatabaseWrapper) -> None:
    """Make the triggers anew on that database."""
    with connection.cursor() as cursor:
        for statement in create_statements(connection.vendor):
            cursor.execute(statement)


def uninstall(connection: BaseDatabaseWrapper) -> None:
    """Take the triggers away, for undoing the migration that made them."""
    with connection.cursor() as cursor:
        for statement in drop_statements(connection.vendor):
            cursor.execute(statement)
        if connection.vendor == "postgresql":
            cursor.execute(f"DROP FUNCTION IF EXISTS {_FUNCTION}()")


def reinstall_after_migrate(*, using: str, **kwargs: Any) -> None:
    """Put the triggers back where a migration may have rebuilt the table."""
    from django.db import connections

    connection = connections[using]
    if TABLE in connection.introspection.table_names():
        install(connection)
