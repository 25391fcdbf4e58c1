"""A condition in words: one sentence, what is not stated left out."""

import subprocess
import sys

import pytest

from synthesis.control.prompts import prompt_of
from synthesis.request import MODALITIES, SEVERITIES, SEXES, STEATOSIS_GRADES, Condition


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (
            Condition(modality="CT", severity="mild", steatosis=2, age=63, sex="F"),
            "Axial CT of the abdomen, mild liver cirrhosis, 63-year-old woman, steatosis grade 2.",
        ),
        (
            Condition(modality="T1", severity="severe", steatosis=1, age=70.5, sex="M"),
            "Axial T1-weighted MRI of the abdomen, severe liver cirrhosis, 71-year-old man, "
            "steatosis grade 1.",
        ),
        (
            Condition(modality="T2", severity="low", sex="M"),
            "Axial T2-weighted MRI of the abdomen, low liver cirrhosis, man, steatosis grade 0.",
        ),
        (
            Condition(modality="CT", age=40.4),
            "Axial CT of the abdomen, no liver cirrhosis, 40-year-old patient, steatosis grade 0.",
        ),
        (Condition(modality="CT", severity=None, steatosis=None), "Axial CT of the abdomen."),
    ],
)
def test_prompts(condition, words):
    assert prompt_of(condition) == words


@pytest.mark.parametrize(
    ("level", "word"),
    [(0.4, "no"), (0.5, "low"), (1.2, "low"), (1.6, "mild"), (2.4, "mild"), (2.6, "severe")],
)
def test_between_two_grades_the_nearer_word_is_said(level, word):
    condition = Condition(modality="CT", severity_level=level)
    assert f", {word} liver cirrhosis," in prompt_of(condition)


def test_every_word_of_a_condition_has_its_own_prompt():
    told = {
        prompt_of(Condition(modality=m, severity=s, sex=x, steatosis=g, age=50.0))
        for m in MODALITIES
        for s in SEVERITIES
        for x in (None, *SEXES)
        for g in STEATOSIS_GRADES
    }
    assert len(told) == len(MODALITIES) * len(SEVERITIES) * (len(SEXES) + 1) * len(STEATOSIS_GRADES)


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"modality": "PET"}, "modality"), ({"severity": "dire"}, "severity"), ({"sex": "X"}, "sex")],
)
def test_unknown_words_are_refused(changes, name):
    with pytest.raises(ValueError, match=name):
        prompt_of(Condition(**{"modality": "CT"} | changes))


def test_prompts_need_no_torch():
    script = "import sys; sys.modules['torch'] = None; import synthesis.control.prompts"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)
