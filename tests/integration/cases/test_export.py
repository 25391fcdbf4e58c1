"""A dataset as a folder: exact images and masks, one line per case, splits by patient."""

import csv
import io
import json
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image
from pydicom import dcmread

from synthesis.phantoms import DEMO_SERIES
from tests import factories, hostile
from tests.dciodvfy import dicom_errors, needs_dciodvfy
from tests.integration.cases.test_import_volumes import nifti, picture
from webapp.cases.demo import demo_make
from webapp.cases.models import Case
from webapp.cases.selectors import case_geometry, case_volume, mask_array
from webapp.cases.services import case_delete, dataset_export, mask_save
from webapp.core.errors import ApplicationError
from webapp.core.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def demo(storage):
    """Two small phantom series of one made-up person, with their labels."""
    return demo_make(owner=factories.person("data_manager"), plans=DEMO_SERIES[:2], shape=(4, 64, 64))


def export(dataset, folder: Path, form: str, **options):
    dataset_export(user=dataset.owner, dataset=dataset, folder=folder, form=form, **options)
    return table(folder, "cases"), table(folder, "masks")


def table(folder: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / f"{name}.csv").read_text(encoding="utf-8"))))


def test_nifti_images_and_masks_are_the_cases_voxel_by_voxel(demo, tmp_path) -> None:
    cases, masks = export(demo, tmp_path / "out", "nifti")
    assert [row["name"] for row in cases] == [plan.name for plan in DEMO_SERIES[:2]]
    for row in cases:
        case = Case.objects.get(pk=row["case"])
        image = nibabel.load(tmp_path / "out" / row["image"])
        mask = nibabel.load(tmp_path / "out" / row["mask"])
        assert np.array_equal(np.asanyarray(image.dataobj).transpose(2, 1, 0), case_volume(case).real())
        assert np.array_equal(np.asanyarray(mask.dataobj).transpose(2, 1, 0), mask_array(case.masks.get()))
        # Column, row and slice 0 lie where the case says (DICOM is LPS, NIfTI RAS).
        x, y, z = case_geometry(case).position_of(0)
        assert np.allclose(image.affine @ [0, 0, 0, 1], [-x, -y, z, 1], atol=1e-3)
        assert np.allclose(mask.affine, image.affine)
        names = {
            one["value"]: one["name"] for one in json.loads((tmp_path / "out" / row["labels"]).read_text())
        }
        assert names[6] == "liver"
    assert {row["case"] for row in masks} == {row["case"] for row in cases}


def test_dicom_holds_the_stored_files_and_a_seg_that_highdicom_reads(demo, tmp_path, storage) -> None:
    cases, _masks = export(demo, tmp_path / "out", "dicom")
    for row in cases:
        case = Case.objects.get(pk=row["case"])
        files = sorted((tmp_path / "out" / row["image"]).iterdir())
        stored = dict(case.instances.values_list("number", "file"))
        assert [path.read_bytes() for path in files] == [
            (storage / stored[number]).read_bytes() for number, _ in case.stack
        ]
        segmentation = highdicom.seg.segread(tmp_path / "out" / row["mask"])
        uids = [dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in files]
        planes = segmentation.get_pixels_by_source_instance(uids, combine_segments=True)
        wanted = mask_array(case.masks.get())
        for number in segmentation.segment_numbers:
            label = segmentation.get_segment_description(number).segment_label
            value = next(one["value"] for one in case.masks.get().labels if one["name"] == label)
            assert np.array_equal(planes == number, wanted == value), label
        assert segmentation.SyntheticData == "YES"


@needs_dciodvfy
def test_the_validator_finds_no_error_in_an_exported_seg(demo, tmp_path) -> None:
    _cases, masks = export(demo, tmp_path / "out", "dicom")
    assert all(dicom_errors(tmp_path / "out" / row["mask"]) == [] for row in masks)


def test_attributes_are_columns_and_patients_are_split_whole(demo, tmp_path) -> None:
    first = demo.cases.get(name=DEMO_SERIES[0].name)
    first.attributes |= {"note": "=HYPERLINK(1)", "units": "odd", "split": "test", "offset": -3}
    first.save()
    cases, _masks = export(demo, tmp_path / "out", "nifti")
    row = cases[0]
    assert (row["severity"], row["sex"], float(row["age"])) == ("none", "M", 58.0)
    assert row["note"] == "'=HYPERLINK(1)"  # no spreadsheet takes it for a formula
    assert row["offset"] == "-3"
    assert (row["units"], row["attribute_units"]) == ("HU", "odd")
    assert {one["patient"] for one in cases} == {"PHANTOM-1"}
    assert {one["split"] for one in cases} == {"test"}  # the other case of the same person too
    about = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert about["splits"]["patients"] == {"test": 1}
    assert (about["licence"], about["version"], about["left_out"]) == (demo.licence, demo.version, [])
    assert AuditEvent.objects.get(action="dataset.exported").detail["cases"] == 2


