"""Image sets from elsewhere, case by case: an exported dataset, a CSV manifest, the nnU-Net layout."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthesis.control.patient_prompts import MOST_WORDS
from synthesis.patient_splits import SPLITS, place_of, split_at
from synthesis.request import MODALITIES, SEVERITIES, SEXES, STEATOSIS_GRADES

TABLES = ("cases.csv", "manifest.csv")
LABELS_FILE = "labels.json"
UNKNOWN = -1  # of a severity, a steatosis grade or a sex that is not stated


class UnusableSource(ValueError):
    """A set, or a case of it, that cannot be trained on; the message is a sentence that says why."""


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """What is known of the person; UNKNOWN or NaN where the set does not say."""

    severity: int = UNKNOWN
    steatosis: int = UNKNOWN
    age: float = float("nan")
    sex: int = UNKNOWN
    diagnosis: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One case of a set.

    mask: None where the set has none, or none is wanted. labels: [{"value", "name"}] of its values.
    modality: one of MODALITIES. split: of the patient.
    spacing_mm: between rows and columns, for pictures that do not tell it themselves. visit: which of the
    patient's examinations it is, a number or a date as 2024-05-31; empty where the set does not say.
    """

    name: str
    image: Path
    mask: Path | None
    labels: tuple[Mapping[str, Any], ...]
    modality: str
    patient: str
    split: str
    attributes: Attributes = field(default_factory=Attributes)
    spacing_mm: tuple[float, float] | None = None
    visit: str = ""


def sources_of(path: Path, *, modality: str | None = None, masks: bool = True) -> list[Source]:
    """Every case of a set: a CSV file, or a folder with cases.csv, manifest.csv or nnU-Net's dataset.json.

    Without `masks` a table needs none, and what it has of them is not read. `modality` overrides what the
    set says ("T1", "T2", "CT"): nnU-Net sets rarely tell the weighting.
    Raises UnusableSource, with the line or the file, where the set makes no sense.
    """
    if modality is not None and modality not in MODALITIES:
        raise UnusableSource(f"The modality must be one of {', '.join(MODALITIES)}, got {modality}.")
    if path.is_file():
        return from_table(path, modality=modality, masks=masks)
    for name in TABLES:
        if (path / name).is_file():
            return from_table(path / name, modality=modality, masks=masks)
    if (path / "dataset.json").is_file():
        return from_nnunet(path, modality=modality)
    raise UnusableSource(f"{path} holds neither {' nor '.join(TABLES)} nor nnU-Net's dataset.json.")


def from_table(path: Path, *, modality: str | None = None, masks: bool = True) -> list[Source]:
    """A manifest: one line per image with the columns image and mask, and as many of these as are known:

    patient, split (train, validation or test), modality (CT, T1, T2; or MR with weighting), severity
    (none, low, mild, severe or 0 to 3), steatosis (0 to 3), age (years), sex (F, M), diagnosis (in words),
    labels (a JSON file of the mask's values; else labels.json beside the table), spacing_row_mm and
    spacing_column_mm, visit (a number or a date, for pairs of a patient's examinations).
    `cases.csv` of an exported dataset is such a table. Lines without a mask are left out, unless `masks`
    are not wanted at all.
    """
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = [
            {key: (value or "").strip() for key, value in row.items() if key}
            for row in csv.DictReader(stream)
        ]
    needed = ("image", "mask") if masks else ("image",)
    if not rows or not set(needed) <= set(rows[0]):
        what = f"columns {' and '.join(needed)}" if masks else "column image"
        raise UnusableSource(f"{path.name} needs at least the {what}, and one line.")
    found = [
        _from_row(row if masks else {**row, "mask": ""}, path.parent, f"{path.name}, line {number}", modality)
        for number, row in enumerate(rows, start=2)
        if row["mask" if masks else "image"]
    ]
    _check_patients(found)
    return found


def from_nnunet(folder: Path, *, modality: str | None = None) -> list[Source]:
    """nnU-Net's layout, version 1 or 2: dataset.json, imagesTr (NAME_0000), labelsTr (NAME).

    The file name counts as the patient; patients with several images need a manifest. Raises
    UnusableSource for several channels, or where the one channel does not name a known modality.
    """
    about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    channels = about.get("channel_names") or about.get("modality") or {}
    if len(channels) > 1:
        raise UnusableSource(
            f"The set has {len(channels)} channels ({', '.join(channels.values())}); one is taken."
        )
    told = modality or _modality(str(next(iter(channels.values()), "")), "", "dataset.json")
    labels = _nnunet_labels(about.get("labels", {}))
    ending = about.get("file_ending", ".nii.gz")
    found = []
    for mask in sorted((folder / "labelsTr").glob(f"*{ending}")):
        name = mask.name.removesuffix(ending)
        images = [folder / "imagesTr" / f"{name}{part}{ending}" for part in ("_0000", "")]
        image = next((one for one in images if one.is_file()), None)
        if image is None:
            raise UnusableSource(f"labelsTr has {mask.name}, but imagesTr has no {images[0].name}.")
        found.append(
            Source(
                name=name,
                image=image,
                mask=mask,
                labels=labels,
                modality=told,
                patient=name,
                split=split_at(place_of(name)),
            )
        )
    if not found:
        raise UnusableSource(f"{folder / 'labelsTr'} holds no mask that ends on {ending}.")
    return found


