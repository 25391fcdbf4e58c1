"""Refusals before submitting: in plain words, naming the setting, offering the nearest valid one."""

from dataclasses import replace

import numpy as np
import pytest

from synthesis.imaging.preflight import Draft, preflight
from synthesis.phantoms import abdomen
from synthesis.phantoms import labels as L
from synthesis.phantoms.labels import LABEL_SET
from synthesis.request import Condition, SamplerOptions

RECIPE = {
    "modalities": ["CT", "T1", "T2"],
    "image": {"rows": 128, "columns": 128, "normalisation": {"CT": {}, "T1": {}, "T2": {}}},
    "field": {"spacing_mm": [2.0, 4.4], "fov_mm": [260.0, 560.0]},
    "label_set": [{"value": one.value, "name": one.name} for one in LABEL_SET],
}
PHANTOM = abdomen(20_000_003)
DRAFT = Draft(
    labels=PHANTOM.labels,
    spacing_mm=PHANTOM.spacing_mm,
    condition=Condition(modality="CT", severity="severe", steatosis=1, age=60, sex="F"),
    sampler=SamplerOptions(),
)


def with_condition(**changes):
    return replace(DRAFT, condition=replace(DRAFT.condition, **changes))


def with_sampler(**changes):
    return replace(DRAFT, sampler=replace(DRAFT.sampler, **changes))


def only(*values):
    return np.where(np.isin(PHANTOM.labels, values), PHANTOM.labels, np.minimum(PHANTOM.labels, L.BODY))


def test_what_the_model_was_trained_for_passes():
    assert preflight(DRAFT, RECIPE) == []
    liver_alone = only(L.AIR, L.LIVER).astype(np.uint8)
    assert preflight(replace(DRAFT, labels=liver_alone), RECIPE) == []


@pytest.mark.parametrize(
    ("draft", "field", "suggestion", "words"),
    [
        (with_condition(modality="PET"), "modality", "CT", "CT, T1 or T2, not PET"),
        (with_condition(modality="MR T2w"), "modality", "T2", "not MR T2w"),
        (with_condition(severity="terrible"), "severity", "none", "none, low, mild or severe"),
        (with_condition(severity_level=3.4), "severity_level", 3.0, "between 0 and 3, not 3.4"),
        (with_condition(severity_level="much"), "severity_level", 0.0, "not much"),
        (with_condition(steatosis=7), "steatosis", 3, "0, 1, 2 or 3"),
        (with_condition(age=12), "age", 18.0, "between 18 and 90 years, not 12"),
        (with_condition(age=float("nan")), "age", 18.0, "between 18 and 90"),
        (with_condition(sex="X"), "sex", None, "F, M or left open"),
        (with_sampler(name="magic"), "sampler", "rft", "magic"),
        (with_sampler(steps=0), "steps", 1, "whole number between 1 and 100"),
        (with_sampler(steps=2000), "steps", 100, "not 2000"),
        (with_sampler(steps=3.5), "steps", 4, "whole number"),
        (with_sampler(name="one_step", steps=4), "steps", 1, "takes 1 step, not 4"),
        (with_sampler(name="shortcut", steps=2), "sampler", "rft", "long steps"),
        (with_sampler(kappa=-1), "kappa", 0.0, "kappa"),
        (with_sampler(order=3), "order", 2, "1 or 2"),
        (with_sampler(guidance=99.0), "guidance", 10.0, "Guidance"),
        (replace(DRAFT, count=1000), "count", 64, "number of images"),
        (replace(DRAFT, seed=-4), "seed", 0, "seed"),
        (replace(DRAFT, seed=2**40), "seed", 2**32 - 1, "seed"),
        (replace(DRAFT, labels=PHANTOM.labels[:64]), "mask", [128, 128], "64 x 128"),
        (replace(DRAFT, labels=PHANTOM.labels + 200), "mask", None, "label 200"),
        (replace(DRAFT, spacing_mm=(3.0, 1.5)), "spacing_mm", [2.121, 2.121], "square"),
        (replace(DRAFT, spacing_mm=(0.7, 0.7)), "spacing_mm", [2.03125, 2.03125], "0.7"),
        (replace(DRAFT, spacing_mm=(9.0, 9.0)), "spacing_mm", [4.375, 4.375], "9"),
        (replace(DRAFT, spacing_mm=(0.0, 3.0)), "spacing_mm", [3.2, 3.2], "positive"),
    ],
)
def test_what_it_was_not_trained_for_is_refused(draft, field, suggestion, words):
    found = [p for p in preflight(draft, RECIPE) if p.field == field]
    assert found, preflight(draft, RECIPE)
    assert words in found[0].message
    assert found[0].message.endswith(".")
    if suggestion is None:
        assert found[0].suggestion is None
    else:
        assert (
            found[0].suggestion == pytest.approx(suggestion)
            if field == "spacing_mm"
            else (found[0].suggestion == suggestion)
        )


