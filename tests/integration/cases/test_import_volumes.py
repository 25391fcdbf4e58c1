"""NIfTI and pictures become cases that the viewer can show, with their masks, names and attributes."""

import gzip
import io
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests import hostile
from tests.integration.cases.conftest import outcomes, reason
from webapp.cases.importing.masks import told_apart
from webapp.cases.selectors import case_slice, case_volume, mask_array

pytestmark = pytest.mark.django_db
RNG = np.random.default_rng(3)


def nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None, **header: object) -> Path:
    """Write a volume with free texts in its header."""
    image = nibabel.Nifti1Image(array, np.diag([-1.5, -1.5, 3.0, 1.0]) if affine is None else affine)
    for name, value in header.items():
        image.header[name] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


def picture(path: Path, array: np.ndarray, **text: str) -> Path:
    """Write a PNG with texts."""
    info = PngImagePlugin.PngInfo()
    for name, value in text.items():
        info.add_text(name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, pnginfo=info)
    return path


def test_a_volume_is_exact_and_its_original_kept_without_texts(tmp_path, dataset, bring, storage) -> None:
    voxels = RNG.integers(-1000, 2000, (6, 5, 4), dtype=np.int16)
    nifti(tmp_path / "case7_ct.nii.gz", voxels, descrip=b"Erika Mustermann", aux_file=b"4711")
    run = bring(tmp_path / "case7_ct.nii.gz")
    case = dataset.cases.get()
    assert (case.modality, case.units, case.source_format) == ("CT", "HU", "nifti")
    assert case.spacing_mm == [1.5, 1.5, 3.0]
    assert np.array_equal(case_volume(case).stored, voxels.transpose(2, 1, 0))
    assert "description" in reason(run, "case7_ct.nii.gz")
    kept = nibabel.load(storage / case.original_file)
    assert np.array_equal(np.asanyarray(kept.dataobj), voxels)
    assert b"Mustermann" not in gzip.decompress((storage / case.original_file).read_bytes())
    assert bring(tmp_path / "case7_ct.nii.gz").duplicate == 1


def test_real_numbers_are_scaled_and_the_report_says_so(tmp_path, dataset, bring) -> None:
    voxels = RNG.normal(0, 1, (5, 4, 3)).astype(np.float32)
    nifti(tmp_path / "t1.nii", voxels)
    run = bring(tmp_path / "t1.nii")
    case = dataset.cases.get()
    assert case.modality == "MR"
    assert "16 bits" in reason(run, "t1.nii")
    assert outcomes(run)["t1.nii"] == "changed"
    assert np.allclose(case_volume(case).real(), voxels.transpose(2, 1, 0), atol=2e-4)


def test_a_label_map_beside_its_image_becomes_a_mask_with_names(tmp_path, dataset, bring) -> None:
    voxels = RNG.integers(0, 2000, (6, 5, 4), dtype=np.int16)
    labels = RNG.integers(0, 3, (6, 5, 4), dtype=np.uint8)
    nifti(tmp_path / "in" / "imagesTr" / "liver_01_0000.nii.gz", voxels)
    nifti(tmp_path / "in" / "labelsTr" / "liver_01.nii.gz", labels)
    description = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "tumour": 2}}
    (tmp_path / "in" / "dataset.json").write_text(json.dumps(description))
    run = bring(tmp_path / "in")
    assert set(outcomes(run).values()) == {"taken"}
    case = dataset.cases.get()
    mask = case.masks.get()
    assert case.modality == "CT"
    assert [label["name"] for label in mask.labels] == ["liver", "tumour"]
    assert np.array_equal(mask_array(mask), labels.transpose(2, 1, 0))
    assert bring(tmp_path / "in").duplicate == 2


def test_totalsegmentators_folder_of_structures_becomes_one_mask(tmp_path, dataset, bring) -> None:
    nifti(tmp_path / "s1" / "ct.nii.gz", RNG.integers(-900, 900, (6, 5, 4), dtype=np.int16))
    liver, spleen = np.zeros((2, 6, 5, 4), np.uint8)
    liver[:2], spleen[3:] = 1, 1
    nifti(tmp_path / "s1" / "segmentations" / "liver.nii.gz", liver)
    nifti(tmp_path / "s1" / "segmentations" / "spleen.nii.gz", spleen)
    bring(tmp_path / "s1")
    mask = dataset.cases.get().masks.get()
    assert [(label["value"], label["name"]) for label in mask.labels] == [(1, "liver"), (2, "spleen")]
    assert np.array_equal(mask_array(mask), (liver + 2 * spleen).transpose(2, 1, 0))


def test_a_label_map_finds_its_dicom_case_by_the_grid(tmp_path, dataset, bring) -> None:
    hostile.series(tmp_path / "in" / "dicom", 3)
    labels = RNG.integers(0, 2, (10, 8, 3), dtype=np.uint8)
    nifti(tmp_path / "in" / "label_for_it.nii.gz", labels, np.diag([-1.0, -2.0, 5.0, 1.0]))
    bring(tmp_path / "in")
    mask = dataset.cases.get().masks.get()
    assert np.array_equal(mask_array(mask), labels.transpose(2, 1, 0))


def test_a_label_map_on_another_grid_is_refused(tmp_path, dataset, bring) -> None:
    nifti(tmp_path / "in" / "image.nii.gz", RNG.integers(0, 9, (6, 5, 4), dtype=np.int16))
    nifti(tmp_path / "in" / "label.nii.gz", np.ones((6, 5, 3), np.uint8))
    run = bring(tmp_path / "in")
    assert "another grid" in reason(run, "label.nii.gz")
    assert dataset.cases.get().masks.count() == 0


