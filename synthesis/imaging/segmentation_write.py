"""Masks as DICOM SEG through highdicom, with coded segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import highdicom
import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.sr.coding import Code

import synthesis
from synthesis.imaging.dicom_write import MANUFACTURER, Making, derived_uid, mark_synthetic
from synthesis.imaging.labelmaps import concept_of

STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
TISSUE = Code("85756007", "SCT", "Tissue")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
SUBSTANCE = Code("91720002", "SCT", "Body Substance")

# Name in the abdomen label set -> category and type (PS3.16 CID 7150, 7151 and SNOMED CT).
CODES: Mapping[str, tuple[Code, Code]] = {
    "fat": (TISSUE, Code("55603005", "SCT", "Adipose tissue")),
    "muscle": (STRUCTURE, Code("127954009", "SCT", "Skeletal muscle")),
    "bone": (STRUCTURE, Code("272673000", "SCT", "Bone")),
    "ribs": (STRUCTURE, Code("113197003", "SCT", "Rib")),
    "liver": (STRUCTURE, Code("10200004", "SCT", "Liver")),
    "spleen": (STRUCTURE, Code("78961009", "SCT", "Spleen")),
    "kidneys": (STRUCTURE, Code("64033007", "SCT", "Kidney")),
    "pancreas": (STRUCTURE, Code("15776009", "SCT", "Pancreas")),
    "stomach": (STRUCTURE, Code("69695003", "SCT", "Stomach")),
    "bowel": (STRUCTURE, Code("113276009", "SCT", "Intestine")),
    "gallbladder": (STRUCTURE, Code("28231008", "SCT", "Gallbladder")),
    "aorta": (STRUCTURE, Code("15825003", "SCT", "Aorta")),
    "veins": (STRUCTURE, Code("29092000", "SCT", "Vein")),
    "lung": (STRUCTURE, Code("39607008", "SCT", "Lung")),
    "ascites": (SUBSTANCE, Code("389026000", "SCT", "Ascites")),
    "lesion": (ABNORMAL, Code("52988006", "SCT", "Lesion")),
    "spinal canal": (STRUCTURE, Code("61853006", "SCT", "Vertebral canal")),
    "skin": (STRUCTURE, Code("39937001", "SCT", "Skin")),
    "body (unspecified)": (STRUCTURE, Code("38266002", "SCT", "Entire body")),
}


@dataclass(frozen=True, kw_only=True)
class Authorship:
    """Who drew a mask: identity for the UIDs, date, and "MANUAL", "SEMIAUTOMATIC" or "AUTOMATIC".

    making: set where the images under the mask are synthetic; the SEG then says so too.
    """

    identity: str
    made_at: datetime
    kind: str = "MANUAL"
    creator: str = "Semblance^"
    making: Making | None = None


def segmentation_of(
    images: Sequence[Dataset],
    labels: npt.NDArray[np.integer],
    names: Sequence[Mapping[str, Any]],
    authorship: Authorship,
    *,
    series_number: int = 900,
) -> Dataset:
    """A mask [slices, rows, columns] as a DICOM SEG on its source images, in the same order.

    names: [{"value", "name", "color"}]; value 0 is no segment, and neither is "air". Labels that
    occur nowhere are left out; the others become segments 1, 2, ... in the order of `names`, each
    with a coded category and type. UIDs follow from the authorship's identity.
    Raises ValueError where the mask is empty, or holds a value that `names` does not explain.
    """
    present = set(np.unique(labels).tolist()) - {0}
    rows = [row for row in names if int(row["value"]) in present and str(row["name"]).lower() != "air"]
    unnamed = present - {int(row["value"]) for row in names}
    if unnamed:
        raise ValueError(f"names: expected a name for every label, got none for {sorted(unnamed)}.")
    if not rows:
        raise ValueError("labels: expected at least one labelled pixel.")
    if labels.ndim != 3 or len(images) != len(labels):
        raise ValueError(f"labels: expected [{len(images)}, rows, columns], got {labels.shape}.")
    numbers = np.zeros(labels.shape, np.uint8 if len(rows) < 256 else np.uint16)
    for number, row in enumerate(rows, start=1):
        numbers[labels == int(row["value"])] = number
    identity = authorship.identity
    dataset = highdicom.seg.Segmentation(
        source_images=list(images),
        pixel_array=numbers,
        segmentation_type="BINARY",
        segment_descriptions=[_described(k, row, authorship) for k, row in enumerate(rows, start=1)],
        series_instance_uid=derived_uid(identity, "segmentation series"),
        series_number=series_number,
        sop_instance_uid=derived_uid(identity, "segmentation"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="Semblance",
        software_versions=synthesis.__version__,
        device_serial_number="0",
        content_creator_name=authorship.creator,
        content_label="MASK",
        content_description=_description(authorship),
        series_description=_description(authorship),
    )
    _settle(dataset, authorship)
    if authorship.making is not None:
        mark_synthetic(dataset, authorship.making)
    return dataset


def _described(
    number: int, row: Mapping[str, Any], authorship: Authorship
) -> highdicom.seg.SegmentDescription:
    name = str(row["name"])
    category, kind = CODES.get(name) or CODES.get(concept_of(name) or "") or (TISSUE, TISSUE)
    automatic = authorship.kind != "MANUAL"
    identification = highdicom.AlgorithmIdentificationSequence(
        name="Semblance",
        version=synthesis.__version__,
        family=Code("123109", "DCM", "Manual Processing")
        if not automatic
        else Code("123110", "DCM", "Artificial Intelligence"),
    )
    color = str(row.get("color") or "")
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=authorship.kind,
        algorithm_identification=identification if automatic else None,
        tracking_id=f"{authorship.identity}/{name}"[:64],
        tracking_uid=derived_uid(authorship.identity, "segment", name),
        display_color=highdicom.color.CIELabColor.from_string(color) if color else None,
    )


def _settle(dataset: Dataset, authorship: Authorship) -> None:
    """Replace what depends on the clock or on chance, so that the same mask makes the same object."""
    date, time = authorship.made_at.strftime("%Y%m%d"), authorship.made_at.strftime("%H%M%S")
    for keyword in ("ContentDate", "InstanceCreationDate", "SeriesDate"):
        setattr(dataset, keyword, date)
    for keyword in ("ContentTime", "InstanceCreationTime", "SeriesTime"):
        setattr(dataset, keyword, time)
    for equipment in dataset.get("ContributingEquipmentSequence") or []:
        equipment.ContributionDateTime = date + time
    organization = derived_uid(authorship.identity, "dimension organization")
    for item in dataset.DimensionOrganizationSequence:
        item.DimensionOrganizationUID = organization
    for item in dataset.DimensionIndexSequence:
        item.DimensionOrganizationUID = organization


def _description(authorship: Authorship) -> str:
    return "SYNTHETIC image's mask" if authorship.making is not None else "Mask"
