"""The phantom as a whole: anatomy, labels, seeds, slices and volumes."""

import numpy as np
import pytest

from synthesis.phantoms import (
    LABEL_SET,
    SPLIT_OFFSETS,
    Attributes,
    abdomen,
    draw_attributes,
    label_name,
    phantom_seed,
)
from synthesis.phantoms import labels as L
from synthesis.phantoms.subject import draw_subject


@pytest.fixture(scope="module")
def crowd():
    return [abdomen(seed) for seed in range(150)]


def middle(mask):
    """Centre of a mask as shares of the frame (row, column)."""
    rows, columns = np.nonzero(mask)
    return rows.mean() / mask.shape[0], columns.mean() / mask.shape[1]


def test_labels_are_numbered_in_order_and_named_once():
    assert [entry.value for entry in LABEL_SET] == list(range(20))
    assert len({entry.name for entry in LABEL_SET}) == len({entry.color for entry in LABEL_SET}) == 20
    assert label_name(L.LIVER) == "liver"
    with pytest.raises(ValueError, match="20"):
        label_name(20)


def test_every_structure_occurs_and_the_chief_ones_always(crowd):
    seen = np.array([np.bincount(p.labels.ravel(), minlength=20) > 0 for p in crowd])
    share = seen.mean(0)
    for label in (L.AIR, L.FAT, L.MUSCLE, L.BONE, L.LIVER, L.AORTA, L.VEINS, L.CANAL, L.SKIN):
        assert share[label] == 1.0, label_name(label)
    for label in (L.BODY, L.RIBS, L.SPLEEN, L.KIDNEYS, L.PANCREAS, L.STOMACH, L.BOWEL, L.GALLBLADDER,
                  L.LUNG, L.ASCITES, L.LESION):  # fmt: skip
        assert 0.15 <= share[label] <= 1.0, label_name(label)
    assert seen.sum(1).min() >= 13


def test_the_liver_is_large_in_every_slice(crowd):
    assert min((p.labels == L.LIVER).sum() for p in crowd) >= 250


def test_the_body_fills_the_frame_and_never_touches_its_border(crowd):
    widths = []
    for phantom in crowd:
        body = phantom.labels > 0
        assert not (body[0].any())
        assert not (body[-1].any())
        assert not (body[:, 0].any())
        assert not (body[:, -1].any())
        columns = np.flatnonzero(body.any(0))
        widths.append((columns[-1] - columns[0] + 1) / body.shape[1])
    assert 0.80 < np.mean(widths) < 0.90
    assert min(widths) > 0.72
    assert max(widths) < 0.97


def test_organs_lie_on_the_radiologists_side(crowd):
    for phantom in crowd:
        at = {v: middle(phantom.labels == v) for v in range(20) if (phantom.labels == v).sum() > 8}
        assert at[L.LIVER][1] < 0.5  # the patient's right is the image's left
        assert at[L.BONE][0] > 0.5  # the spine is at the back
        assert at[L.CANAL][0] > at[L.AORTA][0]
        if L.SPLEEN in at:
            assert at[L.SPLEEN][1] > 0.6
        if L.STOMACH in at:
            assert at[L.STOMACH][1] > 0.42


def test_lesions_lie_in_the_liver_and_some_are_large():
    across = []
    for seed in range(60):
        with_lesions = abdomen(seed, attributes=Attributes(lesions=2))
        without = abdomen(seed, attributes=Attributes(lesions=0))
        lesion = with_lesions.labels == L.LESION
        assert lesion.any()
        # Branches of the vessels may be covered, too.
        assert np.isin(without.labels[lesion], (L.LIVER, L.VEINS)).mean() > 0.98
        across.append(2 * np.sqrt(lesion.sum() / 2 / np.pi))
    assert np.mean(np.array(across) >= 4.0) > 0.5


def test_some_lesions_are_brighter_and_most_are_darker_than_liver():
    kinds = []
    for seed in range(80):
        phantom = abdomen(seed, attributes=Attributes(lesions=1))
        lesion = phantom.labels == L.LESION
        if lesion.any():
            kinds.append(phantom.clean[lesion].mean() > phantom.clean[phantom.labels == L.LIVER].mean())
    assert len(kinds) >= 78  # a neighbouring organ may hide a lesion
    assert 0.02 < np.mean(kinds) < 0.3


def test_splits_never_meet_and_refuse_what_lies_outside():
    assert phantom_seed("training", 3) == 3
    assert phantom_seed("test", 0) == SPLIT_OFFSETS["test"] == 20_000_000
    assert phantom_seed("training", 9_999_999) < phantom_seed("validation", 0)
    with pytest.raises(ValueError, match="train"):
        phantom_seed("train", 0)
    with pytest.raises(ValueError, match="index"):
        phantom_seed("training", 10_000_000)


