"""Simulated studies through the leak audit: does it keep its false-alarm rate, and what does it find?

python -m webapp.readings.audit.evidence --write docs/evidence/leak_audit.md
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from webapp.readings.audit.observation import Observation
from webapp.readings.audit.planted import METADATA, PIXELS, pixels
from webapp.readings.audit.run import LEVEL, audit
from webapp.readings.audit.simulated import Leak, study
from webapp.readings.statistics.proportion import wilson

SEED = 20261120
STUDIES = 300
ITEMS = 24
PERMUTATIONS = 199
SIZES = (12, 40)
REPEATS = 5
TITLE = "# The leak audit of reader studies"
HEADING = "## Simulated studies"


def patients(seed: int) -> list[Observation]:
    """40 items of 8 patients of whom 12 numbers are told, much alike within a patient; equal arms."""
    rng = np.random.default_rng(seed)
    arms, order = rng.permutation(["real", "synthetic"] * 4), rng.permutation(40)
    made = []
    for number in range(40):
        patient = number // 5
        if number % 5 == 0:
            own = rng.normal(0, 1, 12)
        shown = own + rng.normal(0, 0.2, 12)
        made.append(
            Observation(
                item=str(number),
                arm=str(arms[patient]),
                cluster=f"patient {patient}",
                position=int(order[number]),
                extras={f"v{k}": float(value) for k, value in enumerate(shown)},
            )
        )
    return made


def alarms(make: Callable[[int], Sequence[Observation]], studies: int, seed: int) -> int:
    """How many of these studies of equal arms the audit says anything about."""
    found = 0
    for number in range(studies):
        report = audit(make(seed + number), seed=seed + number, permutations=PERMUTATIONS)
        found += bool(report.findings)
    return found


def named(leak: Leak, family: str, feature: str, items: int, seed: int, repeats: int = REPEATS) -> int:
    """In how many of `repeats` studies with this leak the audit names the feature that carries it."""
    count = 0
    for number in range(repeats):
        report = audit(study(items, seed + number, leak), seed=number, permutations=PERMUTATIONS)
        count += any(feature in one.feature for one in report.leaks(family))
    return count


def leaks() -> Mapping[tuple[str, str], tuple[Leak, str]]:
    """(family, name) -> the leak and what the feature that carries it is called."""
    found = {("pixels", name): (pixels(change), feature) for name, (change, feature) in PIXELS.items()}
    return found | {("metadata", name): pair for name, pair in METADATA.items()}


def section(studies: int, seed: int) -> str:
    """The section of the page, computed."""
    begun = time.perf_counter()
    lines = [
        HEADING,
        "",
        f"Printed by `python -m webapp.readings.audit.evidence --studies {studies} --seed {seed} --write "
        "docs/evidence/leak_audit.md`.",
        "",
        *_false_alarms(studies, seed),
        "",
        *_planted(seed),
        "",
        f"All of this took {time.perf_counter() - begun:.0f} s on one core of a busy machine.",
        "",
    ]
    return "\n".join(lines)


def _false_alarms(studies: int, seed: int) -> list[str]:
    lines = [
        "### False alarms",
        "",
        "Both arms come from one law: images with body, bone, table, noise and a padded circle, DICOM "
        "attributes, headers, addresses, times. The audit names something in:",
        "",
        "| equal arms | studies | false alarms | share | 95% interval |",
        "|---|---|---|---|---|",
    ]
    worlds: dict[str, Callable[[int], Sequence[Observation]]] = {
        f"{ITEMS} items, everything that a browser receives": lambda number: study(ITEMS, number),
        "40 items of 8 patients, 12 numbers told": patients,
    }
    for name, make in worlds.items():
        found = alarms(make, studies, seed)
        interval = wilson(found, studies)
        lines.append(
            f"| {name} | {studies} | {found} | {found / studies:.1%} | "
            f"{float(interval.low or 0):.1%} to {float(interval.high or 0):.1%} |"
        )
    return [
        *lines,
        "",
        f"The test promises at most {LEVEL:.0%}, and with {PERMUTATIONS} permutations exactly that. In the "
        "second row whole patients are relabeled, since their items are not independent of each other.",
    ]


def _planted(seed: int) -> list[str]:
    lines = [
        "### Leaks that were planted",
        "",
        f"Each leak alone, into one of two otherwise equal arms: in how many of {REPEATS} studies the audit "
        "named the feature that carries it, by the number of items (half of each arm).",
        "",
        "| family | leak | " + " | ".join(f"{size} items" for size in SIZES) + " |",
        "|---|---|" + "---|" * len(SIZES),
    ]
    missed = []
    for (family, name), (leak, feature) in leaks().items():
        counts = [named(leak, family, feature, size, seed) for size in SIZES]
        lines.append(f"| {family} | {name} | " + " | ".join(f"{one} of {REPEATS}" for one in counts) + " |")
        if counts[-1] < REPEATS:
            missed.append(name)
    if missed:
        return [*lines, "", f"Not always found with {SIZES[-1]} items: {', '.join(missed)}."]
    return [*lines, "", f"With {SIZES[-1]} items every leak is found in every study."]


def section_write(path: Path, heading: str, text: str) -> None:
    """Put a section ("## ...") into a page, in place of the one of that heading where there is one."""
    page = path.read_text(encoding="utf-8") if path.exists() else f"{TITLE}\n"
    before, mark, after = page.partition(f"{heading}\n")
    following = after.partition("\n## ")[2] if mark else ""
    parts = [before.rstrip(), text.strip(), f"## {following.strip()}" if following else ""]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def main() -> None:
    """Run the simulation and print it, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--write", type=Path)
    chosen = parser.parse_args()
    text = section(chosen.studies, chosen.seed)
    if chosen.write:
        section_write(chosen.write, HEADING, text)
    print(text)


if __name__ == "__main__":
    main()
