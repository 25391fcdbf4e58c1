"""The demo dataset: phantom series written as DICOM, with the exact label of every pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
from pydicom import Dataset as DicomDataset

import synthesis
from synthesis.imaging.dicom_write import Making, Subject, derived_uid, synthetic_slices, to_bytes
from synthesis.imaging.plane import Plane
from synthesis.phantoms import DEMO_SERIES, PhantomSeries, SeriesPlan, phantom_series
from webapp.accounts.models import Role, User
from webapp.cases.models import Case, Dataset, MaskOrigin, ShareLevel
from webapp.cases.services import case_create_from_dicom, dataset_create, dataset_share, mask_save

NAME = "Demo: phantom abdomen"
DESCRIPTION = (
    "Drawn by Semblance from formulas; no patient was scanned. CT and MR series of made-up abdomens with the "
    "exact label of every pixel. Phantom 1 is there twice, without and with cirrhosis: the same person."
)
MASK_NAME = "Exact labels"
MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""A fixed date in the headers, so that the same phantom is the same file everywhere."""

_GUESTS = {
    Role.CLINICIAN: ShareLevel.ANNOTATE,
    Role.RESEARCHER: ShareLevel.ANNOTATE,
    Role.STUDY_LEAD: ShareLevel.VIEW,
}


def demo_make(
    *,
    owner: User,
    plans: Sequence[SeriesPlan] = DEMO_SERIES,
    shape: tuple[int, int, int] | None = None,
    report: Callable[[str], None] = lambda sentence: None,
) -> Dataset:
    """Make the demo dataset, or what is missing of it; where nothing is missing, change nothing.

    `report` is told one sentence per case made. The demo accounts (one per role, named after it)
    get their shares when the dataset is made.
    """
    dataset = Dataset.objects.filter(name=NAME).first()
    if dataset is None:
        dataset = dataset_create(
            user=owner,
            name=NAME,
            description=DESCRIPTION,
            licence="CC0-1.0",
            purpose="A first look at Semblance, and exact truth for tests.",
        )
        for role, level in _GUESTS.items():
            guest = User.objects.filter(username=role.value).first()
            if guest is not None and guest.pk != owner.pk and guest.has_role(role):
                dataset_share(user=owner, dataset=dataset, person=guest, level=level)
    for plan in plans:
        case = Case.objects.filter(series_uid=_series_uid(plan)).first()
        if case is not None and case.masks.exists():
            continue
        series = phantom_series(plan) if shape is None else phantom_series(plan, shape=shape)
        if case is None:
            case = _case(dataset, series)
            report(f"Made {plan.name}: {case.slice_count} slices.")
        mask_save(
            user=owner,
            case=case,
            name=MASK_NAME,
            array=series.labels.astype(np.uint16),
            labels=series.label_set,
            origin=MaskOrigin.SYNTHETIC,
        )
    return dataset


def _job(plan: SeriesPlan) -> str:
    return f"demo phantom/{plan.name}/{plan.seed}"


def _series_uid(plan: SeriesPlan) -> str:
    """The series UID that `synthetic_slices` gives the first image of this plan's job."""
    return derived_uid(_job(plan), 1, "series")


def series_files(series: PhantomSeries) -> Sequence[DicomDataset]:
    """A phantom series as DICOM datasets, one per slice; the same plan gives the same files."""
    plan = series.plan
    slices = synthetic_slices(
        series.stored,
        _planes(series),
        modality=plan.modality,
        making=Making(
            job=_job(plan),
            made_at=MADE_AT,
            model_name="phantom abdomen",
            model_version=synthesis.__version__,
            method="drawing from formulas (no network)",
            weights_sha256="none",
            description=f"Procedural phantom, seed {plan.seed}. No patient was scanned.",
        ),
        subject=Subject(
            patient_id=plan.person.upper().replace(" ", "-"),
            patient_name=f"SYNTHETIC^{plan.person}",
            sex=plan.attributes.sex,
            age=plan.attributes.age,
        ),
        thickness_mm=series.phantom.spacing_mm[0],
        description=series.description,
    )
    return list(slices)


def _case(dataset: Dataset, series: PhantomSeries) -> Case:
    return case_create_from_dicom(
        files=[to_bytes(file) for file in series_files(series)],
        name=series.plan.name,
        attributes=series.facts,
        is_synthetic=True,
        dataset=dataset,
    )


def _planes(series: PhantomSeries) -> list[Plane]:
    slices, rows, columns = series.stored.shape
    spacing = (float(series.affine[1, 1]), float(series.affine[0, 2]))
    planes = []
    for index in range(slices):
        x, y, z = (series.affine @ np.array([index, 0.0, 0.0, 1.0]))[:3]
        planes.append(
            Plane(
                position_mm=(float(x), float(y), round(float(z), 3)),
                orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
                spacing_mm=spacing,
                shape=(rows, columns),
            )
        )
    return planes
