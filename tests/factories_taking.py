"""An open study as its readers meet it, without the lead's half: items in the storage, orders, places."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from tests import factories

ROWS = COLUMNS = 64


def picture(number: int, frames: int = 1) -> np.ndarray:
    """int16 [frames, rows, columns]: a disc on a slope, in another place for every item and frame."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    stack = []
    for frame in range(frames):
        radius = np.hypot(rows - 20 - (7 * number) % 25, columns - 20 - (11 * number + 6 * frame) % 25)
        stack.append(np.where(radius < 12, 80 + 20 * frame, rows - 60))
    return np.stack(stack).astype("<i2")


def item(reading: Any, number: int, *, role: str = "main", pixels: np.ndarray | None = None) -> Any:
    """One item of a study with its pixels in the storage; every second one is synthetic."""
    from webapp.readings.models import ItemTruth, ReadingItem

    array = picture(number) if pixels is None else pixels
    data = np.ascontiguousarray(array, dtype="<i2").tobytes()
    name = default_storage.save(f"readings/{hashlib.sha256(data).hexdigest()[:32]}.bin", ContentFile(data))
    arm = "synthetic" if number % 2 else "real"
    made = ReadingItem.objects.create(
        reading=reading,
        role=role,
        number=number,
        modality="CT",
        frames=array.shape[0],
        rows=array.shape[1],
        columns=array.shape[2],
        spacing_mm=[0.8, 0.8],
        window_center=40.0,
        window_width=400.0,
        pixels=name,
        pixels_sha256=hashlib.sha256(data).hexdigest(),
        feedback=f"This image is {arm}." if role == "training" else "",
    )
    ItemTruth.objects.create(item=made, arm=arm, patient=f"patient-{number}")
    return made


def place(reading: Any, reader: Any, order: Sequence[Any], *, spread: Sequence[int] | None = None) -> Any:
    """A reader's place with an order of items; the second showing of an item is a hidden repeat."""
    from webapp.readings.models import Assignment, Place

    made = Place.objects.create(
        reading=reading, user=reader, number=reading.places.count() + 1, invited_by=reading.owner
    )
    first: dict[Any, Any] = {}
    for position, one in enumerate(order):
        row = Assignment.objects.create(
            place=made,
            position=position,
            session=spread[position] if spread else 1,
            item=one,
            repeats=first.get(one.pk),
        )
        first.setdefault(one.pk, row)
    return made


def study(
    readers: Sequence[Any],
    *,
    items: int = 4,
    roles: dict[int, str] | None = None,
    frames: int = 1,
    spread: Sequence[int] | None = None,
    draw: Callable[[int, int], np.ndarray] = picture,
    **protocol: Any,
) -> Any:
    """An open study: `items` items in the same order for every reader, `protocol` beside the defaults.

    spread: the session of each position.
    """
    from webapp.readings.models import Reading
    from webapp.readings.protocol import Protocol

    data = Protocol().to_json() | {"instructions": "Look at each image as in your daily work."} | protocol
    reading = Reading.objects.create(
        title="Livers, real or not",
        summary="A small study.",
        owner=factories.person("study_lead"),
        state=Reading.State.OPEN,
        protocol=data,
        protocol_sha256="0" * 64,
        launched_at=timezone.now(),
    )
    made = [
        item(reading, number, role=(roles or {}).get(number, "main"), pixels=draw(number, frames))
        for number in range(items)
    ]
    for reader in readers:
        place(reading, reader, made, spread=spread)
    return reading
