"""The numbers behind a figure: a small table that the page, the exports and the tests all read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.readings.figures.forest import Row

Cell = str | int | float | None


@dataclass(frozen=True)
class Sheet:
    """Columns with their units in the names, and one row per mark in the figure; None where unknown."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def shown(self) -> list[list[str]]:
        """The cells as the page prints them."""
        return [[_shown(cell) for cell in row] for row in self.rows]


def _shown(cell: Cell) -> str:
    if cell is None:
        return "not known"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def interval_row(label: str, figure: Mapping[str, Any], *, is_pooled: bool = False) -> Row:
    """A row of a forest plot from a figure of the analysis."""
    return Row(label, figure["value"], figure["low"], figure["high"], is_pooled)


def interval_cells(figure: Mapping[str, Any]) -> list[Cell]:
    """value, low, high, n of a figure of the analysis."""
    return [figure["value"], figure["low"], figure["high"], figure["n"]]


INTERVAL = ("value", "low (95%)", "high (95%)", "answers")
