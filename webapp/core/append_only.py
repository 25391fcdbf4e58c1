"""Triggers that let the database itself refuse to change or delete rows that may only be added.

Tables are guarded as they are registered: the audit trail here, others by the app that owns them.
Where a table refers to a person, the one change allowed is what deleting that person does: the
reference becomes empty, while their name stays. SQLite drops triggers whenever a migration rebuilds a
table, so they are put back after every `migrate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(frozen=True, kw_only=True)
class Guard:
    """One guarded table.

    columns: those that never change; empty for all. reference: the column that may become empty.
    """

    table: str
    message: str
    columns: tuple[str, ...] = ()
    reference: str = ""

    @property
    def function(self) -> str:
        """The name of the function that refuses, where the database needs one."""
        return f"{self.table}_refuse"

    def events(self, vendor: str) -> dict[str, str]:
        """Trigger name to what it fires on."""
        listed = ", ".join(f'"{column}"' for column in self.columns)
        events = {
            f"{self.table}_no_update": f'BEFORE UPDATE {f"OF {listed} " if listed else ""}ON "{self.table}"',
            f"{self.table}_no_delete": f'BEFORE DELETE ON "{self.table}"',
        }
        if self.reference:
            events[f"{self.table}_no_actor"] = f'BEFORE UPDATE OF "{self.reference}" ON "{self.table}"'
        if vendor == "postgresql":
            events[f"{self.table}_no_truncate"] = f'BEFORE TRUNCATE ON "{self.table}"'
        return events


AUDIT_TRAIL = Guard(
    table="core_auditevent",
    message="the audit trail can only be added to",
    columns=("id", "actor_name", "action", "object_type", "object_id", "object_label", "detail", "at"),
    reference="actor_id",
)
_GUARDS: dict[str, Guard] = {AUDIT_TRAIL.table: AUDIT_TRAIL}


def register(*guards: Guard) -> None:
    """Guard further tables."""
    _GUARDS.update({guard.table: guard for guard in guards})


def registered() -> tuple[Guard, ...]:
    """Every guarded table."""
    return tuple(_GUARDS.values())


def create_statements(vendor: str, guards: Sequence[Guard] | None = None) -> list[str]:
    """The SQL that makes the triggers anew, of every registered table unless some are named.

    Raises:
        ValueError: for a database that is neither SQLite nor PostgreSQL.
    """
    if vendor not in {"sqlite", "postgresql"}:
        raise ValueError(f"append-only tables are guarded on sqlite and postgresql; got {vendor!r}")
    chosen = registered() if guards is None else guards
    return [
        *drop_statements(vendor, chosen),
        *(statement for guard in chosen for statement in _created(vendor, guard)),
    ]


def _created(vendor: str, guard: Guard) -> list[str]:
    statements = []
    if vendor == "postgresql":
        statements.append(
            f"CREATE OR REPLACE FUNCTION {guard.function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"RAISE EXCEPTION '{guard.message}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
    for name, event in guard.events(vendor).items():
        condition = f'WHEN (NEW."{guard.reference}" IS NOT NULL)' if name.endswith("_no_actor") else ""
        if vendor == "sqlite":
            body = f"BEGIN SELECT RAISE(ABORT, '{guard.message}'); END"
            statements.append(f"CREATE TRIGGER {name} {event} FOR EACH ROW {condition} {body}")
        else:
            scope = "STATEMENT" if name.endswith("_no_truncate") else "ROW"
            statements.append(
                f"CREATE TRIGGER {name} {event} FOR EACH {scope} {condition} "
                f"EXECUTE FUNCTION {guard.function}()"
            )
    return statements


def drop_statements(vendor: str, guards: Sequence[Guard] | None = None) -> list[str]:
    """The SQL that takes the triggers away, if they are there."""
    chosen = registered() if guards is None else guards
    return [
        f"DROP TRIGGER IF EXISTS {name}" + (f' ON "{guard.table}"' if vendor == "postgresql" else "")
        for guard in chosen
        for name in guard.events(vendor)
    ]


def install(connection: BaseDatabaseWrapper, guards: Sequence[Guard] = (AUDIT_TRAIL,)) -> None:
    """Make the triggers of these tables anew on that database."""
    with connection.cursor() as cursor:
        for statement in create_statements(connection.vendor, guards):
            cursor.execute(statement)


def uninstall(connection: BaseDatabaseWrapper, guards: Sequence[Guard] = (AUDIT_TRAIL,)) -> None:
    """Take the triggers away, for undoing the migration that made them."""
    with connection.cursor() as cursor:
        for statement in drop_statements(connection.vendor, guards):
            cursor.execute(statement)
        if connection.vendor == "postgresql":
            for guard in guards:
                cursor.execute(f"DROP FUNCTION IF EXISTS {guard.function}()")


def reinstall_after_migrate(*, using: str, **kwargs: Any) -> None:
    """Put the triggers back where a migration may have rebuilt a table."""
    from django.db import connections

    connection = connections[using]
    there = set(connection.introspection.table_names())
    install(connection, [guard for guard in registered() if guard.table in there])
