"""Synthetic DICOM: valid for pydicom, highdicom and dciodvfy, marked, repeatable, and exact."""

from datetime import datetime
from io import BytesIO

import highdicom
import numpy as np
import pydicom
import pytest

from synthesis.imaging.dicom_read import read_series
from synthesis.imaging.dicom_write import (
    CT_CLASS,
    Making,
    Source,
    derived_uid,
    invented_subject,
    synthetic_slices,
    to_bytes,
)
from synthesis.imaging.plane import Plane, flat_plane
from synthesis.imaging.segmentation_write import Authorship, segmentation_of
from synthesis.imaging.storage import to_stored
from synthesis.phantoms import abdomen
from synthesis.phantoms.labels import LABEL_SET
from tests.dciodvfy import dicom_errors, needs_dciodvfy

MAKING = Making(
    job="9b7c1a",
    made_at=datetime(2026, 11, 20, 11, 30, 5),
    model_name="abdomen-2d",
    model_version="1.0",
    method="rectified flow, RFT sampler",
    weights_sha256="ab" * 32,
    description="Drawn from a label map under severe cirrhosis, seed 5.",
)
NAMES = [{"value": one.value, "name": one.name, "color": one.color} for one in LABEL_SET]
REAL_SOURCE = Source(
    sop_class_uid=CT_CLASS,
    sop_instance_uid="1.2.840.99.3",
    study_uid="1.2.840.99.1",
    frame_of_reference_uid="1.2.840.99.4",
)


def series(modality="CT", slices=1, **changes):
    phantom = abdomen(7, modality=modality, shape=(64, 64))
    planes = []
    for k in range(slices):
        flat = flat_plane((64, 64), phantom.spacing_mm)
        planes.append(Plane(**{**vars(flat), "position_mm": (*flat.position_mm[:2], 5.0 * k)}))
    stored = np.stack([to_stored(phantom.image, modality) + np.int16(k) for k in range(slices)])
    options = {
        "modality": modality,
        "making": MAKING,
        "subject": invented_subject(MAKING.job, sex="F", age=60.4),
        **changes,
    }
    return list(synthetic_slices(stored, planes, **options)), stored, planes, phantom


def saved(tmp_path, dataset, name="a.dcm"):
    path = tmp_path / name
    path.write_bytes(to_bytes(dataset))
    return path


@needs_dciodvfy
@pytest.mark.parametrize("modality", ["CT", "T1", "T2"])
@pytest.mark.parametrize("source", [None, REAL_SOURCE])
def test_the_validator_finds_no_error_in_an_image(tmp_path, modality, source):
    datasets, *_ = series(modality, slices=2, source=source)
    for dataset in datasets:
        assert dicom_errors(saved(tmp_path, dataset)) == []


@needs_dciodvfy
def test_the_validator_would_find_one(tmp_path):
    dataset = series()[0][0]
    del dataset.PixelSpacing
    assert dicom_errors(saved(tmp_path, dataset))


@needs_dciodvfy
@pytest.mark.parametrize("kind", ["MANUAL", "SEMIAUTOMATIC"])
def test_the_validator_finds_no_error_in_a_mask(tmp_path, kind):
    datasets, _, _, phantom = series("T1")
    making = MAKING if kind == "SEMIAUTOMATIC" else None
    mask = segmentation_of(
        datasets,
        phantom.labels[None],
        NAMES,
        Authorship(identity="9b7c1a/1", made_at=MAKING.made_at, kind=kind, making=making),
    )
    assert dicom_errors(saved(tmp_path, mask)) == []


@pytest.mark.parametrize("modality", ["CT", "T1"])
def test_it_says_that_it_is_synthetic(modality):
    dataset = pydicom.dcmread(BytesIO(to_bytes(series(modality)[0][0])))
    assert dataset.SyntheticData == "YES"
    assert dataset.ContentQualification == "RESEARCH"
    assert dataset.ImageType == ["DERIVED", "SECONDARY", "AXIAL" if modality == "CT" else "OTHER"]
    (equipment,) = dataset.ContributingEquipmentSequence
    (purpose,) = equipment.PurposeOfReferenceCodeSequence
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109100", "DCM")
    for part in (MAKING.method, "abdomen-2d", "version 1.0", MAKING.weights_sha256):
        assert part in equipment.ContributionDescription
    assert dataset.DerivationDescription == MAKING.description
    assert "SourceImageSequence" not in dataset
    assert "SYNTHETIC" in dataset.SeriesDescription
    assert str(dataset.PatientName).startswith("SYNTHETIC")
    assert dataset.PatientAge == "060Y"
    assert dataset.PatientBirthDate == ""


def test_it_is_ordinary_image_storage_not_secondary_capture():
    assert series("CT")[0][0].SOPClassUID == CT_CLASS
    assert series("T2")[0][0].SOPClassUID == "1.2.840.10008.5.1.4.1.1.4"
    ct = series("CT")[0][0]
    assert (ct.RescaleSlope, ct.RescaleIntercept, ct.RescaleType) == (1, 0, "HU")


