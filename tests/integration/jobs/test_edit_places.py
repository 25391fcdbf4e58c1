"""A counterfactual of an image on another pixel grid lies in the patient exactly where its source lies.

The sources are ramps: the value of a pixel tells where in the patient it is, up and down again every 30 mm.
A linear image is left as it is by linear interpolation and by means over a pixel, so that any shift shows,
half a pixel as well as a whole one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from synthesis.phantoms import labels as L
from tests import factories
from tests.factories_edits import edit_request, edited_result, phantom_case
from tests.factories_series import series_result
from tests.stored import dicom_of, images_of, unpacked
from webapp.cases.exporting.tables import case_row
from webapp.cases.nifti import case_to_nifti
from webapp.cases.selectors import mask_array
from webapp.cases.services import case_create_from_dicom, mask_save
from webapp.core.errors import ApplicationError
from webapp.jobs.downloads import result_download
from webapp.jobs.edit_maps import pixels_of
from webapp.jobs.edit_panes import picture_metadata
from webapp.jobs.models import Result
from workers.sources import UNKNOWN_THICKNESS_MM, thickness_of

pytestmark = [pytest.mark.django_db]

EXACT_MM = 1e-3
SHAPE = (150, 220)  # rows, columns
SPACING = (1.9, 1.3)  # mm between rows, between columns
SLOPE, MIDDLE = 100.0, 1400.0  # HU per mm, HU: an image of whole HU tells a micrometre by, over many pixels
HALF = 30.0  # mm over which a ramp rises, before it falls again
KINK = 4.0  # mm around the turn of a ramp where means are none of a linear image
WIDE, DEEP = 115.0, 90.0  # mm: half the body's width and depth
SLICES = 8
STEP = 5.25  # mm; in headers of one decimal 5.2 and 5.3


@dataclass(frozen=True)
class Lie:
    """How a source lies: turned in its plane and nodded about the patient's left, in degrees; or mirrored."""

    turn: float = 0.0
    nod: float = 0.0
    is_mirrored: bool = False
    position: str = "HFS"

    @property
    def axes(self) -> np.ndarray:
        """Directions of rising column index, rising row index and their normal, [3, 3]."""
        turn, nod = np.deg2rad([self.turn, self.nod])
        lift = np.array([[1, 0, 0], [0, np.cos(nod), -np.sin(nod)], [0, np.sin(nod), np.cos(nod)]])
        columns = lift @ [np.cos(turn), np.sin(turn), 0.0]
        rows = lift @ [-np.sin(turn), np.cos(turn), 0.0] * (-1 if self.is_mirrored else 1)
        return np.round([columns, rows, np.cross(columns, rows)], 6)


LIES = {
    "straight": Lie(),
    "turned and nodded": Lie(turn=8.0, nod=12.0),
    "rows upwards, feet first": Lie(turn=3.0, is_mirrored=True, position="FFS"),
    "on its side": Lie(turn=91.0, nod=-7.0),
}


def points_of(header: Any) -> np.ndarray:
    """LPS mm [rows, columns, 3] of every pixel: PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1."""
    row, column = np.indices((header.Rows, header.Columns))[..., None].astype(float)
    down, across = (float(value) for value in header.PixelSpacing)
    cosines = np.asarray(header.ImageOrientationPatient, float)
    first = np.asarray(header.ImagePositionPatient, float)
    return first + column * across * cosines[:3] + row * down * cosines[3:]