def test_the_same_dataset_makes_the_same_files(demo, tmp_path) -> None:
    for form in ("nifti", "dicom"):
        for name in ("one", "two"):
            export(demo, tmp_path / form / name, form)
        one, two = (
            {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
            for root in (tmp_path / form / "one", tmp_path / form / "two")
        )
        assert one == two


def test_what_was_exported_comes_back_equal(demo, tmp_path, capsys) -> None:
    export(demo, tmp_path / "out", "dicom")
    keeper = demo.owner.username
    # The same UIDs would be refused beside the originals; so these go first.
    before = {case.name: mask_array(case.masks.get()) for case in demo.cases.all()}
    pixels = {case.name: case_volume(case).stored for case in demo.cases.all()}
    for case in list(demo.cases.all()):
        case_delete(user=demo.owner, case=case)
    for name in before:
        stem = next(
            path.name for path in (tmp_path / "out/images").iterdir() if path.name[:-9] in _slug(name)
        )
        call_command("import_cases", str(tmp_path / "out/images" / stem), dataset="Back", user=keeper)
        call_command("import_cases", str(tmp_path / "out/masks" / stem), dataset="Back", user=keeper)
    back = list(Case.objects.filter(dataset__name="Back").order_by("created_at"))
    assert len(back) == len(before)
    for case, name in zip(back, before):
        assert np.array_equal(case_volume(case).stored, pixels[name])
        mask = case.masks.get()
        names = {one["value"]: one["name"] for one in mask.labels}
        liver = next(value for value, label in names.items() if label == "liver")
        assert np.array_equal(mask_array(mask) == liver, before[name] == 6)


def _slug(name: str) -> str:
    return name.lower().replace(" ", "-")


def test_pictures_empty_masks_and_several_masks(dataset, bring, tmp_path) -> None:
    colours = np.random.default_rng(1).integers(0, 255, (8, 9, 3), np.uint8)
    picture(tmp_path / "in/photo.png", colours)
    bring(tmp_path / "in/photo.png")
    case = factories.case(dataset=dataset, slices=2, name="Two masks")
    whole = np.zeros((2, case.rows, case.columns), np.uint16)
    labels = [{"value": value, "name": name} for value, name in ((1, "liver"), (2, "spleen"))]
    mask_save(user=None, case=case, name="Empty", array=whole, labels=labels, origin="painted")
    whole[0, :2], whole[1, 3:5] = 1, 2
    mask_save(user=None, case=case, name="Both", array=whole, labels=labels, origin="painted")
    for form in ("nifti", "dicom"):
        cases, masks = export(dataset, tmp_path / form, form)
        assert [row["name"] for row in masks if row["case"] == str(case.pk)] == ["Both", "Empty"]
        row = next(row for row in cases if row["case"] == str(case.pk))
        assert "both" in row["mask"]
        empty = next(row for row in masks if row["name"] == "Empty")
        assert not np.asanyarray(nibabel.load(tmp_path / form / empty["mask"]).dataobj).any()
    cases = table(tmp_path / "nifti", "cases")
    photo = next(row for row in cases if row["source"] == "raster")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "nifti" / photo["image"])), colours)


def test_a_volume_without_one_file_per_slice_gets_a_nifti_mask(dataset, bring, tmp_path) -> None:
    voxels = np.arange(4 * 5 * 3, dtype=np.int16).reshape(4, 5, 3)
    labels = (voxels > 30).astype(np.uint8)
    nifti(tmp_path / "in/ct.nii.gz", voxels)
    nifti(tmp_path / "in/segmentations/liver.nii.gz", labels)
    bring(tmp_path / "in")
    case = dataset.cases.get()
    assert case.masks.exists()
    cases, _masks = export(dataset, tmp_path / "out", "dicom")
    mask = tmp_path / "out" / cases[0]["mask"]
    if mask.suffix == ".dcm":
        assert case.instances.count() == case.slice_count
    else:
        assert np.array_equal(
            np.asanyarray(nibabel.load(mask).dataobj).transpose(2, 1, 0), mask_array(case.masks.get())
        )


def test_no_identity_leaves_with_the_files(dataset, bring, tmp_path) -> None:
    hostile.ct(tmp_path / "in/one.dcm")
    bring(tmp_path / "in")
    export(dataset, tmp_path / "out", "dicom")
    everything = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert all(word not in everything for word in (b"Mustermann", b"4711-0815", b"19641231", b"Elsewhere"))


def test_what_cannot_be_exported_is_refused_in_plain_words(dataset, tmp_path) -> None:
    with pytest.raises(ApplicationError, match="no cases"):
        export(dataset, tmp_path / "out", "nifti")
    factories.case(dataset=dataset)
    with pytest.raises(ApplicationError, match="DICOM or as NIfTI"):
        export(dataset, tmp_path / "out", "tar")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("keep")
    with pytest.raises(ApplicationError, match="not empty; nothing was written"):
        export(dataset, tmp_path / "full", "nifti")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_the_command_writes_says_what_and_refuses_strangers(demo, tmp_path, capsys) -> None:
    call_command("export_dataset", demo.name, str(tmp_path / "out"), shares=[0.5, 0.25, 0.25], seed=3)
    said = capsys.readouterr().out
    assert "2 cases (" in said
    assert f"and 2 masks of {demo.name}, version {demo.version}, are in {tmp_path / 'out'}." in said
    assert json.loads((tmp_path / "out/dataset.json").read_text())["splits"]["seed"] == 3
    for arguments, options, words in (
        (["Nothing", str(tmp_path / "x")], {}, f"There are: {demo.name}"),
        ([demo.name, str(tmp_path / "out")], {}, "not empty"),
        (
            [demo.name, str(tmp_path / "x")],
            {"user": factories.person("data_manager").username},
            "may not export",
        ),
        ([demo.name, str(tmp_path / "x")], {"user": "nobody-here"}, "Nobody signs in"),
        ([demo.name, str(tmp_path / "x")], {"shares": [0.5, 0.1, 0.1]}, "add up to 1"),
    ):
        with pytest.raises(CommandError, match=words):
            call_command("export_dataset", *arguments, **options)
    assert not (tmp_path / "x").exists()
