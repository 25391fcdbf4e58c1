"""Tables of attributes (CSV) and lists of label names (CSV, JSON) that come with images."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.raster import read_json, read_table
from webapp.cases.importing import sniff
from webapp.cases.importing.deidentify import Pseudonyms, clean_text
from webapp.cases.importing.sources import Source

FILE_COLUMNS = ("file", "filename", "file_name", "image", "image_file", "image_path", "path", "img", "name")
MASK_COLUMNS = ("mask", "mask_file", "mask_path", "segmentation", "seg", "label_file", "label_path")
PATIENT_COLUMNS = ("patient", "patient_id", "patientid", "subject", "subject_id", "participant_id")
_IDENTITY = re.compile(
    r"^name$|(patient|subject|first|last|sur|family|given|full|physician|doctor|operator)[ _-]?name"
    r"|birth|^dob$|address|street|phone|e-?mail|^ssn$|^mrn$|accession|insurance|postcode|^zip",
    re.IGNORECASE,
)
_MOST_TEXT = 500


@dataclass
class Row:
    """What a table says of one image."""

    attributes: dict[str, Any] = field(default_factory=dict)
    patient: str = ""
    modality: str = ""
    spacing_mm: tuple[float, float] | None = None
    mask: str = ""


@dataclass
class Tables:
    """Everything that the tables of one import say."""

    rows: dict[str, Row] = field(default_factory=dict)
    labels: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    modalities: dict[str, str] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)

    def labels_for(self, shown: str) -> list[dict[str, Any]]:
        """Names of labels told in the file's folder or one above it."""
        return _nearest(self.labels, shown) or []

    def modality_for(self, shown: str) -> str:
        """The modality told by a description in the file's folder or one above it."""
        return _nearest(self.modalities, shown) or ""


def _nearest(told: dict[str, Any], shown: str) -> Any:
    for folder in (str(parent) for parent in PurePosixPath(shown).parents):
        if folder in told:
            return told[folder]
    return None


def may_identify(name: str) -> bool:
    """Whether a column or attribute of that name may tell who the patient is."""
    return _IDENTITY.search(name) is not None


def read_tables(
    sources: list[Source], images: set[str], pseudonyms: Pseudonyms
) -> tuple[Tables, list[tuple[Source, str]]]:
    """Read every CSV and JSON; returns what they say, and a sentence per file for the report.

    A file that is of no use gets its problem instead of a sentence.
    """
    tables = Tables()
    said: list[tuple[Source, str]] = []
    for source in sources:
        if source.problem or source.kind not in (sniff.CSV, sniff.JSON):
            continue
        try:
            if source.kind == sniff.JSON:
                said.append((source, _read_json(source, tables)))
            else:
                said.append((source, _read_csv(source, tables, images, pseudonyms)))
        except UnreadableFile as error:
            source.problem = str(error)
    return tables, said


def _read_csv(source: Source, tables: Tables, images: set[str], pseudonyms: Pseudonyms) -> str:
    rows = read_table(source.path)
    columns = list(rows[0]) if rows else []
    folder = PurePosixPath(source.shown).parent
    small = {column.lower().replace(" ", "_"): column for column in columns}
    named = _label_rows(rows, small)
    file_column = next((small[name] for name in FILE_COLUMNS if name in small), None)
    places = _Places(images)
    matched: dict[str, dict[str, str]] = {}
    if file_column is not None:
        for row in rows:
            image = places.find(folder, row.get(file_column, ""))
            if image is not None:
                matched[image] = row
    if not matched:
        if named:
            tables.labels.setdefault(str(folder), []).extend(named)
            return f"The names of {len(named)} labels were read."
        raise UnreadableFile(
            "The table names no image of this import. It needs a column “file” (or image, path) "
            "with the files' names."
        )
    mask_column = next((small[name] for name in MASK_COLUMNS if name in small), None)
    kept = [c for c in columns if c not in (file_column, mask_column) and not may_identify(c)]
    for image, row in matched.items():
        found = _row(row, kept, pseudonyms)
        if mask_column is not None and row.get(mask_column):
            mask = places.find(folder, row[mask_column])
            if mask is not None:
                tables.masks[mask] = image
        tables.rows[image] = found
    return _sentence(rows, matched, columns, kept, file_column, mask_column)


def _sentence(rows: list[Any], matched: Any, columns: list[str], kept: list[str], *named: str | None) -> str:
    text = f"Attributes of {len(matched):,} images were read: {', '.join(kept[:12]) or 'none'}."
    dropped = [c for c in columns if c not in kept and c not in named]
    if dropped:
        text += f" Left out, because they may identify a person: {', '.join(dropped[:12])}."
    if len(rows) > len(matched):
        text += f" {len(rows) - len(matched):,} lines name files that are not in this import."
    return text


