"""Slices of sets from elsewhere as shards: anatomy and values survive, and what does not fit says why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from synthesis.imaging.geometry import LPS_TO_RAS
from synthesis.metrics.dice import dice_per_label
from synthesis.phantoms import Attributes, abdomen
from synthesis.phantoms import labels as names
from tests.shared_data import DATA, needs_shared_data
from training.data import MaskDropout, PhantomShards, batch_at
from training.external import write_external
from training.prepare import prepare_set
from training.recipe import load_recipe
from training.sources import UnusableSource, sources_of

ORGANS = {6: "liver", 7: "spleen", 8: "kidneys", 17: "lesion"}


@pytest.fixture(scope="module")
def recipe():
    """The shipped model's recipe."""
    return load_recipe("abdomen-2d")


@pytest.fixture(scope="module")
def phantom():
    """A T1 volume of two slices through the liver."""
    return abdomen(
        20_900_001, shape=(2, 128, 128), modality="T1", attributes=Attributes(age=50.0, sex="F", lesions=1)
    )


def write_volume(path: Path, stack, spacing_mm) -> None:
    """A NIfTI volume [slices, rows, columns] centred in the patient."""
    depth, between_rows, between_columns = spacing_mm
    rows, columns = stack.shape[1:]
    affine = np.diag([between_columns, between_rows, depth, 1.0])
    affine[:2, 3] = -columns / 2 * between_columns, -rows / 2 * between_rows
    image = nibabel.Nifti1Image(np.ascontiguousarray(stack.transpose(2, 1, 0)), LPS_TO_RAS @ affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def make_set(folder: Path, phantom, *, factor: float = 1.0, extra: str = "") -> Path:
    """A manifest of one patient, whose organs alone are labelled."""
    given = np.where(np.isin(phantom.labels, list(ORGANS)), phantom.labels, 0).astype(np.uint16)
    write_volume(folder / "image.nii.gz", (phantom.image * factor).astype(np.float32), phantom.spacing_mm)
    write_volume(folder / "mask.nii.gz", given, phantom.spacing_mm)
    (folder / "labels.json").write_text(json.dumps(ORGANS))
    table = folder / "manifest.csv"
    table.write_text(
        "image,mask,name,patient,split,modality,weighting,severity,age\n"
        f"image.nii.gz,mask.nii.gz,one,P1,train,MR,T1,none,50\n{extra}"
    )
    return table


def test_the_anatomy_and_its_values_arrive_whatever_unit_the_signal_has(tmp_path, phantom, recipe) -> None:
    table = make_set(tmp_path, phantom, factor=3.7)
    out = tmp_path / "out"
    out.mkdir()
    report = write_external(out, sources_of(table), recipe, split="train", shard=256)
    assert report["slices"] == 2
    shards = PhantomShards(out)
    images, stored, rows = shards.take(np.arange(2))
    truth = [np.where(np.isin(one, list(ORGANS)), one, 0) for one in phantom.labels]
    found = [np.where(np.isin(one, list(ORGANS)), one, 0) for one in stored]
    for label in (names.LIVER, names.SPLEEN):
        seen = np.count_nonzero(found[0] == label)
        area = np.count_nonzero(truth[0] == label) * np.prod(phantom.spacing_mm[1:])
        assert seen * rows[0, 8] ** 2 == pytest.approx(area, rel=0.05)
    top = recipe.normalisation["T1"].units[-1]
    scale = top / np.percentile(phantom.image, 99.5)
    liver = float(images[0][found[0] == names.LIVER].mean())
    assert liver == pytest.approx(float(phantom.image[0][truth[0] == names.LIVER].mean()) * scale, rel=0.02)
    assert rows[:, 1].tolist() == [1.0, 1.0]  # T1
    assert rows[:, 2].tolist() == [0.0, 0.0]  # severity none was said
    assert rows[:, 4].tolist() == [-1.0, -1.0]  # steatosis was not
    assert (stored[0] == names.BODY).any()  # what nobody labelled is unknown, not air
    batch = batch_at(shards, recipe.normalisation, MaskDropout(), size=2, seed=0, step=0)
    assert bool(np.isfinite(batch.images).all())


def test_a_bad_case_costs_only_itself(tmp_path, phantom, recipe) -> None:
    write_volume(tmp_path / "short.nii.gz", np.zeros((1, 128, 128), np.float32), phantom.spacing_mm)
    (tmp_path / "broken.nii.gz").write_bytes(b"no volume")
    table = make_set(
        tmp_path,
        phantom,
        extra="short.nii.gz,mask.nii.gz,short,P2,train,MR,T1,,\n"
        "broken.nii.gz,mask.nii.gz,broken,P3,train,MR,T1,,\n"
        "image.nii.gz,mask.nii.gz,other,P4,test,MR,T1,,\n",
    )
    out = tmp_path / "out"
    out.mkdir()
    report = write_external(out, sources_of(table), recipe, split="train", shard=1)
    assert {name: case["slices"] for name, case in report["cases"].items()} == {
        "one": 2,
        "short": 0,
        "broken": 0,
    }
    assert "differ in size" in next(iter(report["cases"]["short"]["refused"]))
    assert report["cases"]["broken"]["refused"]
    assert sorted(path.name for path in out.iterdir()) == ["report.json", "shard-00000", "shard-00001"]


def test_a_set_of_which_nothing_fits_leaves_nothing(tmp_path, phantom, recipe) -> None:
    table = make_set(tmp_path, phantom)
    (tmp_path / "labels.json").write_text('{"6": "left atrium"}')
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(UnusableSource, match=r"None of the mask's labels is known \(left atrium\)"):
        write_external(out, sources_of(table), recipe, split="train", shard=8)
    with pytest.raises(UnusableSource, match="No slice of the 0 cases in the split test"):
        write_external(out, sources_of(table), recipe, split="test", shard=8)
    ct_alone = replace(recipe, modalities=("CT",))
    with pytest.raises(UnusableSource, match="knows CT, not T1"):
        write_external(out, sources_of(table), ct_alone, split="train", shard=8)
    assert list(out.iterdir()) == []


def test_pictures_need_their_pixel_size(tmp_path, recipe) -> None:
    phantom = abdomen(20_900_002, shape=(128, 128), modality="T2")
    Image.fromarray(np.clip(phantom.image / 8, 0, 255).astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(phantom.labels).save(tmp_path / "m.png")
    (tmp_path / "labels.json").write_text(json.dumps(ORGANS))
    table, out = tmp_path / "manifest.csv", tmp_path / "out"
    out.mkdir()
    table.write_text("image,mask,split,modality\na.png,m.png,train,T2\n")
    with pytest.raises(UnusableSource, match="how large its pixels are"):
        write_external(out, sources_of(table), recipe, split="train", shard=8)
    row, column = phantom.spacing_mm
    table.write_text(
        f"image,mask,split,modality,spacing_row_mm,spacing_column_mm\na.png,m.png,train,T2,{row},{column}\n"
    )
    assert write_external(out, sources_of(table), recipe, split="train", shard=8)["slices"] == 1
    found = PhantomShards(out).take(np.arange(1))[1][0] & 127
    dice = dice_per_label([found], [phantom.labels], (names.LIVER,))
    assert dice[names.LIVER] > 0.9


def test_shards_of_two_sets_are_never_mixed(tmp_path, phantom, recipe) -> None:
    table, out = make_set(tmp_path, phantom), tmp_path / "out"
    out.mkdir()
    prepare_set(table, recipe, out, split="train")
    with pytest.raises(UnusableSource, match="already holds shards"):
        prepare_set(table, recipe, out, split="train")


@needs_shared_data
def test_a_real_ct_with_the_labels_of_totalsegmentator_is_taken(tmp_path, recipe) -> None:
    source = DATA / "nifti" / "totalseg_ct_small_multiorgan"
    table, out = tmp_path / "manifest.csv", tmp_path / "out"
    out.mkdir()
    table.write_text(
        f"image,mask,split,modality\n{source / 'image.nii.gz'},{source / 'label.nii.gz'},train,CT\n"
    )
    (tmp_path / "labels.json").write_text('{"5": "liver", "1": "spleen", "52": "aorta"}')
    report = write_external(out, sources_of(table), recipe, split="train", shard=256)
    images, stored, _ = PhantomShards(out).take(np.arange(report["slices"]))
    liver = images[(stored & 127) == names.LIVER]
    assert report["slices"] > 3
    assert 20 < float(np.median(liver)) < 180  # HU of a liver, with contrast or without


def documented_tables() -> dict[str, list[str]]:
    """The lines of the manifests that docs/own-data.md shows, by the set's name."""
    text = (Path(__file__).parents[3] / "docs" / "own-data.md").read_text(encoding="utf-8")
    shown = {}
    for name in ("ATLAS", "CirrMRI600+"):
        block = text.partition(f"**{name}**")[2].partition("```\n")[2].partition("```")[0]
        labels = text.partition(f"**{name}**")[2].partition("`labels.json` `")[2].partition("`")[0]
        shown[name] = [labels, *block.splitlines()]
    return shown


@pytest.mark.parametrize("name", ["ATLAS", "CirrMRI600+"])
def test_the_tables_of_the_guide_bring_their_sets_in(tmp_path, phantom, recipe, name) -> None:
    labels, *lines = documented_tables()[name]
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "labels.json").write_text(labels)
    mask = np.zeros_like(phantom.labels, dtype=np.uint16)
    mask[phantom.labels == names.LIVER] = 1
    mask[phantom.labels == names.LESION] = 2 if "2" in json.loads(labels) else 1
    for line in lines[1:]:
        image, drawn, *_ = line.split(",")
        for file, stack in ((image, phantom.image.astype(np.float32)), (drawn, mask)):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            write_volume(tmp_path / file, stack, phantom.spacing_mm)
    sources = sources_of(tmp_path)
    assert len(sources) == 2
    if name == "CirrMRI600+":
        assert sources[0].split == sources[1].split
        assert [one.modality for one in sources] == ["T1", "T2"]
        assert [one.attributes.severity for one in sources] == [1, 1]
    out = tmp_path / "out"
    for split in {one.split for one in sources}:
        write_external(out / split, sources, recipe, split=split, shard=256)
        found = PhantomShards(out / split).take(np.arange(1))[1] & 127
        assert (found == names.LIVER).any()
        assert (found == names.BODY).any()
        assert (found == names.LESION).any() == (name == "ATLAS")
