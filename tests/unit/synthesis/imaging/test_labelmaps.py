"""Names of other label sets into the model's own."""

import numpy as np
import pytest

from synthesis.imaging.labelmaps import UNLABELLED, concept_of, label_map
from synthesis.phantoms import labels as L
from synthesis.phantoms.labels import LABEL_SET

TOTALSEGMENTATOR = {
    "spleen": "spleen",
    "kidney_right": "kidneys",
    "kidney_cyst_left": "kidneys",
    "gallbladder": "gallbladder",
    "liver": "liver",
    "stomach": "stomach",
    "pancreas": "pancreas",
    "lung_upper_lobe_left": "lung",
    "lung_right": "lung",
    "small_bowel": "bowel",
    "duodenum": "bowel",
    "colon": "bowel",
    "vertebrae_L1": "bone",
    "vertebrae": "bone",
    "sacrum": "bone",
    "hip_left": "bone",
    "sternum": "bone",
    "rib_left_12": "ribs",
    "costal_cartilages": "ribs",
    "aorta": "aorta",
    "iliac_artery_left": "aorta",
    "inferior_vena_cava": "veins",
    "portal_vein_and_splenic_vein": "veins",
    "iliac_vena_right": "veins",
    "spinal_cord": "spinal canal",
    "autochthon_left": "muscle",
    "iliopsoas_right": "muscle",
    "gluteus_maximus_left": "muscle",
    "subcutaneous_fat": "fat",
    "torso_fat": "fat",
    "skeletal_muscle": "muscle",
    "skin": "skin",
    "femur_left": "bone",
}
OTHERS = {
    "Left Kidney": "kidneys",
    "Liver": "liver",
    "Liver tumour": "lesion",
    "liver_vessels": "liver",
    "hepatic_vein": "veins",
    "Gall bladder": "gallbladder",
    "IVC": "veins",
    "InferiorVenaCava": "veins",
    "Ascites": "ascites",
    "psoas_left": "muscle",
    "Large intestine": "bowel",
}


@pytest.mark.parametrize(("name", "concept"), [*TOTALSEGMENTATOR.items(), *OTHERS.items()])
def test_known_names(name, concept):
    assert concept_of(name) == concept


@pytest.mark.parametrize(
    "name",
    [
        "heart",
        "adrenal_gland_right",
        "esophagus",
        "brain",
        "intervertebral_discs",
        "lung_vessels",
        "prostate",
        "",
    ],
)
def test_names_without_a_counterpart(name):
    assert concept_of(name) is None


def test_every_concept_is_a_label_of_the_abdomen_set():
    names = {one.name for one in LABEL_SET}
    assert {concept_of(name) for name in {**TOTALSEGMENTATOR, **OTHERS}} <= names
    assert all(concept_of(name) == name for name in names)


def test_a_mask_is_mapped_and_what_is_not_is_named():
    names = label_map(
        [{"value": 0, "name": "background"}, {"value": 5, "name": "liver"}, {"value": 51, "name": "heart"}]
    )
    assert names.unmapped == ("heart",)
    assert names.mapped == {"liver": "liver"}
    mapped = names.apply(np.array([[0, 5], [51, 900]], np.uint16))
    assert mapped.tolist() == [[UNLABELLED, L.LIVER], [UNLABELLED, UNLABELLED]]


def test_the_models_own_masks_pass_unchanged_with_their_air():
    own = [{"value": one.value, "name": one.name} for one in LABEL_SET]
    labels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    assert np.array_equal(label_map(own).apply(labels), labels)


def test_a_model_with_other_values_and_fewer_labels():
    target = [{"value": 3, "name": "Liver"}, {"value": 4, "name": "bone"}]
    names = label_map([{"value": 5, "name": "liver"}, {"value": 1, "name": "spleen"}], target)
    assert names.table == {5: 3}
    assert names.unmapped == ("spleen",)


def test_impossible_label_values_are_refused():
    with pytest.raises(ValueError, match="65535"):
        label_map([]).apply(np.array([[-1]]))