def ramp(points: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The source's value in HU at places of the patient, along x (0) or y (1), and its slope in HU per mm.

    The slope is 0 near the ramp's turns.
    """
    along = np.mod(points[..., axis], 2 * HALF)
    rising = along < HALF
    height = np.where(rising, along, 2 * HALF - along) - HALF / 2
    slope = np.where(rising, SLOPE, -SLOPE) * (np.abs(height) < HALF / 2 - KINK)
    return MIDDLE + SLOPE * height, slope


def inside(points: np.ndarray, share: float = 1.0) -> np.ndarray:
    """Whether places lie in the body, an ellipse around the patient's middle, or in its inner share."""
    return (points[..., 0] / (share * WIDE)) ** 2 + (points[..., 1] / (share * DEEP)) ** 2 <= 1


def ramp_case(owner: Any, lie: Lie, *, gap: float = 0.0) -> Any:
    """A CT series of ramps, along x and y in turn, with a mask of the liver in an inner ellipse.

    The last slice lies `gap` mm farther off than the others do.
    """
    plain = dcmread(get_testdata_file("CT_small.dcm"))
    study, series, frame = (generate_uid(entropy_srcs=[str(lie), part]) for part in "abc")
    columns, rows, normal = lie.axes
    middle = rows * SPACING[0] * (SHAPE[0] - 1) / 2 + columns * SPACING[1] * (SHAPE[1] - 1) / 2
    files, masks = [], []
    for number in range(SLICES):
        image = copy.deepcopy(plain)
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.SOPInstanceUID = generate_uid(entropy_srcs=[series, str(number)])
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.InstanceNumber, image.PatientPosition, image.SliceThickness = number + 1, lie.position, 2.5
        image.Rows, image.Columns = SHAPE
        image.PixelSpacing = list(SPACING)
        image.ImageOrientationPatient = [float(value) for value in (*columns, *rows)]
        first = normal * (STEP * number + gap * (number == SLICES - 1)) - middle
        image.ImagePositionPatient = [round(float(value), 1) for value in first]
        points = points_of(image)
        image.RescaleSlope, image.RescaleIntercept = 1, 0
        image.PixelRepresentation, image.BitsStored, image.HighBit = 1, 16, 15
        values = np.where(inside(points), ramp(points, number % 2)[0], -1000.0)
        image.PixelData = np.rint(values).astype("<i2").tobytes()
        buffer = BytesIO()
        image.save_as(buffer, enforce_file_format=True)
        files.append(buffer.getvalue())
        masks.append(np.where(inside(points, 0.5), L.LIVER, np.where(inside(points), L.FAT, L.AIR)))
    place = factories.dataset(shares={owner: "annotate"})
    case = case_create_from_dicom(files=files, dataset=place, name="Ramps", attributes={}, is_synthetic=False)
    labels = [{"value": one.value, "name": one.name, "color": one.color} for one in L.LABEL_SET if one.value]
    mask_save(
        user=place.owner, case=case, name="Body", array=np.array(masks, np.uint16), labels=labels,
        origin="painted",
    )  # fmt: skip
    return case


def headers_of(case: Any) -> list[Any]:
    """The headers of a case's files in stack order."""
    from django.core.files.storage import default_storage

    known = {one.number: one.file for one in case.instances.all()}
    with_pixels = []
    for number, _frame in case.stack:
        with default_storage.open(known[number]) as file:
            with_pixels.append(dcmread(BytesIO(file.read())))
    return with_pixels


def shift_mm(points: np.ndarray, values: np.ndarray, axis: int) -> float:
    """How far, at most, an image of a ramp lies off along it: of the halves of the body around the liver."""
    expected, slope = ramp(points, axis)
    known = (slope != 0) & inside(points, 0.9) & ~inside(points, 0.6)  # the liver is changed
    left, back = points[..., 0] > 0, points[..., 1] > 0
    parts = [known & half for half in (left, ~left, back, ~back)]
    assert min(part.sum() for part in parts) > 500
    return max(abs(float(np.mean((values - expected)[part] / slope[part]))) for part in parts)


def check(result: Result, sources: Sequence[Any], images: Sequence[Any], originals: Sequence[Any]) -> None:
    """Every pixel of every image, and of the original beside it, shows the place of the patient it names."""
    for source, image, original in zip(sources, images, originals, strict=True):
        assert (image.Rows, image.Columns) == (128, 128)
        assert image.PixelSpacing != source.PixelSpacing
        assert image.FrameOfReferenceUID == source.FrameOfReferenceUID
        assert image.PatientPosition == source.PatientPosition
        assert image.SliceThickness == 2.5
        points = points_of(image)
        cosines = np.asarray(source.ImageOrientationPatient, float)
        normal = np.cross(cosines[:3], cosines[3:])
        across = (points - np.asarray(source.ImagePositionPatient, float)) @ normal
        assert np.abs(across).max() < EXACT_MM
        axis = (int(source.InstanceNumber) - 1) % 2
        for values in (image.pixel_array, original):
            assert shift_mm(points, values.astype(float), axis) < EXACT_MM
    shown = picture_metadata(result, "original")
    for told, image in zip(shown, images, strict=True):
        assert told["00200032"]["Value"] == list(image.ImagePositionPatient)
        assert told["00280030"]["Value"] == list(image.PixelSpacing)


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_changed_slice_lies_on_its_source(clinician: Any, lie: Lie) -> None:
    case = ramp_case(clinician, lie)
    for index in (1, SLICES - 2):
        result = edited_result(clinician, request=edit_request(clinician, case=case, slice_index=index))
        assert "resampled" in " ".join(result.request.prepared["notes"])
        images = images_of(result, clinician)
        check(result, [headers_of(case)[index]], images, pixels_of(result, "original"))


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_changed_series_lies_on_its_source(clinician: Any, lie: Lie) -> None:
    case = ramp_case(clinician, lie)
    request = edit_request(clinician, case=case, slices=(0, SLICES - 1))
    result = series_result(clinician, request=request)
    images = sorted(images_of(result, clinician), key=lambda image: int(image.InstanceNumber))
    sources = [headers_of(case)[index] for index in result.recipe["slices"]["source"]]
    check(result, sources, images, pixels_of(result, "original"))


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_the_mask_and_the_volume_to_take_away_lie_there_too(clinician: Any, lie: Lie) -> None:
    case = ramp_case(clinician, lie)
    result = edited_result(clinician, request=edit_request(clinician, case=case, slice_index=2))
    (image,) = images_of(result, clinician)
    points = points_of(image)
    liver = points[mask_array(result.mask)[0] == L.LIVER]
    assert np.abs(liver.mean(0)[:2]).max() < 0.1  # the ellipse lies around the patient's middle
    assert len(liver) * np.prod(image.PixelSpacing) == pytest.approx(np.pi * WIDE * DEEP / 4, rel=0.02)
    drawn = dicom_of(result, clinician)["mask-seg.dcm"]
    assert drawn.FrameOfReferenceUID == image.FrameOfReferenceUID
    shared = drawn.SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == list(image.PixelSpacing)
    place = drawn.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient
    assert np.abs(np.subtract(place, image.ImagePositionPatient)).max() < EXACT_MM

    files = unpacked(result_download(user=clinician, result=result, form="nifti"))
    volume = nib.Nifti1Image.from_bytes(files["image.nii"])
    row, column = np.indices(points.shape[:2])
    steps = np.stack([column, row, 0 * row, 1 + 0 * row], -1)
    right = (steps @ volume.affine.T)[..., :3] * [-1, -1, 1]
    assert np.abs(right - points).max() < EXACT_MM
    assert np.array_equal(np.asarray(volume.dataobj)[..., 0].T, image.pixel_array)


def test_a_series_with_a_gap_is_not_taken_away_as_a_volume_without(clinician: Any) -> None:
    case = ramp_case(clinician, Lie(), gap=20.0)
    result = series_result(clinician, request=edit_request(clinician, case=case, slices=(0, SLICES - 1)))
    sources = [headers_of(case)[index] for index in result.recipe["slices"]["source"]]
    images = sorted(images_of(result, clinician), key=lambda image: int(image.InstanceNumber))
    check(result, sources, images, pixels_of(result, "original"))
    assert not any("SpacingBetweenSlices" in image for image in images)
    with pytest.raises(ApplicationError, match="not evenly spaced"):
        result_download(user=clinician, result=result, form="nifti")
    exported = nib.Nifti1Image.from_bytes(case_to_nifti(case))
    assert exported.header["descrip"].item() == b"slices not evenly spaced, affine is not exact"
    told = {"split": "train", "image": "", "mask": "", "labels": ""}
    assert case_row(case, **told)["evenly_spaced"] == "no"
    assert case_row(ramp_case(clinician, Lie()), **told)["evenly_spaced"] == "yes"


@pytest.mark.parametrize(
    ("told", "thickness"), [("4.5", 4.5), ("0", 2.0), ("-3", 2.0), ("thick", 2.0), ("nan", 2.0), (None, 2.0)]
)
def test_a_thickness_that_is_no_length_is_not_said(clinician: Any, told: Any, thickness: float) -> None:
    case = phantom_case(clinician)
    case.spacing_mm = [1.0, 1.0, 2.0]
    number, _frame = case.stack[1]
    instance = case.instances.get(number=number)
    instance.metadata |= {"00180050": {"vr": "DS", **({} if told is None else {"Value": [told]})}}
    instance.save()
    assert thickness_of(case, 1) == thickness
    case.spacing_mm = [1.0, 1.0, None]
    assert thickness_of(case, 1) == (4.5 if told == "4.5" else UNKNOWN_THICKNESS_MM)
