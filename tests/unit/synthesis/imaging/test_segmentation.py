"""DICOM SEG onto a stack: real files agree with highdicom, and every kind of encoding comes back."""

from copy import deepcopy

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from synthesis.imaging.dicom_file import opened_file
from synthesis.imaging.dicom_read import read_series
from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.geometry import geometry_of_slices
from synthesis.imaging.segmentation import (
    read_segmentation,
    referenced_instances,
    referenced_series,
)
from tests.shared_data import DATA, needs_shared_data

LIVER = DATA / "dicom" / "series_ct_liver3_dcmqi"
BREAST = DATA / "dicom" / "series_mr_breast_UCSF-BR-06"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SHAPE = (3, 7, 5)  # 35 bits per frame: frames do not begin on bytes


def ct_slice(number, series, frame_of_reference):
    """One minimal CT image of a made-up stack, 2 mm apart, 0.8 x 1.5 mm pixels."""
    image = pydicom.Dataset()
    image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    image.SOPInstanceUID = generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = frame_of_reference, series
    image.FrameOfReferenceUID = frame_of_reference
    image.Modality, image.PatientID, image.PatientName = "CT", "p", "p"
    image.PatientBirthDate = image.PatientSex = image.StudyID = image.AccessionNumber = ""
    image.StudyDate = image.StudyTime = image.ReferringPhysicianName = ""
    image.Rows, image.Columns = SHAPE[1:]
    image.PixelSpacing, image.SliceThickness = [0.8, 1.5], 2.0
    image.ImageOrientationPatient = list(AXIAL)
    image.ImagePositionPatient = [10.0, -20.0, 2.0 * number]
    image.InstanceNumber = number + 1
    image.file_meta = pydicom.dataset.FileMetaDataset()
    image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    return image


@pytest.fixture
def stack():
    series, place = generate_uid(), generate_uid()
    return [ct_slice(k, series, place) for k in range(SHAPE[0])]


def geometry_of(images):
    return geometry_of_slices([image.ImagePositionPatient for image in images], AXIAL, (0.8, 1.5), SHAPE[1:])[
        0
    ]


def written(tmp_path, images, pixels, kind="BINARY", segments=2, **options):
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"part {number}",
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=codes.SCT.Liver,
            algorithm_type="MANUAL",
        )
        for number in range(1, segments + 1)
    ]
    file = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
        content_creator_name="a^b",
        **options,
    )
    path = tmp_path / "seg.dcm"
    file.save_as(path)
    return path


def read(path, geometry, **options):
    with opened_file(path) as parsed:
        return read_segmentation(parsed, geometry, **options)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
@pytest.mark.parametrize("omit_empty", [True, False])
def test_every_kind_comes_back(tmp_path, stack, kind, omit_empty):
    labels = np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)
    labels[1] = 0
    pixels = labels
    if kind == "FRACTIONAL":
        pixels = np.stack([labels == 1, labels == 2], -1).astype(np.float32)
    path = written(tmp_path, stack, pixels, kind, omit_empty_frames=omit_empty)
    result = read(path, geometry_of(stack))
    assert np.array_equal(result.labels, labels)
    assert result.labels.dtype == np.uint16
    assert [(n["value"], n["name"]) for n in result.names] == [(1, "part 1"), (2, "part 2")]
    assert result.notes == ()


def test_slices_in_another_order_do_not_matter(tmp_path, stack):
    labels = np.zeros(SHAPE, np.uint8)
    labels[0, 2, 3] = 1
    path = written(tmp_path, stack[::-1], labels, segments=1)
    result = read(path, geometry_of(stack))
    assert np.argwhere(result.labels).tolist() == [[2, 2, 3]]


def test_a_grid_twice_as_fine_is_resampled(tmp_path, stack):
    fine = []
    for image in stack:
        copy = deepcopy(image)
        copy.Rows, copy.Columns = SHAPE[1] * 3, SHAPE[2] * 3
        copy.PixelSpacing = [0.8 / 3, 0.5]
        copy.ImagePositionPatient = [10.0 - 0.5, -20.0 - 0.8 / 3, image.ImagePositionPatient[2]]
        fine.append(copy)
    labels = np.random.default_rng(1).integers(0, 3, SHAPE).astype(np.uint8)
    path = written(tmp_path, fine, labels.repeat(3, 1).repeat(3, 2))
    assert np.array_equal(read(path, geometry_of(stack)).labels, labels)


