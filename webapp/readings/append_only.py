"""The tables of what readers said and did: rows are added, never changed and never deleted."""

from webapp.core.append_only import Guard

GUARDS = tuple(
    Guard(table=f"readings_{name}", message="what a reader said or did can only be added to")
    for name in ("answer", "viewinglog", "placeevent")
)