def test_drawn_attributes_cover_every_grade_independently():
    drawn = [draw_attributes(seed) for seed in range(2000)]
    table = np.zeros((4, 4))
    for a in drawn:
        table[a.severity_texture, a.severity_shape] += 1
    assert table.min() > 80  # 125 expected in each of 16 cells
    assert {a.steatosis for a in drawn} == {0, 1, 2, 3}
    assert {a.sex for a in drawn} == {"F", "M"}
    ages = [a.age for a in drawn]
    assert min(ages) < 22
    assert max(ages) > 86


@pytest.mark.parametrize(
    "wrong",
    [{"severity_texture": 4}, {"steatosis": -1}, {"lesions": 9}, {"age": 8.0}, {"sex": "X"}],
)
def test_attributes_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Attributes(**wrong)


def test_bad_grids_are_refused():
    with pytest.raises(ValueError, match="shape"):
        abdomen(0, shape=(128,))
    with pytest.raises(ValueError, match="spacing_mm"):
        abdomen(0, spacing_mm=(2.8,))
    with pytest.raises(ValueError, match="spacing_mm"):
        abdomen(0, spacing_mm=(2.8, float("nan")))
    with pytest.raises(ValueError, match="seed"):
        abdomen(-1)


def test_a_volume_is_the_same_code_with_one_more_axis():
    volume = abdomen(3, shape=(9, 64, 64), spacing_mm=(12.0, 5.6, 5.6), modality="T2")
    assert volume.image.shape == volume.labels.shape == volume.clean.shape == (9, 64, 64)
    assert volume.spacing_mm == (12.0, 5.6, 5.6)
    tall = draw_subject(3).stretch[2]
    for k in range(9):
        level = volume.level_mm + (k - 4) * 12.0 / tall
        single = abdomen(3, shape=(64, 64), spacing_mm=(5.6, 5.6), level_mm=level, modality="T2")
        np.testing.assert_array_equal(single.labels, volume.labels[k])
    flat = abdomen(3, shape=(1, 64, 64), spacing_mm=(5.0, 5.6, 5.6), level_mm=10.0, modality="CT")
    single = abdomen(3, shape=(64, 64), spacing_mm=(5.6, 5.6), level_mm=10.0, modality="CT")
    np.testing.assert_array_equal(flat.image[0], single.image)


def test_a_volume_runs_from_kidneys_to_lung_bases():
    volume = abdomen(4, shape=(28, 64, 64), attributes=Attributes())
    lung, kidney = ((volume.labels == v).sum((1, 2)) for v in (L.LUNG, L.KIDNEYS))
    assert lung[-1] > 100
    assert lung[0] == 0
    assert kidney[:14].sum() > kidney[14:].sum() > 0


def test_finer_grids_show_the_same_anatomy():
    coarse, fine = abdomen(6), abdomen(6, shape=(256, 256))
    assert fine.spacing_mm[0] == pytest.approx(coarse.spacing_mm[0] / 2, abs=1e-3)
    shrunk = fine.clean.reshape(128, 2, 128, 2).mean((1, 3))
    plain = abdomen(6, attributes=Attributes(lesions=draw_attributes(6).lesions)).labels
    inside = np.isin(plain, (L.SPLEEN, L.MUSCLE, L.FAT, L.LUNG))
    assert np.median(np.abs(shrunk - coarse.clean)[inside]) < 5.0
    for label in (L.LIVER, L.SPLEEN, L.BONE):
        ratio = (fine.labels == label).sum() / max((coarse.labels == label).sum(), 1) / 4
        assert ratio == pytest.approx(1.0, abs=0.12), label_name(label)


def test_the_placed_lesions_do_not_depend_on_the_grid():
    coarse = abdomen(9, attributes=Attributes(lesions=3))
    fine = abdomen(9, shape=(256, 256), attributes=Attributes(lesions=3))
    a = middle(coarse.labels == L.LESION)
    b = middle(fine.labels == L.LESION)
    assert a == pytest.approx(b, abs=0.01)


# Pixels of liver, spleen, kidneys, bowel and bone, and the mean of the noise-free CT inside the
# body. The shipped model was trained on these phantoms: whoever changes them must train it anew.
PINNED = {
    0: ([712, 0, 297, 1019, 172], -15.47),
    1: ([1755, 312, 48, 0, 209], -36.28),
    2: ([939, 297, 330, 347, 154], 11.85),
    17: ([686, 122, 313, 851, 202], -26.16),
    20_000_000: ([791, 0, 318, 736, 172], -7.9),
}


@pytest.mark.parametrize("seed", sorted(PINNED))
def test_phantoms_are_those_the_shipped_model_was_trained_on(seed):
    phantom = abdomen(seed)
    counts, mean = PINNED[seed]
    got = [int((phantom.labels == v).sum()) for v in (L.LIVER, L.SPLEEN, L.KIDNEYS, L.BOWEL, L.BONE)]
    assert got == pytest.approx(counts, abs=3)
    assert float(phantom.clean[phantom.labels > 0].mean()) == pytest.approx(mean, abs=0.3)