def _from_row(row: Mapping[str, str], folder: Path, where: str, modality: str | None) -> Source:
    files = {part: folder / row[part] for part in ("image", "mask") if row[part]}
    for part, file in files.items():
        if not file.exists():
            raise UnusableSource(f"{where}: the {part} {row[part]} is not there.")
    patient = row.get("patient") or row.get("name") or files["image"].name
    split = row.get("split") or split_at(place_of(patient))
    if split not in SPLITS:
        raise UnusableSource(f"{where}: the split must be {', '.join(SPLITS)}, got {split}.")
    told = modality or _modality(
        row.get("modality", ""), row.get("weighting") or row.get("sequence") or "", where
    )
    return Source(
        name=row.get("name") or files["image"].name.split(".")[0],
        image=files["image"],
        mask=files.get("mask"),
        labels=_table_labels(folder, row.get("labels", ""), where) if row["mask"] else (),
        modality=told,
        patient=patient,
        split=split,
        attributes=_attributes(row, where),
        spacing_mm=_spacing(row, where),
        visit=row.get("visit", ""),
    )


def _modality(told: str, weighting: str, where: str) -> str:
    for word in (told, weighting):
        plain = word.upper().replace("-", "").replace("WEIGHTED", "").removesuffix("W")
        if plain in MODALITIES:
            return plain
    raise UnusableSource(
        f"{where}: the modality must be one of {', '.join(MODALITIES)}, got “{told}”. "
        "For MR say the weighting too."
    )


def _attributes(row: Mapping[str, str], where: str) -> Attributes:
    age = float("nan")
    if row.get("age"):
        try:
            age = float(row["age"])
        except ValueError:
            raise UnusableSource(f"{where}: the age must be a number of years, got “{row['age']}”.") from None
    return Attributes(
        severity=_grade(row.get("severity", ""), SEVERITIES, "severity", where),
        steatosis=_grade(row.get("steatosis", ""), [str(g) for g in STEATOSIS_GRADES], "steatosis", where),
        age=age,
        sex=_grade(row.get("sex", "").upper()[:1], SEXES, "sex", where),
        diagnosis=_diagnosis(row.get("diagnosis", ""), where),
    )


def _diagnosis(words: str, where: str) -> str:
    """A diagnosis as it will stand in a prompt."""
    plain = " ".join(words.split())
    if len(plain) > MOST_WORDS:
        raise UnusableSource(f"{where}: the diagnosis must have at most {MOST_WORDS} characters.")
    return plain


def _grade(word: str, words: Sequence[str], what: str, where: str) -> int:
    """The place of a word in its scale, or the number itself; UNKNOWN where nothing is said."""
    plain = word.lower().removesuffix(".0")
    scale = [one.lower() for one in words]
    if not plain:
        return UNKNOWN
    if plain in scale:
        return scale.index(plain)
    if plain.isdigit() and int(plain) < len(scale) and what == "severity":
        return int(plain)
    raise UnusableSource(f"{where}: {what} must be one of {', '.join(words)} or empty, got “{word}”.")


def _spacing(row: Mapping[str, str], where: str) -> tuple[float, float] | None:
    told = row.get("spacing_row_mm"), row.get("spacing_column_mm")
    if not all(told):
        return None
    try:
        between_rows, between_columns = (float(value or "nan") for value in told)
    except ValueError:
        raise UnusableSource(f"{where}: the spacings must be numbers of mm, got {told}.") from None
    if not (0 < between_rows < float("inf") and 0 < between_columns < float("inf")):
        raise UnusableSource(f"{where}: the spacings must be above 0 mm, got {told}.")
    return between_rows, between_columns


def _table_labels(folder: Path, told: str, where: str) -> tuple[Mapping[str, Any], ...]:
    file = folder / (told or LABELS_FILE)
    if not file.is_file():
        if told:
            raise UnusableSource(f"{where}: the list of labels {told} is not there.")
        return ()
    read = json.loads(file.read_text(encoding="utf-8"))
    if isinstance(read, dict):
        return tuple({"value": int(value), "name": str(name)} for value, name in read.items())
    return tuple({"value": int(one["value"]), "name": str(one["name"])} for one in read)


def _nnunet_labels(labels: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Version 1 has value: name, version 2 name: value; regions (lists of values) are refused."""
    pairs = []
    for key, value in labels.items():
        if isinstance(value, list):
            raise UnusableSource(
                "The set's labels are regions of several values each; plain labels are taken."
            )
        pairs.append((int(key), str(value)) if str(key).isdigit() else (int(value), str(key)))
    return tuple({"value": value, "name": name} for value, name in pairs)


def _check_patients(sources: Sequence[Source]) -> None:
    placed: dict[str, str] = {}
    for source in sources:
        if placed.setdefault(source.patient, source.split) != source.split:
            raise UnusableSource(
                f"Patient {source.patient} is in the splits {placed[source.patient]} and {source.split}; "
                "all images of a patient belong to one."
            )
