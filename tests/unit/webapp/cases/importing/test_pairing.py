"""Masks find their images by name, and paths tell titles and modalities."""

import pytest

from webapp.cases.importing.pairing import image_of, is_structure, looks_like_mask, modality_of, title_of


@pytest.mark.parametrize(
    "path",
    [
        "labelsTr/liver_01.nii.gz",
        "s1/segmentations/liver.nii.gz",
        "case/label.nii.gz",
        "x/case_seg.nii.gz",
        "label_for_series.nii.gz",
        "masks/a.png",
        "a-mask.png",
    ],
)
def test_masks_are_known_by_their_names(path: str) -> None:
    assert looks_like_mask(path)


@pytest.mark.parametrize(
    "path", ["imagesTr/liver_01_0000.nii.gz", "case/image.nii.gz", "masked_ball.png", "a.png"]
)
def test_images_are_not_taken_for_masks(path: str) -> None:
    assert not looks_like_mask(path)


@pytest.mark.parametrize(
    ("mask", "images", "expected"),
    [
        ("d/labelsTr/l_1.nii.gz", ["d/imagesTr/l_1_0000.nii.gz", "d/imagesTr/l_2_0000.nii.gz"], 0),
        ("d/labels/h_8.nii.gz", ["d/images/h_9.nii.gz", "d/images/h_8.nii.gz"], 1),
        ("s/segmentations/liver.nii.gz", ["s/ct.nii.gz", "t/ct.nii.gz"], 0),
        ("c/label.nii.gz", ["c/image.nii.gz", "d/image.nii.gz"], 0),
        ("c/p7_seg.nii.gz", ["c/p8.nii.gz", "c/p7.nii.gz"], 1),
        ("c/p7-mask.png", ["c/p7.png", "c/p8.png"], 0),
        ("masks/a.png", ["images/a.png", "images/b.png"], 0),
        ("x/label_for_it.nii.gz", ["y/image.nii.gz"], None),
        ("c/p9_seg.nii.gz", ["c/p7.nii.gz", "c/p8.nii.gz"], None),
    ],
)
def test_a_mask_finds_its_image(mask: str, images: list[str], expected: int | None) -> None:
    assert image_of(mask, images) == (None if expected is None else images[expected])


def test_structures_of_one_folder_belong_together() -> None:
    assert is_structure("s/segmentations/liver.nii.gz", "s/ct.nii.gz")
    assert not is_structure("d/labels/h_8.nii.gz", "d/images/h_8.nii.gz")


@pytest.mark.parametrize(
    ("path", "source", "title"),
    [
        ("hippocampus_008.nii.gz", "x", "hippocampus_008"),
        ("d/imagesTr/liver_01_0000.nii.gz", "x", "liver_01"),
        ("totalseg_ct_small/image.nii.gz", "x", "totalseg_ct_small"),
        ("image.nii.gz", "my scan.zip", "my scan"),
        ("up.zip/case7/ct.nii.gz", "x", "case7"),
    ],
)
def test_cases_are_named_after_file_or_folder(path: str, source: str, title: str) -> None:
    assert title_of(path, source) == title


@pytest.mark.parametrize(
    ("texts", "modality"),
    [
        (["a.nii.gz", "totalseg_ct_small"], "CT"),
        (["brain_T1w.nii.gz", "ct"], "MR"),
        (["001.png", "cxr_nih"], "DX"),
        (["fact.png", "direct"], ""),
    ],
)
def test_modalities_are_read_from_whole_words(texts: list[str], modality: str) -> None:
    assert modality_of(*texts) == modality
