"""Sets from elsewhere: manifests, exported datasets and nnU-Net's layout, read case by case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.sources import UNKNOWN, UnusableSource, sources_of

NNUNET_2 = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}, "file_ending": ".nii.gz"}
NNUNET_1 = {"modality": {"0": "T1w"}, "labels": {"0": "background", "1": "liver"}}


def manifest(folder: Path, header: str, *lines: str) -> Path:
    """A table with files of those names beside it."""
    for line in lines:
        for name in line.split(",")[:2]:
            if name:
                (folder / name).write_bytes(b"")
    path = folder / "manifest.csv"
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def test_a_manifest_says_what_is_known_and_leaves_the_rest_unknown(tmp_path) -> None:
    manifest(
        tmp_path,
        "image,mask,patient,split,modality,weighting,severity,steatosis,age,sex",
        "a.nii.gz,a-mask.nii.gz,P1,train,MR,T2,severe,2,61.5,male",
        "b.nii.gz,b-mask.nii.gz,P2,test,CT,,1,,,",
        "c.nii.gz,,P3,train,CT,,,,,",
    )
    (tmp_path / "labels.json").write_text('{"1": "liver"}')
    first, second = sources_of(tmp_path)
    assert (first.modality, first.split, first.patient) == ("T2", "train", "P1")
    assert (first.attributes.severity, first.attributes.steatosis) == (3, 2)
    assert (first.attributes.age, first.attributes.sex) == (61.5, 1)
    assert first.labels == ({"value": 1, "name": "liver"},)
    assert (second.attributes.severity, second.attributes.steatosis, second.attributes.sex) == (
        1,
        UNKNOWN,
        UNKNOWN,
    )
    assert second.attributes.age != second.attributes.age


@pytest.mark.parametrize(
    ("header", "line", "words"),
    [
        ("image,mask,modality", "a.png,b.png,MR", "For MR say the weighting too"),
        ("image,mask,modality,severity", "a.png,b.png,CT,grave", "line 2: severity must be one of none, low"),
        ("image,mask,modality,age", "a.png,b.png,CT,old", "the age must be a number of years, got “old”"),
        ("image,mask,modality,split", "a.png,b.png,CT,holdout", "the split must be train, validation, test"),
        (
            "image,mask,modality,labels",
            "a.png,b.png,CT,names.json",
            "the list of labels names.json is not there",
        ),
        ("image,mask,modality,spacing_row_mm,spacing_column_mm", "a.png,b.png,CT,0,1", "must be above 0 mm"),
        ("picture,mask", "a.png,b.png", "needs at least the columns image and mask"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(tmp_path, header, line, words) -> None:
    with pytest.raises(UnusableSource, match=words):
        sources_of(manifest(tmp_path, header, line))


def test_a_patient_in_two_splits_is_refused(tmp_path) -> None:
    path = manifest(
        tmp_path, "image,mask,patient,split,modality", "a.png,b.png,P1,train,CT", "c.png,d.png,P1,test,CT"
    )
    with pytest.raises(UnusableSource, match="Patient P1 is in the splits train and test"):
        sources_of(path)


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    path = manifest(tmp_path, "image,mask,modality", "a.png,b.png,CT")
    (tmp_path / "b.png").unlink()
    with pytest.raises(UnusableSource, match=r"manifest.csv, line 2: the mask b.png is not there"):
        sources_of(path)


@pytest.mark.parametrize(("about", "part", "modality"), [(NNUNET_2, "_0000", "CT"), (NNUNET_1, "", "T1")])
def test_both_versions_of_nnunets_layout_are_read(tmp_path, about, part, modality) -> None:
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    for name in ("amos_0001", "amos_0002"):
        (tmp_path / "imagesTr" / f"{name}{part}.nii.gz").write_bytes(b"")
        (tmp_path / "labelsTr" / f"{name}.nii.gz").write_bytes(b"")
    found = sources_of(tmp_path)
    assert [one.name for one in found] == ["amos_0001", "amos_0002"]
    assert {one.modality for one in found} == {modality}
    assert {"value": 1, "name": "liver"} in found[0].labels
    assert {one.modality for one in sources_of(tmp_path, modality="T2")} == {"T2"}
    (tmp_path / "imagesTr" / f"amos_0002{part}.nii.gz").unlink()
    with pytest.raises(UnusableSource, match="labelsTr has amos_0002"):
        sources_of(tmp_path)


def test_nnunet_sets_of_several_channels_or_regions_are_refused(tmp_path) -> None:
    (tmp_path / "labelsTr").mkdir()
    (tmp_path / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "T1", "1": "T2"}, "labels": {}})
    )
    with pytest.raises(UnusableSource, match="2 channels"):
        sources_of(tmp_path)
    about = {"channel_names": {"0": "CT"}, "labels": {"whole": [1, 2]}}
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    with pytest.raises(UnusableSource, match="regions of several values"):
        sources_of(tmp_path)


def test_a_folder_of_nothing_known_is_refused(tmp_path) -> None:
    with pytest.raises(
        UnusableSource, match=r"neither cases.csv nor manifest.csv nor nnU-Net's dataset.json"
    ):
        sources_of(tmp_path)
