"""What is kept of a DICOM header on the way in.

Kept is what describes the image: numbers, codes, and the short list of texts below, with the
patient's own names and numbers cut out of them. Everything else falls: names, dates, times,
addresses, identifiers, institutions, devices' serial numbers, overlays, curves, private elements.
The element table follows PS3.15 Annex E's basic profile with "retain patient characteristics",
"retain device model" and "clean descriptors"; what the profile would replace by a dummy is emptied.
UIDs and the patient's number are replaced by keyed hashes, so that the same file gives the same
pseudonyms in the same dataset, and unrelated ones in any other.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag
from pydicom.uid import UID

from webapp.cases.importing.profile import (
    BINARY_VRS,
    DROPPED,
    DROPPED_VRS,
    KEPT_BINARY,
    KEPT_TEXT,
    NAMES,
    NEUTRAL,
    NUMBERS,
    TEXT_VRS,
)

_MARK = "…"


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """A header without identity, and what is worth knowing about it.

    `removed` names the groups of things that were there and are gone, in words for the report.
    """

    header: Dataset
    patient: str
    age_years: float | None
    sex: str
    removed: tuple[str, ...] = field(default=())


class Pseudonyms:
    """Keyed hashes in place of UIDs and patient numbers: stable under one key, unrelated under others."""

    def __init__(self, key: str) -> None:
        """Take the dataset's secret."""
        self._key = key.encode()

    def _digest(self, *parts: str) -> bytes:
        return hmac.new(self._key, "\x1f".join(parts).encode(), hashlib.sha256).digest()

    def uid(self, original: str, *parts: str) -> str:
        """A UID under 2.25 (PS3.5 B.2) for another UID; DICOM's own UIDs stay."""
        original = original.strip("\0 ")
        if original.startswith("1.2.840.10008.") and not parts:
            return original
        return "2.25." + str(int.from_bytes(self._digest("uid", original, *parts)[:16], "big"))

    def patient(self, number: str, name: str) -> str:
        """A short pseudonym such as P-7KQ2M4XW for a patient's number (or name where there is none)."""
        identity = number.strip() or name.strip()
        if not identity:
            return ""
        alphabet = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
        value = int.from_bytes(self._digest("patient", identity)[:8], "big")
        letters = []
        for _ in range(8):
            value, place = divmod(value, len(alphabet))
            letters.append(alphabet[place])
        return "P-" + "".join(letters)


def deidentify(header: Dataset, pseudonyms: Pseudonyms) -> Cleaned:
    """A new header with only what may be kept; the given one is left as it is.

    Nested sequences are treated like the top level. The patient's name and number become the
    pseudonym, birth date and all other dates are emptied, the age stays (90 and more become 90).
    """
    name, number = _text_of(header, "PatientName"), _text_of(header, "PatientID")
    words = forbidden_words(header)
    patient = pseudonyms.patient(number, name)
    age = age_years(header)
    kept = _cleaned(header, pseudonyms, words)
    kept.PatientName = patient
    kept.PatientID = patient
    kept.PatientBirthDate = ""
    for keyword in ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"):
        setattr(kept, keyword, "")
    if age is not None:
        kept.PatientAge = f"{min(int(age), 90):03d}Y" if age >= 2 else f"{int(age * 12):03d}M"
    kept.PatientIdentityRemoved = "YES"
    kept.DeidentificationMethod = "Semblance import, profile 1"
    sex = _text_of(header, "PatientSex").upper()[:1]
    return Cleaned(
        header=kept,
        patient=patient,
        age_years=None if age is None else min(age, 90.0),
        sex=sex if sex in {"F", "M", "O"} else "",
        removed=tuple(_removed(header)),
    )


def _removed(header: Dataset) -> Iterable[str]:
    """What a person would miss in the stored file, in words."""
    if any(_text_of(header, keyword) for keyword in ("PatientName", "PatientID")):
        yield "patient name and number replaced by a pseudonym"
    if _text_of(header, "PatientBirthDate"):
        yield "birth date removed"
    if any(element.VR in {"DA", "DT", "TM"} and element.value for element in header):
        yield "dates removed"
    others = (*NAMES[4:], "InstitutionName", "InstitutionAddress", "StationName", "DeviceSerialNumber")
    if any(_text_of(header, keyword) for keyword in others):
        yield "people, institution and device numbers removed"