def test_overlapping_segments_are_reported_and_the_later_stays(tmp_path, stack):
    pixels = np.zeros((*SHAPE, 2), np.uint8)
    pixels[0, :4, :, 0] = 1
    pixels[0, 3:, :, 1] = 1
    result = read(written(tmp_path, stack, pixels), geometry_of(stack))
    assert (result.labels[0, 3] == 2).all()
    assert (result.labels[0, :3] == 1).all()
    assert "overlap in 5 pixels" in result.notes[0]


def test_frames_outside_of_the_stack_are_counted(tmp_path, stack):
    path = written(tmp_path, stack, np.ones(SHAPE, np.uint8), segments=1)
    short = geometry_of_slices(
        [image.ImagePositionPatient for image in stack[:2]], AXIAL, (0.8, 1.5), SHAPE[1:]
    )[0]
    result = read(path, short)
    assert (result.labels == 1).all()
    assert "1 of 3 frames" in result.notes[0]


def test_a_segmentation_of_another_place_is_refused(tmp_path, stack):
    path = written(tmp_path, stack, np.ones(SHAPE, np.uint8), segments=1)
    away = geometry_of_slices([[0, 0, 900.0 + k] for k in range(3)], AXIAL, (0.8, 1.5), SHAPE[1:])[0]
    with pytest.raises(UnreadableFile, match="outside of these images"):
        read(path, away)


def test_slices_that_share_a_place_go_by_reference(tmp_path, stack):
    """Two phases at the same positions: the mask of the second must not land on the first."""
    series = generate_uid()
    second = [ct_slice(k, series, stack[0].FrameOfReferenceUID) for k in range(SHAPE[0])]
    both = [image for pair in zip(stack, second, strict=True) for image in pair]
    labels = np.ones(SHAPE, np.uint8)
    path = written(tmp_path, second, labels, segments=1)
    geometry, _ = geometry_of_slices(
        [image.ImagePositionPatient for image in both], AXIAL, (0.8, 1.5), SHAPE[1:]
    )
    result = read(path, geometry, images=[(str(image.SOPInstanceUID), 1) for image in both])
    assert result.labels.any((1, 2)).tolist() == [False, True] * 3


def test_what_it_refers_to(tmp_path, stack):
    path = written(tmp_path, stack, np.ones(SHAPE, np.uint8), segments=1)
    header = pydicom.dcmread(path)
    assert referenced_series(header) == stack[0].SeriesInstanceUID
    assert referenced_instances(header) == {str(image.SOPInstanceUID) for image in stack}


def test_a_truncated_segmentation_is_refused(tmp_path, stack):
    path = written(tmp_path, stack, np.ones(SHAPE, np.uint8), segments=1)
    broken = pydicom.dcmread(path)
    broken.PixelData = broken.PixelData[:4]
    broken.save_as(path)
    with pytest.raises(UnreadableFile, match="ends early"):
        read(path, geometry_of(stack))


def test_colours_come_back(tmp_path, stack):
    path = written(tmp_path, stack, np.ones(SHAPE, np.uint8), segments=1)
    header = pydicom.dcmread(path)
    cielab = highdicom.color.CIELabColor.from_string("#c8713d").value
    header.SegmentSequence[0].RecommendedDisplayCIELabValue = list(cielab)
    header.save_as(path)
    red, green, blue = bytes.fromhex(read(path, geometry_of(stack)).names[0]["color"][1:])
    np.testing.assert_allclose([red, green, blue], [0xC8, 0x71, 0x3D], atol=2)


@needs_shared_data
@pytest.mark.parametrize(
    ("images", "segmentation"),
    [(LIVER.glob("0*.dcm"), LIVER / "seg_liver.dcm"), (BREAST.glob("pe1/*.dcm"), BREAST / "seg" / "1-1.dcm")],
)
def test_real_files_agree_with_highdicom(images, segmentation):
    volume = read_series(sorted(images))
    ours = read(segmentation, volume.geometry).labels
    theirs = highdicom.seg.segread(segmentation)
    drawn = 0
    for frame in range(1, int(theirs.get("NumberOfFrames", 1)) + 1):
        groups = theirs.PerFrameFunctionalGroupsSequence[frame - 1]
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        pixels = theirs.pixel_array.reshape(-1, *ours.shape[1:])[frame - 1]
        heights = [volume.geometry.position_of(k) @ volume.geometry.normal for k in range(len(ours))]
        index = int(np.argmin(np.abs(np.array(heights) - position @ volume.geometry.normal)))
        assert np.array_equal(ours[index] > 0, pixels > 0)
        drawn += int((pixels > 0).sum())
    assert drawn == (ours > 0).sum() > 1000
