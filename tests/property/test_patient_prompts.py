"""Prompts of patients: whatever is known or not, a sentence; ages fall into bins that cover them all."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthesis.control.patient_prompts import (
    AGE_FORMATS,
    AGE_WORDS,
    LAST_BIN,
    STYLES,
    TEMPLATES,
    PatientPrompts,
    age_bin,
    age_word,
    person_of,
    prompts_in,
    with_article,
)
from synthesis.request import Condition

DIAGNOSES = {"HF-I": "ischaemic heart failure", "N": "no heart disease"}
AGES = st.one_of(st.none(), st.floats(0, 120), st.integers(0, 120).map(float))


def told(age=None, sex=None, diagnosis=None):
    return Condition(modality="T2", age=age, sex=sex, diagnosis=diagnosis)


def is_a_sentence(text):
    """One sentence in plain English: nothing left unfilled, articles that fit, spaces where they belong."""
    assert re.fullmatch(r"[A-Z<][^{}]*[^ .,]\.", text), text
    assert "  " not in text, text
    assert " ." not in text, text
    assert " ," not in text, text
    assert not re.search(r"\b(None|nan|with\.|with,|of\.|of with|a patient a|aged with)\b", text), text
    for article, following in re.findall(r"\b([Aa]n?) (<?\w+)", text):
        if following.isdigit() or following[0].isdigit():
            number = re.match(r"\d+", following)[0]
            wanted = "an" if number[0] == "8" or number in ("11", "18") else "a"
        else:
            wanted = "an" if following.lstrip("<")[0].lower() in "aeiou" or following == "MRI" else "a"
        assert article.lower() == wanted, text
    assert re.sub(r"<\w+>", "", text).count("<") == 0
    return text


@pytest.mark.parametrize(("style", "form", "token"), itertools.product(STYLES, AGE_FORMATS, ("", "<heart>")))
@settings(max_examples=40, deadline=None)
@given(age=AGES, sex=st.sampled_from([None, "F", "M"]), diagnosis=st.sampled_from([None, *DIAGNOSES]))
def test_every_combination_of_what_is_missing_makes_sentences(style, form, token, age, sex, diagnosis):
    for image in ("axial MRI of the heart", "chest X-ray", "MRI"):
        prompts = PatientPrompts(image=image, style=style, age=form, token=token, diagnoses=DIAGNOSES)
        for template in range(len(TEMPLATES[style])):
            text = is_a_sentence(prompts.prompt(told(age, sex, diagnosis), template))
            assert text == prompts.prompt(told(age, sex, diagnosis), template)
            assert image in text
            assert (token in text) == bool(token) or not token
            says = style != "generic"
            for name, words in DIAGNOSES.items():
                assert (words in text) == (says and name == diagnosis)
            patient = style in ("patient", "diverse")
            assert bool(re.search(r"\b(woman|girl)\b", text)) == (patient and sex == "F")
            assert bool(re.search(r"\b(man|boy)\b", text)) == (patient and sex == "M")
            assert not patient or sex is not None or re.search(r"\b(patient|child)\b", text)
        text = prompts.prompt(told(age, sex, diagnosis))
        begins = with_article(image)
        plain = re.sub(rf"A {token} {image}|a {token} {image}", begins, text) if token else text
        assert prompts.without_token().prompt(told(age, sex, diagnosis)) == plain[0].upper() + plain[1:]


@settings(max_examples=200, deadline=None)
@given(age=st.floats(0, 200))
def test_the_bins_cover_every_age_once_and_their_edges_lie_in_them(age):
    text = age_bin(age)
    edges = [int(number) for number in re.findall(r"\d+", text)]
    if text.endswith("or over"):
        assert edges == [LAST_BIN]
        assert age >= LAST_BIN
    else:
        low, high = edges
        assert low <= age < high + 1
        assert high == low + 9
        assert age_bin(high + 1) != text
    assert [age_bin(edge) for edge in edges] == [text] * len(edges)
    assert age_word(age) in {word for _, word in AGE_WORDS}


def test_the_words_change_exactly_at_their_ages():
    found = [(age, person_of(float(age), None, "word")) for age in range(100)]
    changes = [age for (_, before), (age, now) in itertools.pairwise(found) if before != now]
    assert changes == [2, 13, 18, 40, 65]
    assert [person_of(float(age), "F", "word") for age in (0, 2, 13, 18, 40, 65)] == [
        "an infant girl", "a young girl", "an adolescent girl",
        "a young woman", "a middle-aged woman", "an elderly woman",
    ]  # fmt: skip
    assert len({words for _, words in found}) == len(AGE_WORDS)


@settings(max_examples=100, deadline=None)
@given(age=st.floats(0, 120))
def test_a_number_is_the_nearest_year(age):
    years = int(re.search(r"\d+", person_of(age, "M", "numerical"))[0])
    assert abs(years - age) <= 0.5


def test_as_printed():
    prompts = PatientPrompts(image="chest X-ray", diagnoses={"c": "cardiomegaly"})
    wanted = "A chest X-ray of a 67-year-old woman with cardiomegaly."
    assert prompts.prompt(told(67.2, "F", "c")) == wanted
    assert prompts.prompt(told()) == "A chest X-ray of a patient."
    binned = PatientPrompts(image="chest X-ray", style="diverse", age="binned", token="<xr>")
    assert binned.prompt(told(91, None, "effusion"), 4) == (
        "A patient aged 90 or over with effusion, seen on a <xr> chest X-ray."
    )
    assert PatientPrompts(style="diagnosis", image="MRI").prompt(told(40, "M")) == "An MRI."


def test_diverse_draws_every_wording_and_is_steady_otherwise():
    prompts = PatientPrompts(style="diverse", image="MRI")
    rng = np.random.default_rng(0)
    drawn = {prompts.drawn(told(50, "M"), rng) for _ in range(200)}
    assert drawn == {prompts.prompt(told(50, "M"), n) for n in range(len(TEMPLATES["diverse"]))}
    assert prompts.prompt(told(50, "M")) == PatientPrompts(image="MRI").prompt(told(50, "M"))
    first, again = (prompts.drawn(told(), np.random.default_rng(3)) for _ in range(2))
    assert first == again


def test_what_a_recipe_may_say():
    prompts = PatientPrompts(
        image="MRI", style="diverse", token="<x>", token_from="heart", diagnoses={"N": "no"}
    )
    assert prompts_in({"prompts": prompts.to_json()}) == prompts
    assert prompts_in({}) is None
    for told_so in (
        {"style": "rhymed"}, {"age": "roman"}, {"image": ""}, {"token": "two words"}, {"token_from": "x"},
        {"image": "x" * 300}, {"image": "a  b"}, {"diagnoses": {"": "x"}}, {"diagnoses": ["x"]},
        {"wording": 1}, {"image": 3}, "MRI",
    ):  # fmt: skip
        with pytest.raises(ValueError, match="prompts: expected"):
            prompts_in({"prompts": told_so})


def test_what_is_no_person_is_refused():
    prompts = PatientPrompts(diagnoses=DIAGNOSES)
    for bad, words in ((told(diagnosis="HYP"), "HF-I, N"), (told(age=-1.0), "age"), (told(sex="X"), "sex")):
        with pytest.raises(ValueError, match=words):
            prompts.prompt(bad)
    with pytest.raises(ValueError, match="age"):
        prompts.prompt(told(age=float("nan")))