class _Places:
    """Finds files of the import by what a table calls them."""

    def __init__(self, shown: set[str]) -> None:
        self._all = shown
        self._by_name: dict[str, list[str]] = {}
        for path in shown:
            self._by_name.setdefault(PurePosixPath(path).name.lower(), []).append(path)

    def find(self, folder: PurePosixPath, text: str) -> str | None:
        """The file at `text` relative to the table, else the only file of that name."""
        text = text.strip().replace("\\", "/").removeprefix("./")
        if not text:
            return None
        direct = str(folder / text)
        if direct in self._all:
            return direct
        name = PurePosixPath(text).name.lower()
        for candidate in (name, *(name + ending for ending in (".png", ".jpg", ".jpeg", ".nii.gz"))):
            found = self._by_name.get(candidate, [])
            if len(found) == 1:
                return found[0]
        return None


def _row(row: dict[str, str], kept: list[str], pseudonyms: Pseudonyms) -> Row:
    result = Row()
    for column in kept:
        text = clean_text(row.get(column, ""), None)[:_MOST_TEXT]
        if not text:
            continue
        name = column.lower().replace(" ", "_")
        if name in PATIENT_COLUMNS:
            result.patient = pseudonyms.patient(text, "")
        elif name == "modality":
            result.modality = text.upper()[:16]
        elif name in ("spacing_mm", "pixel_spacing", "pixel_spacing_mm"):
            result.spacing_mm = _spacing(text)
        elif name in ("sex", "gender"):
            result.attributes["sex"] = text[:1].upper()
        else:
            result.attributes[name[:60]] = value_of(text)
    return result


def value_of(text: str) -> Any:
    """A whole number, a decimal fraction, or the text itself."""
    if re.fullmatch(r"[+-]?\d{1,15}", text):
        return int(text)
    if re.fullmatch(r"[+-]?\d{0,15}\.\d{1,15}", text):
        return float(text)
    return text


def _spacing(text: str) -> tuple[float, float] | None:
    try:
        values = [float(part) for part in re.split(r"[\sx,;\\/]+", text) if part]
    except ValueError:
        return None
    if not values or not all(0 < value < 1000 for value in values):
        return None
    return (values[0], values[1]) if len(values) > 1 else (values[0], values[0])


def _label_rows(rows: list[dict[str, str]], small: dict[str, str]) -> list[dict[str, Any]]:
    """Rows of a table with a column of values and one of names."""
    value = next((small[n] for n in ("value", "index", "id", "label", "key") if n in small), None)
    name = next((small[n] for n in ("name", "structure", "label_name", "class") if n in small), None)
    if value is None or name is None or value == name:
        return []
    return [
        {"value": int(row[value]), "name": row[name][:80]}
        for row in rows
        if re.fullmatch(r"\d{1,5}", row.get(value, "")) and row.get(name)
    ]


def _read_json(source: Source, tables: Tables) -> str:
    content = read_json(source.path)
    folder = str(PurePosixPath(source.shown).parent)
    labels = _json_labels(content.get("labels", content) if isinstance(content, dict) else content)
    if isinstance(content, dict):
        channels = content.get("modality") or content.get("channel_names") or {}
        first = str(next(iter(channels.values()), "")) if isinstance(channels, dict) else str(channels)
        modality = {"ct": "CT", "mri": "MR", "mr": "MR"}.get(
            first.lower(), "MR" if "t1" in first.lower() else ""
        )
        if modality:
            tables.modalities[folder] = modality
    if not labels and folder not in tables.modalities:
        raise UnreadableFile("No list of labels was found in this file.")
    tables.labels.setdefault(folder, []).extend(labels)
    return f"The names of {len(labels)} labels were read."


def _json_labels(content: Any) -> list[dict[str, Any]]:
    """{"1": "liver"}, {"liver": 1} or [{"value": 1, "name": "liver"}]."""
    found: list[dict[str, Any]] = []
    if isinstance(content, dict):
        pairs: list[tuple[Any, Any]] = []
        for key, value in content.items():
            if isinstance(value, int):
                pairs.append((value, key))
            elif isinstance(value, str) and str(key).isdigit():
                pairs.append((int(key), value))
        found = [{"value": value, "name": str(name)[:80]} for value, name in pairs]
    elif isinstance(content, list):
        for item in content:
            if isinstance(item, dict) and isinstance(item.get("value"), int) and item.get("name"):
                found.append({k: item[k] for k in ("value", "name", "color") if k in item})
    return [label for label in found if 0 < label["value"] <= 65_535]
