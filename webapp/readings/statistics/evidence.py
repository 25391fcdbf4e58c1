"""The page docs/evidence/readings.md from the counts of a simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from webapp.readings.statistics.proportion import wilson

Counts = dict[str, float]
COVERED = ("accuracy", "sensitivity", "specificity", "auc")
GOAL = (0.93, 0.97)
MOST_ERROR = 0.055


class Row(Protocol):
    """What the page says of a cell."""

    @property
    def design(self) -> str:
        """The design in words."""

    @property
    def population(self) -> str:
        """ "one", "alike" or "different"."""

    @property
    def accuracy(self) -> float:
        """The true mean accuracy."""


def page(rows: Sequence[tuple[Row, Counts]], *, studies: int, seed: int) -> str:
    """The whole page: what was done, the two tables, and what falls outside the goals."""
    return "\n".join(
        [
            *_opening(studies, seed),
            *_short(rows),
            "",
            *_coverage(rows),
            "",
            *_errors(rows),
            "",
            *_published(rows),
            "",
            *_verdict(rows),
            "",
        ]
    )


def coverage(counts: Counts, name: str) -> float | None:
    """The share of intervals that hold the true value, None where none was made."""
    known = counts.get(f"{name}_known", 0.0)
    return counts[f"{name}_covered"] / known if known else None


def _opening(studies: int, seed: int) -> list[str]:
    error = wilson(0.95 * studies, studies)
    return [
        "# Reader studies: do the intervals cover?",
        "",
        f"Printed by `python -m webapp.readings.statistics.simulate --studies {studies} --seed {seed} "
        "--write docs/evidence/readings.md` (an hour of a busy core).",
        "",
        f"Each row is {studies} simulated studies through the same code as the report. Readers follow the "
        f"probit mixed "
        "model of Roe and Metz (Acad Radiol 1997;4:298-303) with a personal leaning added: variances case "
        "0.3, reader "
        "by case 0.2, error 0.5; readers *alike*: leaning 0.02, skill 0.0055; readers who are *different*: "
        "leaning "
        "0.2, skill 0.056. Confidence is in six levels. A single reader is taken as they are, and only the "
        "items are "
        "drawn anew.",
        "",
        f"An exact 95% interval would give {100 * float(error.low or 0):.1f}% to "
        f"{100 * float(error.high or 1):.1f}% "
        f"here nineteen times in twenty (n = {studies}). The goal is 93% to 97%.",
        "",
    ]


def _short(rows: Sequence[tuple[Row, Counts]]) -> list[str]:
    """The range of coverage by design, and the largest error: what the tables come to."""
    ranges: dict[str, list[float]] = {}
    for row, counts in rows:
        known = [coverage(counts, name) for name in COVERED]
        ranges.setdefault(row.design, []).extend(share for share in known if share is not None)
    worst = [
        (_declared(counts, name) or 0.0, f"{row.design}, {row.population}, {name}")
        for row, counts in rows
        for name in ("accuracy", "auc")
        if row.accuracy != 0.5
    ]
    lines = ["## In short", "", "| design | lowest coverage | highest coverage |", "|---|---|---|"]
    lines += [
        f"| {design} | {_percent(min(shares))} | {_percent(max(shares))} |"
        for design, shares in ranges.items()
        if shares
    ]
    lines += [
        "",
        "Over accuracy, sensitivity, specificity and AUC. With two or three readers the intervals are "
        "conservative: "
        "so few readers say little of readers at large, and the interval rather owns that than hides it. So "
        "is the "
        "interval of the share of equal answers to repeats, which rests on a dozen items to a reader.",
    ]
    if worst:
        share, where = max(worst)
        lines += [
            "",
            f"Largest type-I error of the equivalence test: {_percent(share)}% ({where}); meant: 5%.",
        ]
    return lines


def _published(rows: Sequence[tuple[Row, Counts]]) -> list[str]:
    lines = [
        "## What the bound and the logit scale are for",
        "",
        "The published formula (Hillis 2014) on the same studies, beside the interval of the report, in "
        "percent.",
        "",
        "| design | readers | true accuracy | accuracy: published | report | sensitivity: published | report "
        "| AUC: published | report |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row, counts in rows:
        shown = [
            _percent(coverage(counts, name))
            for measure in ("accuracy", "sensitivity", "auc")
            for name in (f"{measure}_plain", measure)
        ]
        if any(shown[::2]):
            lines.append(
                f"| {row.design} | {row.population} | {row.accuracy:g} | " + " | ".join(shown) + " |"
            )
    return lines


def _coverage(rows: Sequence[tuple[Row, Counts]]) -> list[str]:
    lines = [
        "## Coverage of the 95% intervals",
        "",
        "In percent; in brackets the mean width of the interval of accuracy and of AUC in percentage points.",
        "",
        "| design | readers | true accuracy | accuracy | sensitivity | specificity | AUC | same answer on "
        "repeats |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, counts in rows:
        shown = [_percent(coverage(counts, name)) for name in (*COVERED, "repeats")]
        for place, name in ((0, "accuracy"), (3, "auc")):
            known = counts.get(f"{name}_known", 0.0)
            if known:
                shown[place] += f" ({100 * counts[f'{name}_width'] / known:.0f})"
        lines.append(f"| {row.design} | {row.population} | {row.accuracy:g} | " + " | ".join(shown) + " |")
    return lines


def _errors(rows: Sequence[tuple[Row, Counts]]) -> list[str]:
    lines = [
        "## Equivalence: type-I error and power",
        "",
        "How often equivalence to chance is declared at the 5% level. Error: the margin lies exactly at the "
        "true figure, "
        "so every declaration is wrong (accuracy 0.6: margin 0.10; AUC: the true AUC of that row). Power: "
        "the readers "
        "truly guess, margin 0.10.",
        "",
        "| design | readers | error, accuracy 0.6 | 0.65 | 0.9 | error, AUC at accuracy 0.6 | 0.65 | 0.9 "
        "| power, accuracy | power, AUC |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    grouped: dict[tuple[str, str], dict[float, Counts]] = {}
    for row, counts in rows:
        grouped.setdefault((row.design, row.population), {})[row.accuracy] = counts
    for (design, population), by_accuracy in grouped.items():
        values = []
        for name in ("accuracy", "auc"):
            values += [_percent(_declared(by_accuracy.get(share), name)) for share in (0.6, 0.65, 0.9)]
        values += [_percent(_declared(by_accuracy.get(0.5), name)) for name in ("accuracy", "auc")]
        lines.append(f"| {design} | {population} | " + " | ".join(values) + " |")
    return lines


def _verdict(rows: Sequence[tuple[Row, Counts]]) -> list[str]:
    low, high, errors = [], [], []
    for row, counts in rows:
        where = f"- {row.design}, {row.population}, true accuracy {row.accuracy:g}"
        shares = {name: coverage(counts, name) for name in (*COVERED, "repeats")}
        known = {name: share for name, share in shares.items() if share is not None}
        declared = {name: _declared(counts, name) or 0.0 for name in ("accuracy", "auc")}
        low += _listed(where, {name: share for name, share in known.items() if share < GOAL[0]})
        high += _listed(where, {name: share for name, share in known.items() if share > GOAL[1]})
        if row.accuracy != 0.5:
            errors += _listed(where, {name: share for name, share in declared.items() if share > MOST_ERROR})
    return [
        "## Outside the goals",
        "",
        "Below 93% (too narrow):",
        "",
        *(low or ["- none"]),
        "",
        "Above 97% (conservative: wider than they need be):",
        "",
        *(high or ["- none"]),
        "",
        "Type-I error of the equivalence test above 5.5%:",
        "",
        *(errors or ["- none"]),
    ]


def _listed(where: str, shares: Mapping[str, float]) -> list[str]:
    found = ", ".join(f"{name} {_percent(share)}" for name, share in shares.items())
    return [f"{where}: {found}"] if found else []


def _declared(counts: Counts | None, name: str) -> float | None:
    if counts is None:
        return None
    return counts.get(f"{name}_equivalent", 0.0) / counts["studies"]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"
