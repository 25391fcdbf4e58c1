"""What a counterfactual's DICOM keeps of its source: its slices, its patient's pseudonym, its spacing."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

from pydicom.tag import Tag

from synthesis.imaging.dicom_write import Source, Subject, derived_uid
from webapp.cases.models import Case
from webapp.cases.selectors import case_geometry

YEARS_OF = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


UNKNOWN_THICKNESS_MM = 5.0


def thickness_of(case: Case, index: int) -> float:
    """How thick a slice is, in mm: as its header says, else as far as slices lie apart, else 5.

    What is no length (zero, negative, not a number) counts as not said.
    """
    between = case.spacing_mm[2] if len(case.spacing_mm) > 2 else None
    for told in (_text(_instance(case, index)[0].metadata, "SliceThickness"), between):
        try:
            thickness = float(told or 0.0)
        except ValueError:
            continue
        if isfinite(thickness) and thickness > 0:
            return thickness
    return UNKNOWN_THICKNESS_MM


def _instance(case: Case, index: int) -> Any:
    number, frame = case.stack[index]
    return case.instances.get(number=number), int(frame)


def source_of(case: Case, index: int) -> Source:
    """The slice that was changed, as DICOM names it.

    A source without a frame of reference gets one; so does one that does not say where it lies, for nothing
    that is laid around it lies in its own.
    """
    instance, frame = _instance(case, index)
    own = case.frame_of_reference_uid if case_geometry(case).is_known else ""
    return Source(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        study_uid=case.study_uid,
        frame_of_reference_uid=own or derived_uid(case.series_uid, "frame of reference"),
        frame_number=frame + 1 if instance.frame_count > 1 else None,
        patient_position=_text(instance.metadata, "PatientPosition"),
    )


def subject_of(case: Case) -> Subject:
    """The source's pseudonym, sex and age: one patient of one study has one of each, whatever is shown."""
    instance, _frame = _instance(case, 0)
    number, name = (_text(instance.metadata, keyword) for keyword in ("PatientID", "PatientName"))
    pseudonym = number or case.patient or f"SOURCE-{str(case.pk)[:8].upper()}"
    return Subject(
        patient_id=pseudonym,
        patient_name=name or pseudonym,
        sex=_text(instance.metadata, "PatientSex") or None,
        age=_years(_text(instance.metadata, "PatientAge")),
    )


def _years(text: str) -> float | None:
    """An age string of DICOM ("058Y", "006M") in years; None where it is none."""
    match = re.fullmatch(r"(\d{3})([DWMY])", text)
    return int(match[1]) * YEARS_OF[match[2]] if match else None


def _text(metadata: dict[str, Any], keyword: str) -> str:
    """A value of the DICOM JSON model as text; empty where there is none."""
    values = metadata.get(f"{int(Tag(keyword)):08X}", {}).get("Value") or [""]
    first = values[0]
    return str(first.get("Alphabetic", "") if isinstance(first, dict) else first or "")
