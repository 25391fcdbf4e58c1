"""Reading datasets, cases, masks and imports, always as a person who may see them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any, Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.core.files.storage import default_storage
from django.db.models import Count, Q, QuerySet
from pydicom import Dataset as DicomDataset

from synthesis.imaging.dicom_pixels import decode_frame
from synthesis.imaging.dicom_read import pixel_format
from synthesis.imaging.geometry import Geometry
from synthesis.imaging.volume import Slice, Volume, real_values
from webapp.cases.models import Case, Dataset, ImportRun, Instance, Mask
from webapp.cases.rules import visible_cases, visible_datasets
from webapp.core.errors import NotVisible

READ_BYTES = 1 << 18


class Readable(Protocol):
    """Whatever bytes are read from: a stored file, or one in memory."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end."""
        ...


def dataset_list_for(*, user: Any) -> QuerySet[Dataset]:
    """The datasets that the person may see, each with `case_count`."""
    return (
        Dataset.objects.filter(visible_datasets(user))
        .annotate(case_count=Count("cases", distinct=True))
        .select_related("owner")
    )


def dataset_get_for(*, user: Any, id: UUID | str) -> Dataset:
    """One dataset.

    Raises:
        NotVisible: when it does not exist or the person may not see it.
    """
    dataset = dataset_list_for(user=user).filter(pk=id).first()
    if dataset is None:
        raise NotVisible()
    return dataset


def case_list_for(
    *,
    user: Any,
    dataset: Dataset | None = None,
    search: str = "",
    modality: str = "",
    masked: bool | None = None,
) -> QuerySet[Case]:
    """The cases that the person may see, narrowed to a dataset, a word, a modality, or those with masks.

    Each has `mask_count` (current masks). The heavy geometry stays unread.
    """
    cases = Case.objects.filter(visible_cases(user)).select_related("dataset", "owner").defer("stack")
    if dataset is not None:
        cases = cases.filter(dataset=dataset)
    if modality:
        cases = cases.filter(modality=modality)
    if search:
        cases = cases.filter(
            Q(name__icontains=search) | Q(series_description__icontains=search) | Q(patient__icontains=search)
        )
    cases = cases.annotate(
        mask_count=Count("masks", filter=Q(masks__replaced_by__isnull=True), distinct=True)
    )
    if masked is not None:
        cases = cases.filter(mask_count__gt=0) if masked else cases.filter(mask_count=0)
    return cases


def case_get_for(*, user: Any, id: UUID | str) -> Case:
    """One case.

    Raises:
        NotVisible: when it does not exist or the person may not see it.
    """
    case = Case.objects.filter(visible_cases(user), pk=id).select_related("dataset", "owner").first()
    if case is None:
        raise NotVisible()
    return case


def mask_list_for_case(*, case: Case) -> QuerySet[Mask]:
    """The case's current masks, by name; replaced versions are left out."""
    return case.masks.filter(replaced_by__isnull=True).select_related("created_by").order_by("name")


def mask_get_for(*, user: Any, id: UUID | str) -> Mask:
    """One mask of a case that the person may see.

    Raises:
        NotVisible: when it does not exist or the person may not see it.
    """
    cases = Case.objects.filter(visible_cases(user))
    mask = Mask.objects.filter(pk=id, case__in=cases).select_related("case", "case__dataset").first()
    if mask is None:
        raise NotVisible()
    return mask


def mask_array(mask: Mask) -> npt.NDArray[np.uint16]:
    """The mask's label values [slices, rows, columns], in the case's stack order.

    Raises:
        ValueError: when the stored file does not hold what the record says.
    """
    array = np.empty(mask.shape, np.uint16)
    for index, values in enumerate(mask_slices(mask)):
        array[index] = values
    return array


def mask_slices(mask: Mask) -> Iterator[npt.NDArray[np.uint16]]:
    """The mask's slices [rows, columns], not to be written to, one after another: only one is held.

    Raises:
        ValueError: when the stored file does not hold what the record says.
    """
    slices, rows, columns = mask.shape
    size, got = rows * columns * 2, 0
    with default_storage.open(mask.file, "rb") as file:
        for data in inflated(file, size):
            got += len(data)
            if len(data) < size or got > slices * size:
                break
            yield np.frombuffer(data, dtype="<u2").reshape(rows, columns)
    if got != slices * size:
        raise ValueError(f"mask {mask.pk}: expected {slices * size} bytes, got {got}.")


