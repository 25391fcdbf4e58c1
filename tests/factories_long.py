"""A long CT series of large slices: a round body, whose mask shows a liver on a few of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from synthesis.imaging.dicom_write import Making, Subject, synthetic_slices, to_bytes
from synthesis.imaging.plane import Plane
from synthesis.phantoms.labels import LABEL_SET, LIVER, MUSCLE
from tests import factories

SIDE = 512
SPACING = 400.0 / SIDE
MAKING = Making(
    job="long series",
    made_at=datetime(2026, 1, 2, tzinfo=UTC),
    model_name="formulas",
    model_version="1",
    method="drawing from formulas (no network)",
    weights_sha256="none",
    description="A round body. No patient was scanned.",
)


def long_case(person: Any, *, slices: int, shown: int = 2, side: int = SIDE) -> Any:
    """The series [slices, side, side] in a dataset shared with the person; `shown` slices have a liver.

    All others have the same mask without one, but for the first, which has none.
    """
    from webapp.cases.models import DatasetShare
    from webapp.cases.services import case_create_from_dicom, mask_save

    lead = factories.person("data_manager")
    dataset = factories.dataset(owner=lead)
    DatasetShare.objects.create(dataset=dataset, user=person, level="annotate")
    rows, columns = np.ogrid[:side, :side]
    away = np.hypot(rows - side / 2, columns - side / 2) * (SIDE / side)
    body, liver = away < 190, np.hypot(rows - side * 0.45, columns - side * 0.35) < side * 0.12
    texture = np.random.default_rng(1).integers(-12, 13, (side, side))
    picture = np.where(liver, 60, 40) + texture
    labels = np.where(body, MUSCLE, 0).astype(np.uint16)
    mask = np.repeat(labels[None], slices, axis=0)
    mask[0] = 0
    mask[2 : 2 + shown, liver] = LIVER
    planes = [
        Plane(
            position_mm=(-200.0, -200.0, 2.0 * place),
            orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            spacing_mm=(400.0 / side, 400.0 / side),
            shape=(side, side),
        )
        for place in range(slices)
    ]
    files = synthetic_slices(
        np.stack([np.where(body, picture + place % 7, -1000).astype(np.int16) for place in range(slices)]),
        planes,
        modality="CT",
        making=replace(MAKING, job=f"{MAKING.job} of {slices}"),
        subject=Subject(patient_id="ROUND-1", patient_name="ROUND^BODY", sex="M", age=50.0),
        thickness_mm=2.0,
    )
    case = case_create_from_dicom(
        files=[to_bytes(file) for file in files], name="Round body", is_synthetic=True, dataset=dataset
    )
    known = [{"value": one.value, "name": one.name} for one in LABEL_SET if one.value]
    mask_save(user=lead, case=case, name="Drawn", array=mask, labels=known, origin="painted")
    return case