def test_a_counterfactual_keeps_its_source_and_place():
    dataset = series("CT", source=REAL_SOURCE)[0][0]
    assert dataset.SourceImageSequence[0].ReferencedSOPInstanceUID == REAL_SOURCE.sop_instance_uid
    assert dataset.StudyInstanceUID == REAL_SOURCE.study_uid
    assert dataset.FrameOfReferenceUID == REAL_SOURCE.frame_of_reference_uid
    assert dataset.SOPInstanceUID != REAL_SOURCE.sop_instance_uid


def test_a_job_run_twice_makes_the_same_bytes():
    first, second = ([to_bytes(d) for d in series("CT", slices=3)[0]] for _ in range(2))
    assert first == second


def test_every_object_has_its_own_uid_and_a_slice_shares_its_series():
    one, two = series("CT", slices=3, image=1)[0], series("CT", slices=3, image=2)[0]
    uids = [d.SOPInstanceUID for d in one + two]
    assert len(set(uids)) == 6
    assert all(len(uid) <= 64 and uid.startswith("2.25.") for uid in uids)
    assert len({d.SeriesInstanceUID for d in one}) == 1
    assert one[0].SeriesInstanceUID != two[0].SeriesInstanceUID
    assert one[0].StudyInstanceUID == two[0].StudyInstanceUID
    assert derived_uid("other", 1, 1) not in uids


@pytest.mark.parametrize("modality", ["CT", "T2"])
def test_pixels_and_place_come_back_exactly(tmp_path, modality):
    datasets, stored, planes, _ = series(modality, slices=3)
    paths = [saved(tmp_path, d, f"{k}.dcm") for k, d in enumerate(reversed(datasets))]
    volume = read_series(paths)
    assert np.array_equal(volume.stored, stored)
    assert np.array_equal(volume.real(), stored.astype(np.float32))
    assert volume.units == ("HU" if modality == "CT" else volume.units)
    np.testing.assert_allclose(volume.geometry.position_of(2), planes[2].position_mm, atol=1e-9)
    assert volume.geometry.spacing_mm == pytest.approx((*planes[0].spacing_mm, 5.0))


def test_a_mask_is_read_by_highdicom_with_codes_and_colours(tmp_path):
    datasets, _, _, phantom = series()
    path = saved(
        tmp_path,
        segmentation_of(
            datasets,
            phantom.labels[None],
            NAMES,
            Authorship(identity="9b7c1a/1", made_at=MAKING.made_at, making=MAKING),
        ),
    )
    mask = highdicom.seg.segread(path)
    liver = mask.get_segment_numbers(segment_label="liver")
    assert len(liver) == 1
    description = mask.get_segment_description(liver[0])
    assert description.segmented_property_type.value == "10200004"
    pixels = mask.get_pixels_by_source_instance(
        [datasets[0].SOPInstanceUID], segment_numbers=liver, combine_segments=False
    )
    assert np.array_equal(pixels[0, ..., 0] > 0, phantom.labels == 6)
    assert mask.SyntheticData == "YES"
    assert mask.FrameOfReferenceUID == datasets[0].FrameOfReferenceUID


def test_a_mask_made_twice_is_the_same_object():
    datasets, _, _, phantom = series()
    made = [
        to_bytes(
            segmentation_of(
                datasets,
                phantom.labels[None],
                NAMES,
                Authorship(identity="9b7c1a/1", made_at=MAKING.made_at, making=MAKING),
            )
        )
        for _ in range(2)
    ]
    assert made[0] == made[1]


def test_every_label_of_the_abdomen_set_has_a_code_of_its_own():
    from synthesis.imaging.segmentation_write import CODES

    coded = {one.name for one in LABEL_SET} - {"air"}
    assert coded == set(CODES)
    assert len({kind.value for _, kind in CODES.values()}) == len(CODES)


@pytest.mark.parametrize(
    ("labels", "names", "words"),
    [
        (np.zeros((1, 64, 64), np.uint8), NAMES, "at least one"),
        (np.full((1, 64, 64), 40, np.uint8), NAMES, r"\[40\]"),
        (np.ones((2, 64, 64), np.uint8), NAMES, "rows, columns"),
    ],
)
def test_an_impossible_mask_is_refused(labels, names, words):
    datasets, *_ = series()
    with pytest.raises(ValueError, match=words):
        segmentation_of(datasets, labels, names, Authorship(identity="a", made_at=MAKING.made_at))


def test_impossible_images_are_refused():
    _, stored, planes, _ = series()
    subject = invented_subject("a")
    for changed, modality in ((stored.astype(np.float32), "CT"), (stored[:, :5], "CT"), (stored, "US")):
        with pytest.raises(ValueError, match="expected"):
            next(synthetic_slices(changed, planes, modality=modality, making=MAKING, subject=subject))