@pytest.mark.parametrize("shape", [(4, 4, 4, 7), (4, 4, 4, 1, 3)])
def test_time_series_are_refused_by_name(tmp_path, dataset, bring, shape) -> None:
    nifti(tmp_path / "fmri.nii.gz", np.zeros(shape, np.int16))
    assert "time series" in reason(bring(tmp_path / "fmri.nii.gz"), "fmri.nii.gz")


def test_a_volume_with_unusable_spacing_is_refused(tmp_path, dataset, bring) -> None:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    path = nifti(tmp_path / "nan.nii", np.zeros((4, 4, 4), np.int16), affine)
    data = bytearray(path.read_bytes())
    data[280:284] = np.float32(np.nan).tobytes()
    path.write_bytes(data)
    assert bring(path).refused == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_are_exact_and_lose_their_texts(tmp_path, dataset, bring, storage, dtype) -> None:
    pixels = RNG.integers(0, np.iinfo(dtype).max, (9, 7), dtype=dtype)
    picture(tmp_path / "chest_xray.png", pixels, Author="Mustermann")
    run = bring(tmp_path / "chest_xray.png")
    case = dataset.cases.get()
    assert np.array_equal(case_slice(case, 0).array, pixels.astype(np.float32))
    assert (case.modality, case.source_format, case.rows, case.columns) == ("DX", "raster", 9, 7)
    assert case.geometry["is_known"] is False
    assert "tEXt" in reason(run, "chest_xray.png")
    assert b"Mustermann" not in (storage / case.original_file).read_bytes()
    assert np.array_equal(np.asarray(Image.open(storage / case.original_file)), pixels)


def test_a_jpeg_keeps_its_compressed_pixels_and_loses_its_exif(tmp_path, dataset, bring, storage) -> None:
    image = Image.fromarray(RNG.integers(0, 255, (16, 16, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x013B] = "Mustermann"
    image.save(tmp_path / "photo.jpg", exif=exif)
    bring(tmp_path / "photo.jpg")
    case = dataset.cases.get()
    assert case.is_colour
    assert np.array_equal(case_slice(case, 0).array, np.asarray(Image.open(tmp_path / "photo.jpg")))
    assert b"Mustermann" not in (storage / case.original_file).read_bytes()


def test_a_table_gives_attributes_and_masks_and_hides_who_it_is(tmp_path, dataset, bring) -> None:
    for name in ("a", "b"):
        picture(tmp_path / "in" / "images" / f"{name}.png", RNG.integers(0, 255, (8, 8), dtype=np.uint8))
    drawn = np.zeros((8, 8), np.uint8)
    drawn[2:4] = 255
    picture(tmp_path / "in" / "drawings" / "one.png", drawn)
    (tmp_path / "in" / "labels.csv").write_text(
        "file;mask;patient;patient_name;Birth Date;age;sex;finding;modality\n"
        "images/a.png;drawings/one.png;NIH-7;Erika M;1964-12-31;59;female;none;mr\n"
        "images/b.png;;NIH-8;Max M;1970-01-01;53.5;M;<b>mass</b>;mr\n"
        "images/c.png;;NIH-9;X;;;;;\n"
    )
    run = bring(tmp_path / "in")
    a, b = dataset.cases.get(name="a"), dataset.cases.get(name="b")
    assert a.attributes == {"age": 59, "sex": "F", "finding": "none"}
    assert b.attributes == {"age": 53.5, "sex": "M", "finding": "<b>mass</b>"}
    assert a.modality == "MR"
    assert a.patient.startswith("P-")
    assert a.patient != b.patient
    assert np.array_equal(mask_array(a.masks.get())[0], drawn > 0)
    said = reason(run, "labels.csv")
    assert "patient_name, Birth Date" in said
    assert "1 lines name files" in said


def test_a_wrong_ending_does_not_matter_and_a_wrong_content_does(tmp_path, dataset, bring) -> None:
    hostile.ct(tmp_path / "in" / "image.jpg")
    picture(tmp_path / "in" / "slice.png", RNG.integers(0, 255, (8, 8), dtype=np.uint8)).rename(
        tmp_path / "in" / "slice.dcm"
    )
    (tmp_path / "in" / "page.png").write_text("<html></html>")
    found = outcomes(bring(tmp_path / "in"))
    assert found == {"image.jpg": "changed", "slice.dcm": "taken", "page.png": "refused"}


def test_the_same_by_upload(tmp_path, dataset, bring) -> None:
    path = nifti(tmp_path / "ct.nii.gz", RNG.integers(-900, 900, (6, 5, 4), dtype=np.int16))
    run = bring([("study/ct.nii.gz", io.BytesIO(path.read_bytes()))])
    assert outcomes(run) == {"study/ct.nii.gz": "taken"}
    assert dataset.cases.get().name == "study"


def test_a_files_colours_hold_unless_it_gives_one_twice() -> None:
    distinct = [{"value": 1, "name": "a", "color": "#00FF00"}, {"value": 2, "name": "b"}]
    assert told_apart(distinct) == distinct
    repeated = [*distinct, {"value": 3, "name": "c", "color": "#00ff00"}]
    assert told_apart(repeated) == [
        {"value": value, "name": name} for value, name in ((1, "a"), (2, "b"), (3, "c"))
    ]