def _cleaned(source: Dataset, pseudonyms: Pseudonyms, words: re.Pattern[str] | None) -> Dataset:
    result = Dataset()
    for tag in map(Tag, list(source.keys())):
        if (
            tag.is_private
            or tag.group in (0x0002, 0x4008)
            or 0x5000 <= tag.group <= 0x60FF
            or tag.element == 0
        ):
            continue
        element = source[tag]
        if element.keyword in DROPPED or not element.keyword:
            continue
        value = _kept_value(element, pseudonyms, words)
        if value is None:
            continue
        try:
            result.add(DataElement(tag, element.VR, value))
        except (ValueError, TypeError, OverflowError):  # text where a number belongs: not worth keeping
            continue
    return result


def _kept_value(element: DataElement, pseudonyms: Pseudonyms, words: re.Pattern[str] | None) -> Any:
    """The value to keep, or None to drop the element."""
    vr, keyword = element.VR, element.keyword
    if vr == "SQ":
        return DicomSequence([_cleaned(item, pseudonyms, words) for item in element.value])
    if vr in DROPPED_VRS:
        return None
    if vr in TEXT_VRS:
        if keyword not in KEPT_TEXT:
            return None
        return _each(element.value, lambda text: clean_text(text, words))
    if vr == "UI":
        return _each(element.value, lambda uid: pseudonyms.uid(str(uid)) if uid else "")
    if vr in BINARY_VRS:
        return element.value if KEPT_BINARY.match(keyword) else None
    if vr in {"CS", "AS"}:
        return _each(element.value, lambda text: clean_text(text, None)) if keyword != "PatientAge" else None
    return element.value if _finite(element.value) else None


def _each(value: Any, change: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str | UID):
        return change(value)
    try:
        return [change(part) for part in value]
    except TypeError:
        return change(value)


def _finite(value: Any) -> bool:
    """Whether every number is finite: NaN has no place in a header, nor in JSON."""
    parts = value if isinstance(value, list | tuple) or hasattr(value, "append") else [value]
    for part in parts:
        try:
            if not math.isfinite(float(part)):
                return False
        except (TypeError, ValueError, OverflowError):
            continue
    return True


def clean_text(text: Any, words: re.Pattern[str] | None) -> str:
    """A text without control characters and, where `words` are given, without the patient's own."""
    plain = "".join(c for c in str(text) if c.isprintable() or c in "\n\t").strip()
    return words.sub(_MARK, plain) if words is not None else plain


def forbidden_words(header: Dataset) -> re.Pattern[str] | None:
    """A pattern that matches the names and numbers of the header wherever they stand as words."""
    found: set[str] = set()
    for keyword in NAMES:
        found.update(re.split(r"[\^=,\s_\\/.\-]+", _text_of(header, keyword)))
    for keyword in NUMBERS:
        found.add(_text_of(header, keyword))
    birth = _text_of(header, "PatientBirthDate")
    found.add(birth)
    names = {word for word in found if len(word) >= 3 and word.lower() not in NEUTRAL}
    long_enough = sorted(names, key=len, reverse=True)
    if not long_enough:
        return None
    return re.compile(
        r"(?<![^\W_])(?:" + "|".join(map(re.escape, long_enough)) + r")(?![^\W_])", re.IGNORECASE
    )


def _text_of(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).strip()


def age_years(header: Dataset) -> float | None:
    """The age at the examination: Patient's Age, else from the birth date and the study's date."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", _text_of(header, "PatientAge").upper())
    if match:
        return int(match[1]) * {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}[match[2]]
    born = _day(_text_of(header, "PatientBirthDate"))
    seen = next(
        (
            day
            for key in ("StudyDate", "SeriesDate", "AcquisitionDate")
            if (day := _day(_text_of(header, key)))
        ),
        None,
    )
    if born is None or seen is None or not 0 <= (seen - born).days <= 130 * 366:
        return None
    return float(seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day)))


def _day(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None
