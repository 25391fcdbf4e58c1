"""What a model draws under an adapter: the adapter's drift and prompts, even where it says none."""

from synthesis.imaging.adapted import adapted_recipe

BASE = {"name": "base", "image": {"rows": 8, "columns": 8}, "modalities": ["CT"], "drift": {"delta": 0.1}}


def test_an_adapter_brings_its_drift_and_prompts_or_says_that_it_has_none():
    prompts = {"image": "MRI"}
    assert adapted_recipe(BASE, {"prompts": prompts, "drift": {"delta": 0.2}}) == BASE | {
        "prompts": prompts,
        "drift": {"delta": 0.2},
    }
    assert adapted_recipe(BASE, {"prompts": None, "drift": None}) == BASE | {"prompts": None, "drift": None}
    assert adapted_recipe(BASE, {"name": "from elsewhere"}) == BASE
