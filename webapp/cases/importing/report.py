"""What an import says of each file, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import Count

from webapp.cases.models import Case, ImportEntry, ImportRun, Outcome

UNEXPECTED = "Something in this file could not be handled ({}); it was left out. The log has the details."
_WRITE_EVERY = 0.5
"""Seconds between two writings of the progress."""


class Stopped(BaseException):
    """`on_step` raised; its error is the cause. No handler for damaged files may catch this."""


class Report:
    """The entries of one run; a file that has one already (a run taken up again) keeps it."""

    def __init__(self, run: ImportRun, on_step: Callable[[int, int, str], None]) -> None:
        """Read which files are reported already."""
        self.run = run
        self._on_step = on_step
        self._known: dict[str, Any] = dict(run.entries.values_list("path", "case_id"))
        self._written = 0.0
        self._last = (0, 1, "")

    def knows(self, path: str) -> bool:
        """Whether the file has its entry."""
        return path in self._known

    def add(self, path: str, outcome: str, reason: str = "", case: Case | None = None) -> None:
        """Write one file's entry."""
        self.add_all([(path, outcome, reason)], case)

    def refuse(self, path: str, reason: str) -> None:
        """Write that a file was not taken, and why."""
        self.add(path, Outcome.REFUSED, reason)

    def add_all(self, entries: Iterable[tuple[str, str, str]], case: Case | None = None) -> None:
        """Write several files' entries: (path, outcome, reason)."""
        rows = [
            ImportEntry(run=self.run, path=path, outcome=outcome, reason=reason, case=case)
            for path, outcome, reason in entries
            if path not in self._known
        ]
        ImportEntry.objects.bulk_create(rows, batch_size=500, ignore_conflicts=True)
        self._known.update({row.path: row.case_id for row in rows})

    def case_of(self, path: str) -> Any:
        """The id of the case that a file became or was found in, or None."""
        return self._known.get(path)

    def has_case(self, case_id: Any) -> bool:
        """Whether one of this run's files belongs to the case."""
        return case_id in self._known.values()

    def forget(self, paths: Iterable[str]) -> None:
        """Let go of entries whose transaction was rolled back."""
        for path in paths:
            self._known.pop(path, None)

    def step(self, done: int, total: int, message: str) -> None:
        """Tell the job and, now and then, the page.

        Raises:
            Stopped: when the job raised to stop the work.
        """
        self._last = (done, total, message)
        try:
            self._on_step(done, total, message)
        except Exception as error:
            raise Stopped from error
        now = time.monotonic()
        if now - self._written >= _WRITE_EVERY or done >= total:
            self._written = now
            counts = self.counts()
            ImportRun.objects.filter(pk=self.run.pk).update(
                done=done, total=total, message=message[:500], **counts
            )

    def confirm(self) -> None:
        """Ask the job once more, inside the transaction that keeps something, whether to go on.

        A worker that lost its lease must not commit what its successor is about to do.

        Raises:
            Stopped: when the job says no.
        """
        self.step(*self._last)

    def counts(self) -> dict[str, int]:
        """How many files had which outcome."""
        found = dict(self.run.entries.order_by().values_list("outcome").annotate(Count("pk")))
        return {outcome: found.get(outcome, 0) for outcome in Outcome.values}
