"""What samplers let people choose: the table says exactly what the samplers' own Options hold."""

import math
from dataclasses import fields, replace

import pytest

from synthesis.catalog import SAMPLERS
from synthesis.imaging.preflight import preflight_settings
from synthesis.options import SAMPLER_OPTIONS, options_of, samplers_with
from synthesis.request import Condition, SamplerOptions

OF_THE_MODEL = {"drift"}  # the start law that a model was trained with: nothing to choose
RECIPE = {"modalities": ["CT"], "shortcut": {"segments": 8}}
EVERY = [(sampler, option) for sampler in SAMPLERS for option in options_of(sampler)]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_table_holds_what_the_sampler_has(sampler):
    own = SAMPLERS[sampler].load_options()
    described = {option.name: option for option in SAMPLER_OPTIONS[sampler]}
    assert set(described) == {field.name for field in fields(own)} - OF_THE_MODEL
    for name, option in described.items():
        assert option.default in (None, getattr(own(), name))
        assert option.label
        assert option.sentence.endswith(".")
    assert set(described) <= {field.name for field in fields(SamplerOptions)}


@pytest.mark.parametrize(("sampler", "option"), EVERY)
def test_every_value_that_is_offered_is_one_that_the_sampler_takes(sampler, option):
    own = SAMPLERS[sampler].load_options()
    offered = [value for value, _ in option.choices] or [option.low, option.high]
    for value in offered:
        own(**{option.name: value})
        assert option.problem(value) is None
    if not option.choices:
        for value in (option.low - 0.01, option.high + 0.01, math.nan, math.inf, "much", True):
            assert option.problem(value)
            assert option.problem(option.nearest(value)) is None


@pytest.mark.parametrize(
    ("sampler", "field", "nearest", "words"),
    [
        (SamplerOptions(name="ddim", eta=1.5), "eta", 1.0, "between 0 and 1, not 1.5"),
        (SamplerOptions(name="rft", eta=0.5), "eta", None, "has no option eta; that belongs to “DDIM"),
        (SamplerOptions(name="euler", weight="rectified"), "weight", None, "ViCTr as printed"),
        (SamplerOptions(name="victr_literal", weight="other"), "weight", "rectified", "sqrt_alpha or"),
        (SamplerOptions(name="victr_literal", strength=-1.0), "strength", 0.0, "between 0 and 2"),
        (SamplerOptions(name="rft", heun="yes"), "heun", False, "yes or no"),
        (SamplerOptions(name="dpmpp", order=9), "order", 3, "1, 2 or 3"),
        (SamplerOptions(name="shortcut", temperature=0.0), "temperature", 0.1, "between 0.1 and 2"),
    ],
)
def test_what_does_not_go_is_said_in_words(sampler, field, nearest, words):
    (problem,) = preflight_settings(Condition(modality="CT"), sampler, RECIPE)
    assert (problem.field, problem.suggestion) == (field, nearest)
    assert words in problem.message
    better = replace(sampler, **{field: problem.suggestion})
    assert preflight_settings(Condition(modality="CT"), better, RECIPE) == []


def test_an_option_names_the_samplers_that_have_it():
    assert samplers_with("eta") == ["ddim"]
    assert samplers_with("order") == ["rft", "dpmpp", "unipc"]
    assert options_of("nothing") == ()


def test_options_of_which_nothing_is_said_are_not_written():
    assert SamplerOptions().to_json() == {
        "name": "rft",
        "steps": 4,
        "kappa": None,
        "order": 2,
        "noise": True,
        "guidance": 1.0,
    }
    asked = SamplerOptions(name="ddim", eta=0.5)
    assert asked.to_json()["eta"] == 0.5
    assert SamplerOptions.from_json(asked.to_json()) == asked
