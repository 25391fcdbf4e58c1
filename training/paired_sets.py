"""Pairs of real images: a patient's slices at two examinations, on one grid, as shards to train on."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from synthesis.errors import SynthesisError
from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.plane import Plane
from training.external import PART, Grids, Row, put_in_place, slices_of, write_rows
from training.pairs import AFTER, BEFORE
from training.recipe import Recipe
from training.sources import Source, UnusableSource

REGISTERED_MM = 0.5  # how far apart slices of two examinations may lie


def write_paired_set(
    folder: Path, sources: Sequence[Source], recipe: Recipe, *, split: str, shard: int
) -> dict[str, Any]:
    """Write the pairs of one split below folder/before and folder/after, and folder/report.json.

    Each examination of a patient makes a pair with the next one of the same modality, slice by slice; the
    later one is brought onto the grid of the earlier. Both must have been registered before: slices that lie
    apart are refused, and counted in the report that is returned. Raises UnusableSource where there is no
    pair at all, with the first reason; then nothing is written.
    """
    part = folder / PART
    shutil.rmtree(part, ignore_errors=True)
    report: dict[str, Any] = {"split": split, "cases": {}, "slices": 0}
    held: list[tuple[Row, Row]] = []
    for before, after in visits([one for one in sources if one.split == split]):
        refused = Counter[str]()
        found: list[tuple[Row, Row]] = []
        try:
            found = paired_slices(before, after, recipe, refused)
        except (UnusableSource, UnreadableFile, SynthesisError) as error:
            refused[str(error)] += 1
        held += found
        report["cases"][f"{before.name} to {after.name}"] = {
            "patient": before.patient,
            "slices": len(found),
            "refused": dict(refused),
        }
    report["slices"] = len(held)
    if not held:
        reasons = [reason for case in report["cases"].values() for reason in case["refused"]]
        raise UnusableSource(
            f"There is no pair of examinations in the split {split} that can be used. "
            + (
                f"The first reason: {reasons[0]}"
                if reasons
                else "Name each patient's visits in the manifest."
            )
        )
    for number, first in enumerate(range(0, len(held), shard)):
        for name, end in ((BEFORE, 0), (AFTER, 1)):
            write_rows(part / name, number, [pair[end] for pair in held[first : first + shard]])
    put_in_place(folder, report)
    return report


def visits(sources: Sequence[Source]) -> list[tuple[Source, Source]]:
    """Each examination with the patient's next one of that modality, by number or date.

    Raises UnusableSource where a patient's visits are neither all numbers nor all dates, or one is there
    twice.
    """
    known: dict[tuple[str, str], list[Source]] = defaultdict(list)
    for one in sources:
        if one.visit:
            known[one.patient, one.modality].append(one)
    found: list[tuple[Source, Source]] = []
    for (patient, _), several in known.items():
        told = [one.visit for one in several]
        if len(set(told)) < len(told):
            raise UnusableSource(
                f"Patient {patient} has the visit {Counter(told).most_common(1)[0][0]} twice."
            )
        found += pairwise(sorted(several, key=lambda one: _when(one.visit, told)))
    return found


def _when(visit: str, all_of_them: Sequence[str]) -> Any:
    """A number where all are numbers, else the date itself, which sorts as it is written."""
    try:
        return [float(one) for one in all_of_them] and float(visit)
    except ValueError:
        dates = all(len(one) == 10 and one[4] == one[7] == "-" for one in all_of_them)
        if not dates:
            raise UnusableSource(
                f"Visits must all be numbers, or all dates such as 2024-05-31, not {', '.join(all_of_them)}."
            ) from None
        return visit


def paired_slices(
    before: Source, after: Source, recipe: Recipe, refused: Counter[str]
) -> list[tuple[Row, Row]]:
    """The slices that both examinations show, the later one on the grid of the earlier.

    Raises UnusableSource where one of them has no mask.
    """
    if before.mask is None or after.mask is None:
        raise UnusableSource("Both examinations of a pair need a mask.")
    there: Grids = {}
    earlier = list(slices_of(before, recipe, refused, taken=there))
    first = dict(zip(there, earlier, strict=True))
    here: Grids = {}
    onto = {index: grid for index, (grid, _) in there.items()}
    later = list(slices_of(after, recipe, refused, onto=onto, taken=here))
    second = dict(zip(here, later, strict=True))
    pairs = []
    for index in sorted(set(first) & set(second)):
        if not registered(there[index][1], here[index][1]):
            refused["the two examinations do not lie in the same place: register them first"] += 1
            continue
        pairs.append((first[index], second[index]))
    return pairs


def registered(one: Plane, other: Plane) -> bool:
    """Whether two slices have the same pixels in the same place."""
    if one.shape != other.shape:
        return False
    ends = [plane.points([0, plane.shape[0] - 1], [0, plane.shape[1] - 1]) for plane in (one, other)]
    return bool(np.allclose(ends[0], ends[1], rtol=0, atol=REGISTERED_MM))
