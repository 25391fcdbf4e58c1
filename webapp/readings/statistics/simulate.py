"""Simulated studies through the real analysis: do the 95% intervals cover, does equivalence keep its error?

    python -m webapp.readings.statistics.simulate --studies 2000 --write docs/evidence/readings.md

Each cell (a design, a population of readers, a true accuracy) has its own seed, and is kept in the state
file when done, so that a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from webapp.readings.statistics import accuracy, repeatability, report_study, roe_metz
from webapp.readings.statistics.data import Table, table
from webapp.readings.statistics.evidence import page
from webapp.readings.statistics.figure import Figure
from webapp.readings.statistics.orh import orh
from webapp.readings.statistics.roe_metz import Design, Readers

DESIGNS: dict[str, Design] = {
    "1 reader, 100 items": Design(readers=1, items=100, synthetic=50),
    "1 reader, 280 items": Design(readers=1, items=280, synthetic=140),
    "1 reader, 120 items of 40 cases": Design(readers=1, items=120, synthetic=60, items_per_case=3),
    "2 readers, 60 items": Design(readers=2, items=60, synthetic=30),
    "3 readers, 60 items": Design(readers=3, items=60, synthetic=30),
    "3 readers, 60 items and 12 repeats": Design(readers=3, items=60, synthetic=30, repeats=12),
    "5 readers, 100 items": Design(readers=5, items=100, synthetic=50),
    "5 readers, 120 items of 40 cases": Design(readers=5, items=120, synthetic=60, items_per_case=3),
    "6 readers, 120 items, 50 synthetic, 30% unread": Design(readers=6, items=120, synthetic=50, unread=0.3),
    "10 readers, 300 items": Design(readers=10, items=300, synthetic=150),
}
POPULATIONS: dict[str, Readers] = {
    "one": Readers(bias=0.0, skill=0.0),
    "alike": Readers(bias=0.02, skill=0.0055),
    "different": Readers(bias=0.2, skill=0.056),
}
COMPARED = (
    "2 readers, 60 items",
    "3 readers, 60 items",
    "5 readers, 100 items",
)  # with the published formula
ACCURACIES = (0.5, 0.6, 0.65, 0.9)
MEASURES = ("accuracy", "sensitivity", "specificity", "auc", "repeats")


@dataclass(frozen=True)
class Cell:
    """One row of the table: a design, a population and the true mean accuracy."""

    design: str
    population: str
    accuracy: float

    @property
    def key(self) -> str:
        """Its name in the state file."""
        return f"{self.design} | {self.population} | {self.accuracy}"


def cells() -> Iterator[Cell]:
    """Every cell; a single reader is their own population, so only the items are drawn anew."""
    for design, shape in DESIGNS.items():
        for population in ("one",) if shape.readers == 1 else ("alike", "different"):
            for share in ACCURACIES:
                yield Cell(design, population, share)


def run_cell(cell: Cell, *, studies: int, seed: int) -> dict[str, float]:
    """Counts over `studies` simulated studies.

    For each measure: `<measure>_covered` of `<measure>_known` intervals hold the true value,
    `<measure>_width` is their mean width. `accuracy_equivalent` and `auc_equivalent` count declared
    equivalences: where the true figure is 1/2 with the margin 0.10 (accuracy) or that margin in AUC (power),
    elsewhere with the margin put at the true figure (type-I error).
    """
    design = DESIGNS[cell.design]
    readers = roe_metz.with_accuracy(cell.accuracy, POPULATIONS[cell.population])
    true = {
        "accuracy": readers.accuracy,
        "sensitivity": readers.accuracy,
        "specificity": readers.accuracy,
        "auc": readers.ordinal_auc,
        "repeats": readers.repeat_agreement,
    }
    rng = np.random.default_rng([seed, *cell.key.encode()])
    found: dict[str, float] = {"studies": studies}
    for _ in range(studies):
        ratings = roe_metz.simulate(readers, design, rng)
        answers = table(ratings.main())
        figures = report_study.figures(answers) | {"auc": report_study.auc(answers)}
        if design.repeats:
            figures["repeats"] = repeatability.agreement(repeatability.pairs(ratings))
        for name in MEASURES:
            if name in figures:
                _tally(found, name, figures[name], true[name])
        if cell.design in COMPARED:
            for name, values in _published(answers).items():
                _tally(found, f"{name}_plain", values, true[name])
        for name in ("accuracy", "auc"):
            margin = abs(true[name] - 0.5) if cell.accuracy != 0.5 else 0.1
            _add(found, f"{name}_equivalent", float(_equivalent(answers, name, margin)))
    return found


def _published(answers: Table) -> dict[str, Figure]:
    """The intervals of the published formula, neither bounded nor on the logit scale (`orh.marginal`)."""
    made = {}
    for name, left_out in (
        ("accuracy", accuracy.accuracy(answers)),
        ("sensitivity", accuracy.sensitivity(answers)),
        ("auc", report_study.areas(answers)),
    ):
        if accuracy.usable(left_out).all():
            one = orh(left_out)
            low, high = one.interval()
            made[name] = Figure(one.mean, low, high)
    return made


def _equivalent(answers: Table, name: str, margin: float) -> bool:
    test = (
        report_study.accuracy_equivalence(answers, margin=margin, alpha=0.05)
        if name == "accuracy"
        else report_study.auc_equivalence(answers, margin=margin, alpha=0.05)
    )
    return bool(test.equivalent)


def _tally(found: dict[str, float], name: str, figure: Figure, true: float) -> None:
    if figure.low is None or figure.high is None:
        return
    _add(found, f"{name}_known", 1.0)
    _add(found, f"{name}_covered", float(figure.low <= true <= figure.high))
    _add(found, f"{name}_width", figure.high - figure.low)


def _add(found: dict[str, float], name: str, value: float) -> None:
    found[name] = found.get(name, 0.0) + value


def read_state(path: Path, *, studies: int, seed: int) -> dict[str, dict[str, float]]:
    """The finished cells of an earlier run with the same number of studies and seed."""
    done: dict[str, dict[str, float]] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if entry["studies"] == studies and entry["seed"] == seed:
                done[entry["key"]] = entry["counts"]
    return done


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Simulate reader studies and count what the report gets right."
    )
    parser.add_argument("--studies", type=int, default=2000, help="studies per cell")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--state", type=Path, default=Path("var/readings-simulation.jsonl"))
    parser.add_argument("--write", type=Path, help="the page to write when every cell is done")
    options = parser.parse_args(arguments)
    options.state.parent.mkdir(parents=True, exist_ok=True)
    done = read_state(options.state, studies=options.studies, seed=options.seed)
    chosen = [cell for cell in cells() if options.only in cell.key]
    for cell in chosen:
        if cell.key in done:
            continue
        began = time.monotonic()
        counts = run_cell(cell, studies=options.studies, seed=options.seed)
        counts["seconds"] = time.monotonic() - began
        done[cell.key] = counts
        entry = {"key": cell.key, "studies": options.studies, "seed": options.seed, "counts": counts}
        with options.state.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        print(f"{cell.key}: {counts['seconds']:.0f} s", flush=True)
    text = page([(cell, done[cell.key]) for cell in chosen], studies=options.studies, seed=options.seed)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
