"""The tables of an export: one line per case, one line per mask, and what the dataset says of itself."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import synthesis
from webapp.cases.models import Case, Dataset
from webapp.cases.nifti import is_uneven

CASE_COLUMNS = (
    *("case", "name", "patient", "split", "image", "mask", "labels", "modality", "units", "is_synthetic"),
    *("source", "slices", "rows", "columns", "spacing_row_mm", "spacing_column_mm", "spacing_slice_mm"),
    *("evenly_spaced", "series_uid", "content_sha256"),
)
MASK_COLUMNS = ("case", "name", "version", "origin", "mask", "labels", "structures", "content_sha256")
FORMAT = 1

README = """{name}, version {version}

cases.csv   one line per case: its image, its mask, its patient's split, and its attributes
masks.csv   every mask of every case; cases.csv names the one with most structures
images/     {images}
masks/      {masks}
labels/     for each mask, what its values mean: [{{"value", "name", "color"}}]
dataset.json  licence, purpose, how the splits were made, and what was left out and why

All cases of one patient are in one split. Names and numbers of patients are pseudonyms.
Not for clinical use.{licence}
"""


def case_row(case: Case, *, split: str, image: str, mask: str, labels: str) -> dict[str, Any]:
    """One case's line: fixed columns, then its attributes under their own names.

    An attribute with the name of a fixed column gets "attribute_" before it; `split` is in its column.
    """
    spacing = [*case.spacing_mm, None, None, None][:3]
    values = (
        *(str(case.pk), case.name, case.patient, split, image, mask, labels, case.modality, case.units),
        *("yes" if case.is_synthetic else "no", case.source_format),
        *(case.slice_count, case.rows, case.columns, *spacing, "no" if is_uneven(case) else "yes"),
        *(case.series_uid, case.content_sha256),
    )
    row = dict(zip(CASE_COLUMNS, values, strict=True))
    for name, value in case.attributes.items():
        if name != "split":
            row[f"attribute_{name}" if name in CASE_COLUMNS else name] = value
    return row


def csv_bytes(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A UTF-8 table with the fixed columns first and all others, by name, after them."""
    others = sorted({name for row in rows for name in row} - set(columns))
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([_safe(name) for name in (*columns, *others)])
    for row in rows:
        writer.writerow([_safe(row.get(name)) for name in (*columns, *others)])
    return written.getvalue().encode()


def _safe(cell: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP)."""
    if cell is None:
        return ""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r") else cell


def dataset_json(
    dataset: Dataset,
    *,
    form: str,
    seed: int,
    shares: Sequence[float],
    rows: Sequence[Mapping[str, Any]],
    left_out: Sequence[Mapping[str, str]],
) -> bytes:
    """What the dataset says of itself, how it was split, and what is missing."""
    counts = Counter(row["split"] for row in rows)
    patients = {row["split"]: set() for row in rows}  # type: dict[str, set[str]]
    for row in rows:
        patients[row["split"]].add(row["patient"])
    described = {
        "format": FORMAT,
        "name": dataset.name,
        "version": dataset.version,
        "description": dataset.description,
        "licence": dataset.licence,
        "purpose": dataset.purpose,
        "form": form,
        "software": f"Semblance {synthesis.__version__}",
        "splits": {
            "by": "patient",
            "seed": seed,
            "shares": list(shares),
            "cases": dict(sorted(counts.items())),
            "patients": {split: len(names) for split, names in sorted(patients.items())},
        },
        "cases": len(rows),
        "left_out": list(left_out),
    }
    return json_bytes(described)


def readme(dataset: Dataset, *, form: str) -> bytes:
    """A page for whoever opens the folder."""
    if form == "nifti":
        images = (
            "NIfTI, float32 in HU or signal, RAS millimetres; colour pictures as PNG\n"
            "            (it knows one distance between slices: not where cases.csv says evenly_spaced no)"
        )
        masks = "NIfTI label maps on the voxels of their images"
    else:
        images = "one folder per case: its DICOM instances in the order of the stack"
        masks = "DICOM SEG; NIfTI where a SEG cannot be written (multi-frame images, empty masks)"
    licence = f"\nLicence: {dataset.licence}" if dataset.licence else ""
    text = README.format(
        name=dataset.name, version=dataset.version, images=images, masks=masks, licence=licence
    )
    return text.encode()


def json_bytes(value: Any) -> bytes:
    """As JSON that people can read and that is the same every time."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
