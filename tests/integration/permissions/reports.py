"""Rows about what a study's lead alone gets: live progress, and after unblinding the report and exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.integration.permissions.readings import LEADS, in_state
from tests.integration.permissions.rows import Row

REFUSED = (409,)  # the study is blinded, or its report is not computed yet: the lead is told so


def _with(*more: Any) -> Callable[[Any], tuple[Any, ...]]:
    return lambda reading: (reading.pk, *more)


PAGES: tuple[tuple[str, Callable[[Any], tuple[Any, ...]] | None, tuple[int, ...]], ...] = (
    ("GET readings:reading-report", None, ()),
    ("GET readings:report-live", None, ()),
    ("GET readings:report-print", None, REFUSED),
    ("GET readings:report-figure", _with("accuracy"), REFUSED),
    ("GET readings:reading-export", _with("answers"), REFUSED),
    ("GET readings:reading-export", _with("imrmc"), REFUSED),
    ("GET readings:reading-export", _with("json"), REFUSED),
    ("GET readings:reading-export", _with("figures"), REFUSED),
    ("POST readings:report-again", None, ()),
)
"""Address, arguments, and what the lead of an unblinded study without a report meets (empty: no error)."""

OBJECTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "another's unblinded study": ("readings.Reading", lambda _: in_state(None, "unblinded")),
}

ROWS: list[Row] = [
    Row(obj="own open study", asks="GET readings:reading-progress", may=LEADS),
    Row(obj="another's open study", asks="GET readings:reading-progress"),
    *(
        Row(obj="own unblinded study", asks=asks, args=args, may=LEADS, accepts=accepts)
        for asks, args, accepts in PAGES
    ),
    *(
        Row(obj=f"own {state} study", asks=asks, args=args, may=LEADS, accepts=REFUSED)
        for state in ("open", "closed")
        for asks, args, _ in PAGES
    ),
    *(
        Row(obj=f"another's {state} study", asks=asks, args=args)
        for state in ("open", "closed", "unblinded")
        for asks, args, _ in PAGES
    ),
]
