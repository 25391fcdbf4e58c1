"""What the viewers on the pages are told about cases and masks (see frontend/src/viewer/types.ts)."""

from collections.abc import Iterable
from typing import Any

from django.urls import reverse

from synthesis.phantoms.labels import LABEL_SET, LIVER
from webapp.cases.models import Case, Mask

Config = dict[str, Any]


def series_url(case: Case) -> str:
    """The DICOMweb address of a case's series."""
    return reverse("dicomweb:series", kwargs={"study": case.study_uid, "series": case.series_uid})


def _frames(case: Case) -> list[Config]:
    """Every slice in stack order: its instance, its frame from 1, and where it lies along the normal."""
    uids = dict(case.instances.values_list("number", "sop_instance_uid"))
    positions = case.geometry.get("positions_mm", []) if case.geometry.get("is_known") else []
    return [
        {
            "sop": uids[number],
            "frame": frame + 1,
            "position_mm": round(positions[place], 3) if place < len(positions) else None,
        }
        for place, (number, frame) in enumerate(case.stack)
    ]


def _spacing_is_known(case: Case) -> bool:
    """Whether the spacing was told: a photograph, which has no place either, is held at 1 mm by 1 mm."""
    told = bool(case.spacing_mm) and all(case.spacing_mm[:2])
    return told and (bool(case.geometry.get("is_known")) or list(case.spacing_mm[:2]) != [1.0, 1.0])


def case_config(case: Case) -> Config:
    """One case for a viewport."""
    has_window = case.window_center is not None and case.window_width is not None
    return {
        "id": str(case.pk),
        "name": case.name,
        "modality": case.modality,
        "units": case.units,
        "description": case.series_description,
        "is_synthetic": case.is_synthetic,
        "is_colour": case.is_colour,
        "rows": case.rows,
        "columns": case.columns,
        "spacing_mm": case.spacing_mm if _spacing_is_known(case) else None,
        "window": {"center": case.window_center, "width": case.window_width} if has_window else None,
        "series_url": series_url(case),
        "frames": _frames(case),
    }


def mask_config(mask: Mask) -> Config:
    """One saved mask."""
    return {
        "id": str(mask.pk),
        "name": mask.name,
        "version": mask.version,
        "origin": mask.origin,
        "labels": mask.labels,
        "shape": mask.shape,
        "url": reverse("cases:mask-voxels", kwargs={"case_id": mask.case_id, "mask_id": mask.pk}),
    }


def pane_config(title: str, case: Case, *, slice_index: int = 0, mask: Mask | None = None) -> Config:
    """One viewport of the result page; the mask must be this case's own."""
    return {
        "title": title,
        "case": case_config(case),
        "slice": slice_index,
        "mask": mask_config(mask) if mask is not None else None,
    }


def palette() -> list[Config]:
    """The labels that a new mask begins with: those that the shipped model understands."""
    return [
        {"value": label.value, "name": label.name, "color": label.color}
        for label in LABEL_SET
        if label.value != 0
    ]


def case_viewer_config(
    case: Case, masks: Iterable[Mask], *, may_annotate: bool, slice_index: int, mask_id: str | None
) -> Config:
    """The case page's whole configuration."""
    return {
        "case": case_config(case),
        "masks": [mask_config(mask) for mask in masks],
        "masks_url": reverse("cases:mask-list", kwargs={"case_id": case.pk}),
        "may_annotate": may_annotate,
        "palette": palette(),
        "paint_first": LIVER,
        "slice": slice_index,
        "mask": mask_id,
    }
