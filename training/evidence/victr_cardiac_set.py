"""Sunnybrook cardiac MR as a manifest to train on: `python -m training.evidence.victr_cardiac_set FOLDER`.

583 short-axis slices of 31 patients with the left ventricle's cavity drawn (Radau et al. 2009, CC0 1.0):
FOLDER holds labels.csv (file, mask, patient, group) and the PNG pictures it names.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from training.sources import LABELS_FILE

TEST, VALIDATION = 2, 1  # patients of each diagnosis group; the rest train
CAVITY = {"255": "aorta"}  # arterial blood: the one label whose tissue is that of the cavity
SPACING_MM = "1.25"  # 320 mm over 256 pixels, the protocol's; the pictures do not tell
WEIGHTING = "T2"  # cine SSFP shows T2 / T1: blood is bright


def splits_of(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Patient -> split: of each diagnosis group, ordered by a hash, two test, one validates, others train."""
    groups: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        groups[row["group"]].add(row["patient"])
    found = {}
    for patients in groups.values():
        ordered = sorted(patients, key=lambda name: hashlib.sha256(name.encode()).digest())
        for place, patient in enumerate(ordered):
            found[patient] = (
                "test" if place < TEST else "validation" if place < TEST + VALIDATION else "train"
            )
    return found


def write_manifest(source: Path, folder: Path) -> Path:
    """Write folder/manifest.csv and its labels.json; the table is returned."""
    with (source / "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    splits = splits_of(rows)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LABELS_FILE).write_text(json.dumps(CAVITY), encoding="utf-8")
    path = folder / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            ["image", "mask", "patient", "split", "modality", "spacing_row_mm", "spacing_column_mm"]
        )
        for row in rows:
            files = [(source / row[part]).resolve() for part in ("file", "mask")]
            patient = row["patient"]
            writer.writerow([*files, patient, splits[patient], WEIGHTING, SPACING_MM, SPACING_MM])
    return path


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="the folder with labels.csv")
    parser.add_argument("--out", type=Path, default=Path("var/training/cardiac-mr-2d/set"))
    options = parser.parse_args()
    print(write_manifest(options.source, options.out))


if __name__ == "__main__":
    main()