def mask_slice(mask: Mask, index: int) -> npt.NDArray[np.uint16]:
    """One slice of the mask (from 0) [rows, columns], not to be written to.

    Raises:
        ValueError: when the stored file does not hold it.
    """
    found = next(islice(mask_slices(mask), index, None), None)
    if found is None:
        raise ValueError(f"mask {mask.pk}: expected more than {index} slices.")
    return found


def inflated(file: Readable, size: int) -> Iterator[bytes]:
    """What a zlib file holds in pieces of `size` bytes, the last one perhaps shorter; what follows its end is
    left.
    """
    stream, piece = zlib.decompressobj(), bytearray()
    while not stream.eof:
        packed = stream.unconsumed_tail or file.read(READ_BYTES)
        more = stream.decompress(packed, size - len(piece))
        piece += more
        if len(piece) == size:
            yield bytes(piece)
            piece.clear()
        elif not packed and not more:
            break
    if piece:
        yield bytes(piece)


def import_list_for(*, user: Any, dataset: Dataset) -> QuerySet[ImportRun]:
    """The imports into a dataset that the person may see, newest first."""
    return ImportRun.objects.filter(dataset=dataset, dataset__in=dataset_list_for(user=user))


def import_get_for(*, user: Any, id: UUID | str) -> ImportRun:
    """One import.

    Raises:
        NotVisible: when it does not exist or the person may not see it.
    """
    from webapp.core.permissions import can

    run = ImportRun.objects.filter(pk=id).select_related("dataset", "owner").first()
    if run is None or not can(user, "view", run):
        raise NotVisible()
    return run


# ---------------------------------------------------------------------------- pixels


def case_geometry(case: Case) -> Geometry:
    """How the case's array lies in the patient."""
    return Geometry.from_json(case.geometry)


def case_stored_slice(case: Case, index: int) -> npt.NDArray[Any]:
    """The stored values of one slice (from 0), [rows, columns] or [rows, columns, 3].

    Raises:
        ValueError: when the case has no such slice.
    """
    if not 0 <= index < case.slice_count:
        raise ValueError(f"index: expected 0 to {case.slice_count - 1}, got {index}.")
    number, frame = case.stack[index]
    return instance_frame(case.instances.get(number=number), frame)


def instance_frame(instance: Instance, frame: int) -> npt.NDArray[Any]:
    """The stored values of one frame (from 0), reading only its bytes."""
    pieces = []
    with default_storage.open(instance.file, "rb") as file:
        for offset, length in instance.frame_index[frame]:
            file.seek(offset)
            pieces.append(file.read(length))
    header = DicomDataset.from_json(
        {tag: value for tag, value in instance.metadata.items() if tag.startswith("0028")}
    )
    return decode_frame(pixel_format(header, instance.transfer_syntax_uid), pieces, palette=header)


def _meaning(case: Case, index: int) -> tuple[float, float]:
    slope, intercept = case.geometry.get("slope") or [1.0], case.geometry.get("intercept") or [0.0]
    return slope[index if len(slope) > 1 else 0], intercept[index if len(intercept) > 1 else 0]


def case_slice(case: Case, index: int) -> Slice:
    """One slice (from 0, in stack order) in real units, float32, with its spacing and place.

    Raises:
        ValueError: when the case has no such slice.
    """
    stored = case_stored_slice(case, index)
    geometry = case_geometry(case)
    x, y, z = (float(value) for value in geometry.position_of(index))
    return Slice(
        array=real_values(stored, *_meaning(case, index)),
        spacing_mm=geometry.spacing_mm[:2],
        units=case.units,
        index=index,
        position_mm=(x, y, z),
        orientation=geometry.orientation,
        is_placed=geometry.is_known,
        thickness_mm=geometry.spacing_mm[2],
    )


def case_volume(case: Case) -> Volume:
    """The whole stack as stored values with their meaning; holds all of it in memory."""
    instances = {instance.number: instance for instance in case.instances.all()}
    stored = [instance_frame(instances[number], frame) for number, frame in case.stack]
    meanings = [_meaning(case, index) for index in range(case.slice_count)]
    return Volume(
        stored=np.stack(stored),
        slope=np.array([slope for slope, _ in meanings], dtype=np.float64),
        intercept=np.array([intercept for _, intercept in meanings], dtype=np.float64),
        geometry=case_geometry(case),
        units=case.units,
        modality=case.modality,
    )
