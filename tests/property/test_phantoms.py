"""Laws every phantom obeys: same seed, same person; one attribute changed, only that changed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synthesis.phantoms import MODALITIES, Attributes, abdomen, draw_attributes
from synthesis.phantoms import labels as L
from synthesis.phantoms.noise import CT_NOISE_HU

seeds = st.integers(min_value=0, max_value=30_000_000)
modalities = st.sampled_from(MODALITIES)
grades = st.integers(min_value=0, max_value=3)
people = st.builds(
    Attributes,
    severity_texture=grades,
    severity_shape=grades,
    steatosis=grades,
    lesions=st.integers(min_value=0, max_value=4),
    age=st.floats(min_value=18, max_value=90),
    sex=st.sampled_from(["F", "M"]),
)
few = settings(max_examples=25, deadline=None)


@few
@given(seeds, modalities, people)
def test_a_seed_gives_the_same_phantom_twice(seed, modality, who):
    a, b = (abdomen(seed, modality=modality, attributes=who) for _ in range(2))
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.labels, b.labels)
    assert a.image.dtype == a.clean.dtype == np.float32
    assert a.labels.dtype == np.uint8
    assert np.isfinite(a.image).all()
    assert a.labels.max() < 20


@few
@given(seeds, modalities, people, grades)
def test_texture_changes_the_liver_alone_and_never_the_mask(seed, modality, who, grade):
    a = abdomen(seed, modality=modality, attributes=who)
    b = abdomen(seed, modality=modality, attributes=replace(who, severity_texture=grade))
    np.testing.assert_array_equal(a.labels, b.labels)
    outside = a.liver_share == 0
    np.testing.assert_array_equal(a.image[outside], b.image[outside])
    np.testing.assert_array_equal(a.clean[outside], b.clean[outside])


@few
@given(seeds, modalities, people, grades)
def test_steatosis_changes_the_liver_alone_and_never_the_mask(seed, modality, who, grade):
    a = abdomen(seed, modality=modality, attributes=who)
    b = abdomen(seed, modality=modality, attributes=replace(who, steatosis=grade))
    np.testing.assert_array_equal(a.labels, b.labels)
    outside = a.liver_share == 0
    np.testing.assert_array_equal(a.image[outside], b.image[outside])


@few
@given(seeds, modalities, people)
def test_lesions_change_the_image_only_where_they_lie(seed, modality, who):
    a = abdomen(seed, modality=modality, attributes=replace(who, lesions=0))
    b = abdomen(seed, modality=modality, attributes=replace(who, lesions=2))
    lesion = b.labels == L.LESION
    outside = (a.liver_share == 0) & (b.liver_share == 0)
    np.testing.assert_array_equal(a.image[outside], b.image[outside])
    np.testing.assert_array_equal(a.labels[~lesion], b.labels[~lesion])
    assert (a.image != b.image).sum() <= 2.5 * lesion.sum() + 60  # the lesions and their rims


@few
@given(seeds, people)
def test_liver_share_is_the_truth_behind_the_label(seed, who):
    phantom = abdomen(seed, attributes=who)
    inside = np.isin(phantom.labels, (L.LIVER, L.LESION))
    assert phantom.liver_share[inside].min() > 0.1  # vessels and fissures share some of these pixels
    assert phantom.liver_share.min() >= 0
    assert phantom.liver_share.max() <= 1 + 1e-6
    assert phantom.liver_share.sum() == pytest.approx(inside.sum(), rel=0.08)
    assert (phantom.liver_share == 0).mean() > 0.7


@few
@given(seeds, people, people)
def test_ct_noise_is_the_same_whatever_the_attributes(seed, who, other):
    a, b = abdomen(seed, attributes=who), abdomen(seed, attributes=other)
    np.testing.assert_allclose(a.image - a.clean, b.image - b.clean, atol=2e-4)
    assert (a.image - a.clean).std() == pytest.approx(CT_NOISE_HU, rel=0.05)


@few
@given(seeds, people)
def test_modalities_show_the_same_anatomy(seed, who):
    masks = [abdomen(seed, modality=m, attributes=who).labels for m in MODALITIES]
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])


@few
@given(seeds, st.sampled_from(MODALITIES))
def test_liver_grows_rougher_with_every_texture_grade(seed, modality):
    plain = Attributes(lesions=0)
    made = [abdomen(seed, modality=modality, attributes=replace(plain, severity_texture=g)) for g in range(4)]
    inside = made[0].labels == L.LIVER
    for row, col in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)):
        inside &= np.roll(made[0].labels == L.LIVER, (row, col), (0, 1))
    roughness = [float((p.image - made[0].clean)[inside].std()) for p in made]
    assert roughness[0] < roughness[1] < roughness[2] < roughness[3]
    mean = [float(p.clean[inside].mean()) for p in made]
    assert max(mean) - min(mean) < 0.08 * abs(mean[0]) + 3.0


@few
@given(seeds)
def test_steatosis_darkens_ct_and_brightens_mr_grade_by_grade(seed):
    for modality, sign in (("CT", -1), ("T1", 1), ("T2", 1)):
        means = []
        for grade in range(4):
            phantom = abdomen(seed, modality=modality, attributes=Attributes(steatosis=grade))
            means.append(float(phantom.image[phantom.labels == L.LIVER].mean()))
        assert (sign * np.diff(means) > 3.0).all()


@few
@given(seeds, st.sampled_from(["F", "M"]))
def test_age_takes_muscle_and_bone_density(seed, sex):
    young, old = (abdomen(seed, attributes=Attributes(age=age, sex=sex)) for age in (25.0, 85.0))
    assert (old.labels == L.MUSCLE).sum() < (young.labels == L.MUSCLE).sum()
    bone = [np.median(p.clean[p.labels == L.RIBS]) for p in (young, old) if (p.labels == L.RIBS).sum() > 20]
    if len(bone) == 2:
        assert bone[1] < bone[0]


@few
@given(seeds, st.floats(min_value=18, max_value=90))
@example(101, 28.75)  # two outlines of equally many pixels
def test_sex_shows_in_fat_under_the_skin_and_in_the_wall(seed, age):
    woman, man = (abdomen(seed, attributes=Attributes(age=age, sex=s)) for s in ("F", "M"))
    assert (woman.labels == L.MUSCLE).sum() < (man.labels == L.MUSCLE).sum()
    fat = [(p.labels == L.FAT).sum() / (p.labels > 0).sum() for p in (woman, man)]
    assert fat[0] > fat[1] + 0.02


@few
@given(seeds)
def test_shape_grades_bring_ascites_and_a_larger_spleen(seed):
    made = [abdomen(seed, attributes=Attributes(severity_shape=g), level_mm=20.0) for g in range(4)]
    ascites = [int((p.labels == L.ASCITES).sum()) for p in made]
    assert ascites[0] == ascites[1] == 0 < ascites[2] < ascites[3]
    spleen = [int((p.labels == L.SPLEEN).sum()) for p in made]
    assert spleen[3] > 1.15 * spleen[0]
    assert (made[3].labels == L.LIVER).sum() < (made[0].labels == L.LIVER).sum()


@few
@given(seeds, seeds)
def test_two_seeds_are_two_people(first, second):
    if first == second:
        return
    who = Attributes()
    a, b = abdomen(first, attributes=who), abdomen(second, attributes=who)
    rest_a, rest_b = a.image - a.clean, b.image - b.clean
    assert abs(np.corrcoef(rest_a.ravel(), rest_b.ravel())[0, 1]) < 0.05
    assert (a.labels != b.labels).mean() > 0.01


def test_drawn_attributes_belong_to_the_seed():
    assert draw_attributes(5) == draw_attributes(5) == abdomen(5).attributes
