"""A case out of stored instances: their order, geometry, units, and the records, in one transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F
from pydicom import Dataset as DicomDataset

from synthesis.imaging.dicom_read import FrameHeader, frame_headers, stack_geometry
from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.geometry import same_orientation
from webapp.cases.files import case_folder, keep_file, remove_folder
from webapp.cases.importing.store import StoredInstance
from webapp.cases.models import Case, Instance

_SHIFT = 1_000_000
"""Added to numbers while a stack is renumbered, so that no two rows share one meanwhile."""


@dataclass(frozen=True, kw_only=True)
class CaseFacts:
    """What a new case is called and what is known about it."""

    name: str
    source_format: str
    patient: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    is_synthetic: bool = False
    original: Path | None = None
    original_name: str = ""
    geometry_extra: dict[str, Any] = field(default_factory=dict)
    derived_from: Case | None = None


@dataclass(frozen=True, kw_only=True)
class _Member:
    """One instance in a stack, new or already stored."""

    frames: tuple[FrameHeader, ...]
    pixel_sha256: str
    instance_number: int
    new: StoredInstance | None = None
    old: Instance | None = None


def case_create(
    *,
    facts: CaseFacts,
    stored: Sequence[StoredInstance],
    dataset: Any = None,
    owner: Any = None,
    on_open: Callable[[UUID], None] = lambda case_id: None,
    within: Callable[[Case], None] = lambda case: None,
    case_id: UUID | None = None,
) -> Case:
    """Move the files into the storage and write the case with its instances; all of it or nothing.

    Args:
        on_open: told the new case's id before its first file is moved, so that a killed import can
            be cleared up.
        within: called with the new case inside the same transaction (the report's entries).
        case_id: the new case's id, where the caller has already noted it; a fresh one otherwise.

    Raises:
        UnreadableFile: when the instances do not make one stack.
    """
    members = [_new_member(item) for item in stored]
    first = stored[0]
    case = Case(
        id=case_id or uuid4(),
        dataset=dataset,
        owner=owner,
        name=facts.name[:120],
        patient=facts.patient,
        modality=first.image.modality,
        source_format=facts.source_format,
        attributes=facts.attributes,
        study_uid=_uid(first, "0020000D"),
        series_uid=_uid(first, "0020000E"),
        frame_of_reference_uid=_uid(first, "00200052"),
        series_description=_uid(first, "0008103E")[:200],
        is_synthetic=facts.is_synthetic,
        derived_from=facts.derived_from,
    )
    order = _lay_out(case, members)
    case.geometry |= facts.geometry_extra
    folder = case_folder(case.id)
    on_open(case.id)
    try:
        if facts.original is not None:
            case.original_file = keep_file(facts.original, f"{folder}/{facts.original_name}")
        rows = [_row(case, members[i], number) for number, i in enumerate(order, start=1)]
        with transaction.atomic():
            case.save(force_insert=True)
            Instance.objects.bulk_create(rows, batch_size=200)
            within(case)
    except BaseException:
        remove_folder(folder)
        raise
    return case


def case_extend(
    *,
    case: Case,
    stored: Sequence[StoredInstance],
    within: Callable[[Case], None] = lambda case: None,
) -> list[int | None]:
    """Add further slices of the same series to a case, in their places.

    Returns:
        For each slice of the new stack its index in the old one, or None for a new slice.

    Raises:
        UnreadableFile: when the new slices do not fit the stack.
    """
    before = {(i["sop"], f): k for k, (i, f) in enumerate(_places(case))}
    old = [_old_member(case, row) for row in case.instances.all()]
    members = [*old, *(_new_member(item) for item in stored)]
    order = _lay_out(case, members)
    added: list[str] = []
    try:
        with transaction.atomic():
            case.instances.update(number=F("number") + _SHIFT)
            new_rows = []
            for number, i in enumerate(order, start=1):
                member = members[i]
                if member.old is not None:
                    Instance.objects.filter(pk=member.old.pk).update(number=number)
                else:
                    new_rows.append(_row(case, member, number))
                    added.append(new_rows[-1].file)
            Instance.objects.bulk_create(new_rows, batch_size=200)
            case.save()
            within(case)
    except BaseException:
        _forget(added)
        raise
    return [before.get((i["sop"], f)) for i, f in _places(case)]


def _forget(names: list[str]) -> None:
    for name in names:
        default_storage.delete(name)


def _places(case: Case) -> list[tuple[dict[str, Any], int]]:
    """For each slice its instance (number and UID) and frame."""
    by_number = {row.number: {"sop": row.sop_instance_uid} for row in case.instances.all()}
    return [(by_number[number], frame) for number, frame in case.stack]


def _new_member(item: StoredInstance) -> _Member:
    return _Member(
        frames=item.image.frames,
        pixel_sha256=item.pixel_sha256,
        instance_number=item.image.instance_number or 0,
        new=item,
    )


def _old_member(case: Case, row: Instance) -> _Member:
    header = DicomDataset.from_json(row.metadata)
    return _Member(
        frames=frame_headers(header, row.frame_count),
        pixel_sha256=row.pixel_sha256,
        instance_number=row.instance_number or 0,
        old=row,
    )


def _lay_out(case: Case, members: Sequence[_Member]) -> list[int]:
    """Fill in everything about the stack; returns the members' order."""
    frames = [(m, k) for m, member in enumerate(members) for k in range(len(member.frames))]
    headers = [members[m].frames[k] for m, k in frames]
    formats = {_shape(member) for member in members}
    if len(formats) != 1:
        raise UnreadableFile("The images have different sizes: they are not one stack.")
    rows, columns, colour = formats.pop()
    numbers = [members[m].instance_number * 100_000 + k for m, k in frames]
    geometry, order = stack_geometry(headers, (rows, columns), numbers=numbers)
    placed = [frames[i] for i in order]
    member_order = list(dict.fromkeys(m for m, _ in placed))
    number_of = {m: number for number, m in enumerate(member_order, start=1)}
    slopes = [members[m].frames[k].slope for m, k in placed]
    intercepts = [members[m].frames[k].intercept for m, k in placed]
    units = {header.units for header in headers}
    row_spacing, column_spacing, slice_spacing = geometry.spacing_mm
    window = headers[len(headers) // 2].window or next((h.window for h in headers if h.window), None)
    case.rows, case.columns, case.slice_count, case.is_colour = rows, columns, len(placed), colour
    case.spacing_mm = [row_spacing, column_spacing, slice_spacing]
    case.units = units.pop() if len(units) == 1 else "value"
    case.window_center, case.window_width = window or (None, None)
    case.geometry = geometry.to_json() | {
        "slope": _short(slopes),
        "intercept": _short(intercepts),
        "spacing_known": headers[0].spacing_mm is not None,
    }
    case.stack = [[number_of[m], k] for m, k in placed]
    described = json.dumps([case.spacing_mm, np.round(geometry.affine, 3).tolist(), case.geometry["slope"]])
    digest = hashlib.sha256(described.encode())
    for m in member_order:
        digest.update(members[m].pixel_sha256.encode())
    case.content_sha256 = digest.hexdigest()
    return member_order


def _shape(member: _Member) -> tuple[int, int, bool]:
    if member.new is not None:
        pixels = member.new.image.format
        return pixels.rows, pixels.columns, pixels.is_colour
    row = member.old
    if row is None:
        raise ValueError("member: expected a new or an old instance, got neither.")
    return row.rows, row.columns, row.case.is_colour


def _short(values: list[float]) -> list[float]:
    return values[:1] if len(set(values)) == 1 else values


def _row(case: Case, member: _Member, number: int) -> Instance:
    """Move one file into the storage and describe it."""
    item = member.new
    if item is None:
        raise ValueError("member: expected a new instance, got a stored one.")
    name = f"{case_folder(case.id)}/{item.sop_instance_uid}.dcm"
    first = item.image.frames[0]
    position = None
    if first.position_mm is not None and first.orientation is not None:
        normal = np.cross(first.orientation[:3], first.orientation[3:])
        position = float(np.dot(normal, first.position_mm))
    return Instance(
        case=case,
        sop_instance_uid=item.sop_instance_uid,
        sop_class_uid=item.sop_class_uid,
        number=number,
        instance_number=item.image.instance_number,
        rows=item.image.format.rows,
        columns=item.image.format.columns,
        frame_count=len(item.frame_index),
        transfer_syntax_uid=item.transfer_syntax_uid,
        file=keep_file(item.path, name),
        size=item.size,
        pixel_sha256=item.pixel_sha256,
        position_mm=position,
        metadata=item.metadata,
        frame_index=item.frame_index,
    )


def _uid(item: StoredInstance, tag: str) -> str:
    values = item.metadata.get(tag, {}).get("Value") or [""]
    return str(values[0] or "")


def fits(frame: FrameHeader, other: FrameHeader) -> bool:
    """Whether two frames point the same way (or neither says)."""
    if frame.orientation is None or other.orientation is None:
        return frame.orientation is other.orientation
    return same_orientation(frame.orientation, other.orientation)
