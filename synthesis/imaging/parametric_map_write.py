"""An uncertainty map as a DICOM Parametric Map (PS3.3 A.75), its values in real units."""

from __future__ import annotations

from datetime import datetime

import highdicom
import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.sr.coding import Code

import synthesis
from synthesis.imaging.dicom_write import MANUFACTURER, Making, derived_uid, mark_synthetic

HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
NO_UNITS = Code("1", "UCUM", "no units")
DEVIATION = Code("386136009", "SCT", "Standard deviation")
EXPLANATION = "Posterior standard deviation"


def uncertainty_series(
    image: Dataset,
    std: npt.NDArray[np.floating],
    *,
    identity: str,
    made_at: datetime,
    making: Making,
    words: str,
) -> Dataset:
    """The map [rows, columns] in HU or signal of one single-frame image, as float pixels without rescaling.

    `identity` decides the UIDs, `words` say in the header what was measured (at most 1024 characters).
    Raises ValueError where the map is not on the image's grid.
    """
    if std.shape != (image.Rows, image.Columns):
        raise ValueError(f"std: expected {image.Rows} x {image.Columns} pixels, got {std.shape}.")
    values = np.ascontiguousarray(std, np.float32)
    top = float(max(values.max(), 1e-6))
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label="deviation",
        lut_explanation=EXPLANATION,
        unit=HOUNSFIELD if image.Modality == "CT" else NO_UNITS,
        value_range=(0.0, top),
        slope=1.0,
        intercept=0.0,
        quantity_definition=DEVIATION,
    )
    dataset = highdicom.pm.ParametricMap(
        source_images=[image],
        pixel_array=values[None],
        series_instance_uid=derived_uid(identity, "uncertainty series"),
        series_number=901,
        sop_instance_uid=derived_uid(identity, "uncertainty"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="Semblance",
        software_versions=synthesis.__version__,
        device_serial_number="0",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[highdicom.VOILUTTransformation(window_center=top / 2, window_width=top)],
        content_label="UNCERTAINTY",
        content_description="SYNTHETIC image's uncertainty map",
        content_creator_name="Semblance^",
        series_description="SYNTHETIC image's uncertainty map",
        image_flavor="VOLUME",
        derived_pixel_contrast="QUANTITY",
    )
    _settle(dataset, identity, made_at)
    mark_synthetic(dataset, making)
    dataset.DerivationDescription = words[:1024]
    if "BodyPartExamined" in image:
        dataset.BodyPartExamined = image.BodyPartExamined
    return dataset


def _settle(dataset: Dataset, identity: str, made_at: datetime) -> None:
    """Replace what depends on the clock or on chance, so that the same map makes the same object."""
    date, time = made_at.strftime("%Y%m%d"), made_at.strftime("%H%M%S")
    for keyword in ("ContentDate", "InstanceCreationDate", "SeriesDate"):
        setattr(dataset, keyword, date)
    for keyword in ("ContentTime", "InstanceCreationTime", "SeriesTime"):
        setattr(dataset, keyword, time)
    for equipment in dataset.get("ContributingEquipmentSequence") or []:
        equipment.ContributionDateTime = date + time
    organization = derived_uid(identity, "uncertainty dimension organization")
    for item in [*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence]:
        item.DimensionOrganizationUID = organization
