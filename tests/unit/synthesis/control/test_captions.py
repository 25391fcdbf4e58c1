"""Several wordings of one condition."""

from __future__ import annotations

import itertools

import pytest

from synthesis.control.captions import captions_of
from synthesis.control.patient_prompts import TEMPLATES, PatientPrompts
from synthesis.control.prompts import prompt_of
from synthesis.request import MODALITIES, SEVERITIES, SEXES, STEATOSIS_GRADES, Condition

FULL = Condition(modality="CT", severity="mild", age=62.6, sex="F", steatosis=2)


def test_the_prompt_is_the_first_of_several_wordings_that_all_say_the_same():
    found = captions_of(FULL)
    assert found[0] == prompt_of(FULL)
    assert len(set(found)) == len(found) == 7
    for caption in found:
        for word in ("mild", "63", "woman", "2"):
            assert word in caption.lower()
        assert caption.lower().count("cirrhosis") == 1
        assert caption.endswith(".")


@pytest.mark.parametrize("modality", MODALITIES)
def test_every_condition_has_as_many_and_unlike_ones_have_unlike_captions(modality):
    seen = set()
    for severity, sex, steatosis in itertools.product(SEVERITIES, (None, *SEXES), STEATOSIS_GRADES):
        found = captions_of(Condition(modality=modality, severity=severity, sex=sex, steatosis=steatosis))
        assert len(found) == 7
        assert not seen & set(found)
        seen |= set(found)


def test_what_is_not_stated_is_left_out():
    found = " ".join(captions_of(Condition(modality="T2", severity=None, steatosis=None)))
    assert "cirrhosis" not in found
    assert "steatosis" not in found
    assert "aged" not in found
    assert "CT" not in found


def test_words_that_are_not_known_are_refused():
    with pytest.raises(ValueError, match="modality"):
        captions_of(Condition(modality="PET"))


def test_a_model_with_words_of_its_own_for_patients_is_asked_in_all_of_them():
    words = PatientPrompts(image="chest X-ray", diagnoses={"N": "no finding", "C": "cardiomegaly"})
    ill = Condition(modality="CT", age=67, sex="F", diagnosis="C")
    found = captions_of(ill, words)
    assert found[0] == words.prompt(ill) == "A chest X-ray of a 67-year-old woman with cardiomegaly."
    assert len(set(found)) == len(found) == len(TEMPLATES["diverse"])
    assert all("cardiomegaly" in caption for caption in found)
    assert captions_of(ill, PatientPrompts(style="generic")) == ("A medical image.",)