def test_a_model_that_learned_long_steps_takes_as_many_as_it_learned():
    learned = {**RECIPE, "shortcut": {"segments": 8, "shift": 0.35}}
    for steps in (1, 2, 8):
        assert preflight(with_sampler(name="shortcut", steps=steps), learned) == []
    problems = preflight(with_sampler(name="shortcut", steps=9), learned)
    assert [(p.field, p.suggestion) for p in problems] == [("steps", 8)]
    assert "1 to 8 steps, not 9" in problems[0].message


def test_a_mask_without_any_organ_is_refused_by_name():
    bare = only(L.AIR, L.FAT, L.MUSCLE, L.SKIN).astype(np.uint8)
    problems = preflight(replace(DRAFT, labels=bare), RECIPE)
    assert any(p.field == "mask" and "liver" in p.message for p in problems)


def test_severity_without_a_liver_is_refused():
    labels = only(L.AIR, L.SPLEEN, L.KIDNEYS, L.BONE, L.AORTA).astype(np.uint8)
    fields = {p.field: p.suggestion for p in preflight(replace(DRAFT, labels=labels), RECIPE)}
    assert fields == {"severity": "none", "steatosis": 0}


def test_a_body_too_small_for_the_frame_is_refused_and_the_suggestion_helps():
    small = np.zeros((128, 128), np.uint8)
    small[32:96, 32:96] = PHANTOM.labels[::2, ::2]
    draft = replace(DRAFT, labels=small, spacing_mm=(4.0, 4.0))
    (problem,) = [p for p in preflight(draft, RECIPE) if p.field == "spacing_mm"]
    assert "only 44% of the image's width" in problem.message
    assert problem.suggestion[0] < 4.0


def test_every_suggestion_for_a_setting_passes_itself():
    """Taking all suggestions at once leaves no problem with that setting."""
    bad = with_condition(modality="PET", steatosis=9, age=300)
    better = {p.field: p.suggestion for p in preflight(bad, RECIPE)}
    assert preflight(replace(bad, condition=replace(bad.condition, **better)), RECIPE) == []


# Models that are told patients in words.


@pytest.mark.parametrize(
    ("changes", "field", "words", "nearest"),
    [
        ({"diagnosis": "HYP"}, "diagnosis", "is told a diagnosis as HF-I or N", None),
        ({"severity": "mild"}, "severity", "not among the words", "none"),
        ({"severity_level": 0.4}, "severity", "not among the words", "none"),
        ({"steatosis": 2}, "steatosis", "not among the words", 0),
    ],
)
def test_a_model_told_in_words_is_told_no_disease_of_the_liver(changes, field, words, nearest):
    recipe = RECIPE | {"prompts": {"diagnoses": {"HF-I": "heart failure", "N": "a healthy heart"}}}
    healthy = replace(DRAFT, condition=Condition(modality="T2", diagnosis="N", age=60, sex="F"))
    assert preflight(healthy, recipe) == []
    found = preflight(replace(healthy, condition=replace(healthy.condition, **changes)), recipe)
    assert [(one.field, one.suggestion) for one in found if words in one.message] == [(field, nearest)]


@pytest.mark.parametrize(
    ("style", "refused"),
    [
        ("generic", ["age", "sex", "diagnosis"]),
        ("diagnosis", ["age", "sex"]),
        ("patient", []),
        ("diverse", []),
    ],
)
def test_what_a_style_has_no_place_for_is_refused(style, refused):
    recipe = RECIPE | {"prompts": {"style": style, "diagnoses": {"N": "a healthy heart"}}}
    told = replace(DRAFT, condition=Condition(modality="T2", diagnosis="N", age=60, sex="F"))
    found = {one.field: (one.message, one.suggestion) for one in preflight(told, recipe)}
    assert list(found) == refused
    for name in set(refused) - {"diagnosis"}:
        assert found[name] == (f"This model is told patients in words that leave out their {name}.", None)
    assert "diagnosis" not in found or found["diagnosis"][0] == "This model is told no diagnosis."
    untold = dict.fromkeys(refused)
    assert preflight(replace(told, condition=replace(told.condition, **untold)), recipe) == []


def test_a_diagnosis_is_refused_by_a_model_that_is_told_none():
    for recipe in (RECIPE, RECIPE | {"prompts": {"style": "patient"}}):
        found = preflight(replace(DRAFT, condition=Condition(modality="CT", diagnosis="N")), recipe)
        assert [(one.field, one.message) for one in found] == [
            ("diagnosis", "This model is told no diagnosis.")
        ]
