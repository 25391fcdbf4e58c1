"""The openly licensed real files: each comes in with exact pixels, or is refused in plain words."""

import csv
import warnings
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import dcmread

from synthesis.imaging.dicom_file import frame_ranges, opened_file
from synthesis.imaging.dicom_pixels import decode_frame, read_ranges
from synthesis.imaging.dicom_read import image_header
from synthesis.imaging.errors import UnreadableFile
from tests.integration.cases.conftest import outcomes, reason
from tests.shared_data import DATA, needs_shared_data
from webapp.cases.models import Instance
from webapp.cases.selectors import case_slice, case_volume, mask_array

pytestmark = [pytest.mark.django_db, needs_shared_data, pytest.mark.slow]

DICOM = DATA / "dicom"
# Decoded where the manifest's own decoder (GPL, not installed) could, but pydicom here cannot.
TWELVE_BIT_JPEG = {"CT_JPEGProcess2_4.dcm", "JPGExtended.dcm"}


def manifest() -> list[dict[str, str]]:
    """The DICOM rows of the manifest."""
    if not DATA.is_dir():
        return []
    with (DATA / "MANIFEST.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["kind"] == "dicom"]


def decoded(path: Path) -> np.ndarray:
    """Every frame, by this product's reader."""
    with opened_file(path) as parsed:
        header = image_header(parsed)
        ranges = frame_ranges(parsed, len(header.frames), header.format.frame_bytes)
        frames = [
            decode_frame(header.format, read_ranges(parsed.path, place), palette=parsed.header)
            for place in ranges
        ]
    return np.stack(frames)


def test_every_file_of_the_manifest_decodes_exactly_or_is_refused_in_words() -> None:
    exact, refused = 0, {}
    rows = {row["path"]: row for row in manifest()}
    for row in rows.values():
        path = DATA / row["path"]
        try:
            pixels = decoded(path)
        except UnreadableFile as error:
            refused[row["path"]] = str(error)
            continue
        assert row["decodes"] == "yes", row["path"]
        exact += 1
        if path.name in TWELVE_BIT_JPEG:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = dcmread(path, force=True).pixel_array
        assert np.array_equal(pixels.reshape(expected.shape), expected), row["path"]
    assert exact >= 370
    for name, words in refused.items():
        assert words.endswith(".")
        assert rows[name]["decodes"] != "yes" or rows[name]["modality"] == "SEG", f"{name}: {words}"
    names = {name.rsplit("/", 1)[-1] for name in refused}
    assert {"CT_JPEGProcess6_8.dcm", "CT_JPEGProcess10_12.dcm", "MR_truncated.dcm"} <= names


def test_twelve_bit_jpeg_agrees_with_the_same_image_uncompressed() -> None:
    folder = DICOM / "ct_one_image_many_syntaxes"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known, lossy = dcmread(folder / "CT_original.dcm"), dcmread(folder / "CT_JPEGProcess2_4.dcm")
    expected = known.pixel_array * float(known.RescaleSlope) + float(known.RescaleIntercept)
    pixels = decoded(folder / "CT_JPEGProcess2_4.dcm")[0]
    found = pixels * float(lossy.RescaleSlope) + float(lossy.RescaleIntercept)
    error = found - np.clip(expected, found.min(), found.max())
    assert np.abs(error).mean() < 5
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9999


def test_the_liver_metastasis_ct_comes_in_whole(dataset, bring) -> None:
    folder = DICOM / "series_ct_abdomen_CRLM-CT-1004"
    run = bring(folder)
    assert (run.changed, run.refused, run.duplicate) == (41, 0, 0)
    case = dataset.cases.get()
    assert (case.modality, case.slice_count, case.rows, case.columns) == ("CT", 41, 512, 512)
    assert case.spacing_mm[2] == 5.0
    assert case.geometry["gaps"] == []
    images = sorted((dcmread(path) for path in folder.iterdir()), key=lambda i: i.ImagePositionPatient[2])
    for index in (0, 20, 40):
        assert np.array_equal(case_volume(case).stored[index], images[index].pixel_array)
    slope, intercept = float(images[20].RescaleSlope), float(images[20].RescaleIntercept)
    assert np.array_equal(case_slice(case, 20).array, images[20].pixel_array * slope + intercept)
    assert bring(folder).duplicate == 41


def test_one_slice_in_many_encodings(dataset, bring) -> None:
    run = bring(DICOM / "ct_one_image_many_syntaxes")
    assert Counter(outcomes(run).values()) == {"changed": 5, "duplicate": 9, "refused": 2}
    assert "Process 6 and 8" in reason(run, "CT_JPEGProcess6_8.dcm")
    assert "Process 10 and 12" in reason(run, "CT_JPEGProcess10_12.dcm")
    assert Instance.objects.count() == 5


def test_a_dicom_series_and_the_label_map_drawn_on_it(dataset, bring) -> None:
    bring(DICOM / "series_ct_totalseg_j2k20")
    label = DATA / "nifti" / "totalseg_dicom_label"
    bring(label)
    case = dataset.cases.get()
    mask = case.masks.get()
    names = {entry["value"]: entry["name"] for entry in mask.labels}
    values = mask_array(mask)
    liver = next(value for value, name in names.items() if name == "liver")
    image = case_volume(case).real()
    assert 30 < image[values == liver].mean() < 160
    assert image[values == liver].std() < 60
    bones = [value for value, name in names.items() if name.startswith("vertebrae")]
    assert image[np.isin(values, bones)].mean() > image[values == liver].mean()
    stored = np.asanyarray(nibabel.load(next(label.iterdir())).dataobj)
    assert values.sum() == stored.sum(dtype=np.int64)


def test_segmentations_find_their_images(dataset, bring) -> None:
    run = bring(DICOM / "series_ct_liver3_dcmqi")
    assert run.refused == 0
    case = dataset.cases.get()
    mask = case.masks.get()
    inside = case_volume(case).real()[mask_array(mask) > 0]
    assert 40 < np.median(inside) < 200


def test_a_segmentation_that_comes_later_finds_its_case(dataset, bring, tmp_path) -> None:
    folder = DICOM / "series_ct_liver3_dcmqi"
    early = bring(folder / "seg_liver.dcm")
    assert "Import the images first" in reason(early, "seg_liver.dcm")
    for name in ("01.dcm", "02.dcm", "03.dcm"):
        bring(folder / name)
    assert dataset.cases.get().slice_count == 3
    assert bring(folder / "seg_liver.dcm").refused == 0
    assert dataset.cases.get().masks.count() == 1


def test_small_files_of_every_kind(dataset, bring) -> None:
    run = bring(DICOM / "single_pydicom")
    found = outcomes(run)
    assert found["CT_small.dcm"] == found["JPGExtended.dcm"] == "changed"
    words = {
        "rtstruct.dcm": "RT structure set",
        "rtplan.dcm": "radiotherapy plan",
        "rtdose.dcm": "dose grid",
        "reportsi.dcm": "structured report",
        "parametric_map_float.dcm": "parametric map",
        "MR_truncated.dcm": "truncated",
        "no_meta_group_length.dcm": "no pixels",
    }
    for name, expected in words.items():
        assert found[name] == "refused"
        assert expected in reason(run, name)
    assert not any("could not be handled" in text for text in run.entries.values_list("reason", flat=True))


def test_volumes_with_their_label_maps(dataset, bring) -> None:
    run = bring(DATA / "nifti" / "totalseg_ct_small_multiorgan")
    assert set(outcomes(run).values()) == {"taken"}
    case = dataset.cases.get()
    stored = np.asanyarray(
        nibabel.load(DATA / "nifti" / "totalseg_ct_small_multiorgan" / "image.nii.gz").dataobj
    )
    assert sorted(case_volume(case).stored.ravel()) == sorted(stored.ravel())
    mask = case.masks.get()
    assert {"liver", "spleen", "aorta"} <= {label["name"] for label in mask.labels}
    liver = next(label["value"] for label in mask.labels if label["name"] == "liver")
    assert 30 < case_volume(case).real()[mask_array(mask) == liver].mean() < 160


def test_pictures_with_a_table(dataset, bring, tmp_path) -> None:
    source = DATA / "images2d" / "cardiac_mr_sunnybrook"
    rows = (source / "labels.csv").read_text().splitlines()[:5]
    (tmp_path / "cardiac_mr").mkdir()
    (tmp_path / "cardiac_mr" / "labels.csv").write_text("\n".join(rows))
    for row in rows[1:]:
        for name in row.split(",")[:2]:
            target = tmp_path / "cardiac_mr" / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes((source / name).read_bytes())
    run = bring(tmp_path)
    assert set(outcomes(run).values()) == {"taken"}
    assert dataset.cases.count() == 4
    for case in dataset.cases.all():
        assert (case.modality, case.masks.count()) == ("MR", 1)
        assert mask_array(case.masks.get()).sum() == case.attributes["lv_pixels"]
