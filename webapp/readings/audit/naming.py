"""Checks that need no statistics: what names its source, holds a date, or is constant within each arm."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from webapp.readings.audit.observation import Observation

# Beginnings of words by which a source gives itself away.
TELLING = (
    "synthetic", "synthesi", "synth", "generated", "generator", "artificial", "fake", "simulat", "phantom",
    "semblance", "diffusion", "maisi", "victr", "rectified flow", "monai", "seed", "derived",
    "counterfactual", "genuine", "authentic", "original", "siemens", "philips", "toshiba", "canon medical",
    "ge medical", "hitachi", "fujifilm", "hologic",
    "known_bad", "known-bad", "reconstructed", "ground_truth", "correct",
)  # fmt: skip

# DICOM attributes that tell where an image came from; none is needed to draw it.
TELLING_TAGS: Mapping[str, str] = {
    "0008001C": "Synthetic Data",
    "00080008": "Image Type",
    "00080012": "Instance Creation Date",
    "00080013": "Instance Creation Time",
    "00080014": "Instance Creator UID",
    "00080020": "Study Date",
    "00080021": "Series Date",
    "00080022": "Acquisition Date",
    "00080023": "Content Date",
    "0008002A": "Acquisition Date Time",
    "00080030": "Study Time",
    "00080031": "Series Time",
    "00080032": "Acquisition Time",
    "00080033": "Content Time",
    "00080050": "Accession Number",
    "00080070": "Manufacturer",
    "00080080": "Institution Name",
    "00081010": "Station Name",
    "00081030": "Study Description",
    "0008103E": "Series Description",
    "00081090": "Manufacturer's Model Name",
    "00082111": "Derivation Description",
    "00082112": "Source Image Sequence",
    "00089205": "Pixel Presentation",
    "00100010": "Patient's Name",
    "00100020": "Patient ID",
    "00100030": "Patient's Birth Date",
    "00100040": "Patient's Sex",
    "00101010": "Patient's Age",
    "00180015": "Body Part Examined",
    "00180022": "Scan Options",
    "00180050": "Slice Thickness",
    "00180060": "KVP",
    "00181000": "Device Serial Number",
    "00181020": "Software Versions",
    "00181030": "Protocol Name",
    "00181151": "X-Ray Tube Current",
    "00181210": "Convolution Kernel",
    "00189004": "Content Qualification",
    "0018A001": "Contributing Equipment Sequence",
    "00200010": "Study ID",
    "00204000": "Image Comments",
    "00280301": "Burned In Annotation",
    "00280302": "Recognizable Visual Features",
    "00282110": "Lossy Image Compression",
    "00420010": "Document Title",
}

_WORDS = re.compile(r"(?<![a-z])(" + "|".join(re.escape(word) for word in TELLING) + ")")
_TAG = re.compile(r"(?:^|[.\] ])([0-9A-Fa-f]{8})(?=[.\s]|$)")
_ISO = re.compile(r"(?:19|20)\d\d-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?")
_DICOM_DATE = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{6}(?:\.\d+)?)?")
LEAST_CONSTANT = 3  # items of an arm: the last two of an order differ from the rest, whatever their arm
CLOCK_SLACK_S = 120.0  # a time this close to the answer's own is the server's clock


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a check found: the feature, its values [n], and in words what is wrong with it."""

    feature: str
    values: tuple[Any, ...]
    words: str
    varies: bool


def rules(observations: Sequence[Observation], table: Mapping[str, Sequence[Any]]) -> Iterator[Rule]:
    """Every check over the table (name -> one value per item, None where absent)."""
    arms = [observation.arm for observation in observations]
    clock = [
        [exchange.begun for exchange in observation.exchanges if exchange.begun]
        for observation in observations
    ]
    for name, values in table.items():
        varies = len({repr(value) for value in values}) > 1
        if not varies and not _TAG.search(name):
            continue
        found = _telling(name, values) or _dated(values, clock) or _constant_within(values, arms)
        if found and (varies or found.startswith("is a DICOM attribute")):
            yield Rule(feature=name, values=tuple(values), words=found, varies=varies)


def _telling(name: str, values: Sequence[Any]) -> str:
    """Names a DICOM attribute or holds a word that tells the source."""
    tags = [tag.upper() for tag in _TAG.findall(name) if tag.upper() in TELLING_TAGS]
    if tags and any(value not in (None, "", "null") for value in values):
        words = ", ".join(f"{TELLING_TAGS[tag]} ({tag[:4]},{tag[4:]})" for tag in tags)
        return f"is a DICOM attribute that tells where an image came from: {words}"
    texts = [name, *(value for value in values if isinstance(value, str))]
    held = {word for text in texts for word in _WORDS.findall(text.lower())}
    if held:
        found = ", ".join(f'"{word}"' for word in sorted(held))
        return f"holds a word that names a source: {found}"
    return ""


def _dated(values: Sequence[Any], clock: Sequence[Sequence[float]]) -> str:
    """Holds a date or time that is not simply the moment of the answer."""
    for value, begun in zip(values, clock, strict=True):
        moment = date_in(value)
        if moment is not None and not any(abs(moment - one) <= CLOCK_SLACK_S for one in begun):
            return "holds a date of the item"
    return ""


def date_in(value: Any) -> float | None:
    """Unix time of the first date in a text (HTTP, ISO 8601 or DICOM), or None."""
    if not isinstance(value, str) or len(value) > 2000:
        return None
    try:
        if match := _ISO.search(value):
            moment = datetime.fromisoformat(match.group())
        elif _DICOM_DATE.fullmatch(value):
            moment = datetime.strptime(value[:8], "%Y%m%d")
        elif " GMT" in value:
            moment = parsedate_to_datetime(value.split(";")[0])
        else:
            return None
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _constant_within(values: Sequence[Any], arms: Sequence[str]) -> str:
    """The same for every item of an arm, and another for every item of the other."""
    by_arm = {arm: [repr(v) for v, one in zip(values, arms, strict=True) if one == arm] for arm in set(arms)}
    if len(by_arm) != 2 or min(map(len, by_arm.values())) < LEAST_CONSTANT:
        return ""
    first, second = ({*own} for own in by_arm.values())
    if len(first) == len(second) == 1 and first != second:
        return "is the same for every item of one arm and different for every item of the other"
    return ""
